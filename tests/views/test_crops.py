"""Overlapping crops: the overlap is the same moments, and no series is left without a step in it."""

import timeit

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsrep.errors import InputError
from tsrep.series import Series
from tsrep.views.crops import OverlappingCrops
from tsrep.views.jitter import Jitter
from tsrep.views.mask import TimestampMask

BARE = OverlappingCrops(augment=())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(spans: list[tuple[int, int]], length: int) -> Series:
    """Series with extents [begin, end) whose value at a step is 1000 * row + step + 1, so that a value tells its place."""
    values = torch.full((len(spans), 2, length), float("nan"))
    for row, (begin, end) in enumerate(spans):
        values[row, :, begin:end] = 1000 * row + torch.arange(begin, end) + 1.0
    clock = torch.arange(length, dtype=torch.float64).repeat(len(spans), 1) / 50
    return Series.of(values, torch.arange(len(spans)), clock)


def overlap(views: dict[str, Series]) -> tuple[Series, Series]:
    left, right = views["left"], views["right"]
    moved = (right.start - left.start).unique()
    assert len(moved) == 1, "the views of one batch stand to each other as the same number of steps"
    size = left.length - int(moved)
    assert 0 < size <= right.length
    return left.steps(left.length - size, left.length), right.steps(0, size)


def in_place(view: Series, whole: Series) -> bool:
    """Every value and every unpadded step of the view is that of the series at start + column."""
    column = view.start[:, None] + torch.arange(view.length)
    inside = (column >= 0) & (column < whole.length)
    index = column.clamp(0, whole.length - 1)
    values = whole.values.gather(2, index[:, None].expand(-1, whole.channels, -1)) * inside[:, None]
    extent = whole.extent.gather(1, index) & inside
    return torch.equal(view.values, values) and torch.equal(view.extent, extent)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Series, int, int]:
    length = draw(st.integers(2, 40))
    spans = []
    for _ in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, length - 1))
        spans.append((begin, draw(st.integers(begin + 1, length))))
    return numbered(spans, length), draw(st.integers(1, length)), draw(st.integers(0, 2**31))


@settings(max_examples=150, deadline=None)
@given(batches())
def test_the_overlap_is_the_same_moments_and_holds_as_much_of_a_series_as_it_can(
    case: tuple[Series, int, int],
) -> None:
    series, least, seed = case
    views = OverlappingCrops(least, augment=())({"series": series}, seeded(seed))
    left, right = overlap(views)
    assert least <= left.length <= series.length
    assert torch.equal(left.start, right.start) and torch.equal(left.values, right.values)
    assert torch.equal(left.extent, right.extent)
    assert torch.equal(left.extent.sum(1), series.extent.sum(1).clamp(max=left.length))
    for view in views.values():
        assert in_place(view, series) and view.extent.any(dim=1).all()
        assert torch.equal(view.row, series.row) and view.length <= series.length
        assert torch.equal(view.observed, view.extent[:, None].expand_as(view.observed))
        expected = (view.start[:, None] + torch.arange(view.length)).double() / 50
        clock = view.timestamps[view.extent]
        torch.testing.assert_close(clock, expected[view.extent])


def test_series_that_fill_the_batch_are_cropped_as_ts2vec_crops_them() -> None:
    """Bounds, and the law of the overlap's length: uniform from min_length to T."""
    series = numbered([(0, 12)] * 4, 12)
    sizes, moves = [], []
    for seed in range(1500):
        views = BARE({"series": series}, seeded(seed))
        for view in views.values():
            assert (view.start >= 0).all() and (view.start + view.length <= 12).all() and view.extent.all()
        sizes.append(overlap(views)[0].length)
        moves.append(int((views["right"].start - views["left"].start)[0]))
    counts = torch.bincount(torch.tensor(sizes), minlength=13)
    assert counts[:2].sum() == 0 and (counts[2:] > 90).all() and (counts[2:] < 190).all()
    assert max(moves) >= 8 and min(moves) == 0


