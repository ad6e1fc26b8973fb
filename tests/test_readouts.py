"""Readouts: several poolings side by side are what slow loops say, and see nothing but the series."""

import numpy as np
import torch

import tsrep
from tsrep import pools
from tsrep.readouts import deviation_pool, level_pool, rich_pool, share_pool

EXTENTS = [(0, 7), (0, 4), (2, 6), (6, 7)]


def made() -> tuple[torch.Tensor, torch.Tensor]:
    """(4, 5, 7) steps with rubbish outside the extents."""
    steps = torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    extent = torch.zeros(4, 7, dtype=torch.bool)
    for row, (begin, end) in enumerate(EXTENTS):
        extent[row, begin:end] = True
    return torch.where(extent[:, None], steps, 1e6), extent


def test_the_rich_readout_is_what_a_slow_loop_says() -> None:
    steps, extent = made()
    expected = []
    for row, (begin, end) in enumerate(EXTENTS):
        own = [[float(v) for v in steps[row, feature, begin:end]] for feature in range(5)]
        means = [sum(v) / len(v) for v in own]
        spread = [(sum((x - m) ** 2 for x in v) / len(v)) ** 0.5 for v, m in zip(own, means, strict=True)]
        share = [sum(x > 0 for x in v) / len(v) for v in own]
        expected.append([max(v) for v in own] + means + spread + share)
    found = rich_pool(steps, extent)
    assert found.shape == (4, pools.width(5, "rich"))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert found.std(dim=0).min() > 0.05


def test_the_readout_of_levels_is_what_a_slow_loop_says() -> None:
    steps, extent = made()
    levels = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = level_pool(steps, extent, levels)
    assert found.shape == (4, 5 * 6)
    torch.testing.assert_close(found[:, :15], rich_pool(steps, extent)[:, :15])
    for row, (begin, end) in enumerate(EXTENTS):
        for level in range(3):
            for feature in range(5):
                own = [float(v) > float(levels[feature, level]) for v in steps[row, feature, begin:end]]
                assert found[row, 15 + 5 * level + feature] == sum(own) / len(own)
    torch.testing.assert_close(level_pool(steps, extent, torch.zeros(5, 1)), rich_pool(steps, extent))


def test_a_series_of_one_step_has_no_deviation_and_a_share_of_nought_or_one() -> None:
    steps, extent = made()
    assert (deviation_pool(steps, extent)[3] == 0).all()
    assert set(share_pool(steps, extent)[3].tolist()) == {0.0, 1.0}


def test_zero_is_not_positive() -> None:
    assert share_pool(torch.tensor([[[0.0, 0.0, 1e-9, -1.0]]]), torch.ones(1, 4, dtype=torch.bool)).item() == 0.25


def test_a_model_reads_richly_with_its_other_readouts_as_parts() -> None:
    """One pass over the data serves all of them."""
    x = np.random.default_rng(0).standard_normal((6, 2, 16)).astype(np.float32)
    x[1, :, 9:], x[2, :, :5] = np.nan, np.nan
    small = {"name": "dilated", "hidden": 4, "depth": 2, "features": 6}
    model = tsrep.fit(x, encoder=small, training={"steps": 2, "batch_size": 4})
    rich = model.embed(x, "rich")
    assert rich.shape == (6, 4 * model.features)
    np.testing.assert_array_equal(rich[:, :6], model.embed(x, "max"))
    np.testing.assert_array_equal(rich[:, 6:12], model.embed(x, "mean"))
    steps = model.embed(x, "steps")
    np.testing.assert_allclose(rich[:, 12:18], np.nanstd(steps, axis=2), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        rich[:, 18:], np.nanmean(np.where(np.isnan(steps), np.nan, steps > 0), axis=2), rtol=1e-6
    )
    assert set(model.pools) == {None, "max", "mean", "last", "rich", "levels"}
