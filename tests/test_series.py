"""Series: the layout law, and pools that know where a series ends."""

import pytest
import torch
from torch import Tensor

from tsrep.series import Series, extent_of, last_pool, max_pool, mean_pool

NAN = float("nan")


def made() -> Series:
    """Three series of two channels and six steps: whole, padded on the right with a hole, padded on both sides."""
    x = torch.arange(36, dtype=torch.float32).reshape(3, 2, 6) + 1
    x[1, :, 4:], x[1, 0, 1], x[1, :, 2] = NAN, NAN, NAN
    x[2, :, 0], x[2, :, 5] = NAN, NAN
    return Series.of(x, row=torch.tensor([7, 3, 9]), timestamps=torch.arange(18, dtype=torch.float64).reshape(3, 6))


def test_missing_values_are_zero_and_flagged() -> None:
    series = made()
    assert series.values.isfinite().all()
    assert (series.values[~series.observed] == 0).all()
    assert int((~series.observed).sum()) == 4 + 1 + 2 + 4
    assert (series.values[series.observed] > 0).all()
    assert (len(series), series.channels, series.length) == (3, 2, 6)


def test_the_extent_runs_from_the_first_to_the_last_observed_step() -> None:
    assert made().extent.tolist() == [[True] * 6, [True] * 4 + [False] * 2, [False] + [True] * 4 + [False]]


@pytest.mark.parametrize(
    ("seen", "extent"),
    [("000", "000"), ("010", "010"), ("101", "111"), ("110", "110"), ("0100100", "0111100"), ("1", "1")],
)
def test_extents_have_no_holes(seen: str, extent: str) -> None:
    found = extent_of(torch.tensor([[c == "1" for c in seen]]))
    assert "".join("1" if x else "0" for x in found[0].tolist()) == extent


@pytest.mark.parametrize("shape", [(4,), (3, 4), (1, 2, 3, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="batch, channel, time"):
        Series.of(torch.zeros(shape))


def test_rows_and_steps_take_everything_along() -> None:
    series = made()
    some = series.rows(torch.tensor([2, 0]))
    assert some.row.tolist() == [9, 7]
    assert some.extent.tolist() == [series.extent[2].tolist(), series.extent[0].tolist()]
    assert torch.equal(some.timestamps, series.timestamps[[2, 0]])
    part = series.steps(2, 5)
    assert part.start.tolist() == [2, 2, 2]
    assert part.steps(1, 3).start.tolist() == [3, 3, 3]
    assert torch.equal(part.values, series.values[:, :, 2:5])
    assert torch.equal(part.timestamps, series.timestamps[:, 2:5])
    assert part.row.tolist() == [7, 3, 9]


def test_cat_joins_batches_and_cast_keeps_the_flags() -> None:
    series = made()
    both = series.cat(series.rows(slice(1, 2)))
    assert both.row.tolist() == [7, 3, 9, 3]
    assert torch.equal(both.observed[3], series.observed[1])
    wide = series.cast(torch.float64)
    assert wide.values.dtype == torch.float64
    assert wide.observed.dtype == torch.bool
    assert wide.timestamps is not None
    assert Series.of(torch.zeros(1, 1, 2)).cat(Series.of(torch.zeros(1, 1, 2))).timestamps is None


def test_a_series_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        made().values = torch.zeros(1)  # type: ignore[misc]


def test_pools_look_inside_the_extent_alone() -> None:
    steps, extent = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0)), made().extent
    for row, (begin, end) in enumerate([(0, 6), (0, 4), (1, 5)]):
        part = steps[row, :, begin:end]
        torch.testing.assert_close(max_pool(steps, extent)[row], part.amax(1))
        torch.testing.assert_close(mean_pool(steps * extent[:, None], extent)[row], part.mean(1))
        torch.testing.assert_close(last_pool(steps, extent)[row], part[:, -1])


def test_mean_pool_does_not_trust_the_padding() -> None:
    """The padding of an embedding is zero by law; of a pool over other steps it may be anything."""
    steps: Tensor = torch.full((1, 1, 3), 5.0)
    assert mean_pool(steps, torch.tensor([[True, True, False]])).item() == 5.0