def test_series_of_one_batch_are_cropped_at_different_places() -> None:
    series = numbered([(0, 100)] * 16, 100)
    places = [len(BARE({"series": series}, seeded(seed))["left"].start.unique()) for seed in range(20)]
    assert sorted(places)[10] > 5


def test_a_clock_beside_the_edge_of_the_batch_is_unknown() -> None:
    series = numbered([(0, 2), (38, 40), (0, 40)], 40)
    reached = 0
    for seed in range(30):
        for view in BARE({"series": series}, seeded(seed)).values():
            column = view.start[:, None] + torch.arange(view.length)
            outside = (column < 0) | (column >= 40)
            assert torch.equal(torch.isnan(view.timestamps), outside) and not view.extent[outside].any()
            reached += int(outside.sum())
    assert reached > 0


def test_the_start_of_a_window_is_carried_on() -> None:
    series = numbered([(0, 20)] * 3, 20).steps(5, 20)
    assert (series.start == 5).all()
    views = BARE({"series": series}, seeded(3))
    for view in views.values():
        assert torch.equal(view.values[:, 0, 0] % 1000, view.start + 1.0)


@pytest.mark.parametrize("batch", [1, 3])
def test_two_steps_are_enough(batch: int) -> None:
    views = BARE({"series": numbered([(0, 2)] * batch, 2)}, seeded())
    assert [view.values.shape for view in views.values()] == [(batch, 2, 2)] * 2


def test_augmentations_fall_on_each_crop_apart() -> None:
    series = numbered([(0, 50)] * 8, 50)
    masked = OverlappingCrops(20)({"series": series}, seeded(1))
    bare = OverlappingCrops(20, augment=())({"series": series}, seeded(1))
    for side, view in masked.items():
        assert torch.equal(view.start, bare[side].start) and torch.equal(view.extent, bare[side].extent)
        assert torch.equal(view.values, bare[side].values * view.observed)
        assert view.observed.float().mean() == pytest.approx(0.5, abs=0.1)
    left, right = overlap(masked)
    both = left.observed & right.observed
    assert both.any() and torch.equal(left.values[both], right.values[both])
    assert not torch.equal(left.observed, right.observed)


def test_the_input_is_not_changed_though_the_views_may_share_memory() -> None:
    series = numbered([(0, 30)] * 4, 30)
    before = series.values.clone()
    OverlappingCrops(augment=(Jitter(1.0), TimestampMask(0.5)))({"series": series}, seeded())
    assert torch.equal(series.values, before)


def test_one_seed_gives_one_draw_whatever_the_global_state() -> None:
    series = numbered([(0, 30), (3, 20)], 30)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = OverlappingCrops()({"series": series}, seeded(4))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = OverlappingCrops()({"series": series}, seeded(4))
    for side in first:
        assert torch.equal(first[side].values, again[side].values)
        assert torch.equal(first[side].start, again[side].start)


def test_too_short_a_batch_is_refused_with_both_numbers() -> None:
    with pytest.raises(InputError, match=r"at least 8 steps.*got 5"):
        OverlappingCrops(8)({"series": numbered([(0, 5)], 5)}, seeded())
    with pytest.raises(InputError, match="min_length to be a whole number of at least 1, got 0"):
        OverlappingCrops(0)


def test_a_missing_stream_is_named() -> None:
    with pytest.raises(InputError, match="stream 'hip'; known are: series"):
        OverlappingCrops(stream="hip")({"series": numbered([(0, 5)], 5)}, seeded())


def test_a_draw_is_cheap_beside_an_encoder_step() -> None:
    """A training step of the encoder at this shape takes about a tenth of a second."""
    batch = {"series": Series.of(torch.randn(16, 6, 128, generator=seeded()))}
    draw, view = seeded(), OverlappingCrops()
    assert min(timeit.repeat(lambda: view(batch, draw), number=10, repeat=20)) / 10 < 0.005
