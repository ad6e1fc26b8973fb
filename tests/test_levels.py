"""Levels: quantiles of what an encoder answers the training windows, carried by the encoder wherever it goes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tsrep
from tsrep import InputError, checkpoint, folders, levels
from tsrep.series import Series

ENCODER = {"name": "dilated", "hidden": 4, "depth": 2, "features": 6}
TRAINING = {"steps": 2, "batch_size": 8}


def fitted(x: object, **settings: object) -> tsrep.Model:
    return tsrep.fit(x, **({"encoder": ENCODER, "training": TRAINING} | settings))  # type: ignore[arg-type]


def two_streams(rows: int = 12) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "wrist": rng.standard_normal((rows, 2, 20)).astype(np.float32),
        "hip": 5 + 3 * rng.standard_normal((rows, 2, 20)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((20, 2, 30)).astype(np.float32)


@pytest.fixture(scope="module")
def model(x: np.ndarray) -> tsrep.Model:
    return fitted(x)


def test_each_feature_has_four_quantiles_of_its_own_that_spread_evenly() -> None:
    ramp = torch.arange(1001, dtype=torch.float64).expand(50, -1)
    found = levels.quantiles(ramp) / 1000
    share = (np.arange(1, 201) * (5**0.5 - 1) / 2 % 1).reshape(50, 4)
    np.testing.assert_allclose(found, np.sort(share, axis=1), atol=1e-3)
    assert (found.diff(dim=1) > 0.1).all()
    every = found.flatten().sort().values
    assert every.diff().max() < 2.7 / 200  # as even as a golden sequence: no gap of three


def test_a_level_is_no_answer_but_lies_between_two() -> None:
    """On an answer, rounding would say whether a step of the training is above."""
    found = levels.quantiles(torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]]))
    assert set((found % 1).flatten().tolist()) == {0.5}
    assert levels.quantiles(torch.full((3, 7), 2.0)).unique().tolist() == [2.0]
    assert levels.quantiles(torch.ones(3, 1)).tolist() == [[1.0] * 4] * 3


def test_of_the_steps_of_the_training_the_share_above_a_level_is_the_one_it_was_made_for(model: tsrep.Model) -> None:
    x = np.random.default_rng(0).standard_normal((20, 2, 30)).astype(np.float32)
    shares = model.embed(x, "levels")[:, 3 * 6 :].reshape(20, 4, 6).mean(axis=0).T
    made_for = 1 - np.sort((np.arange(1, 25) * (5**0.5 - 1) / 2 % 1).reshape(6, 4), axis=1)
    np.testing.assert_allclose(shares, made_for, atol=2 / 600)


def test_the_readout_begins_as_the_rich_one_does(model: tsrep.Model, x: np.ndarray) -> None:
    found = model.embed(x, "levels")
    assert found.shape == (20, 7 * model.features) == (20, tsrep.pool_width(model.features, "levels"))
    np.testing.assert_array_equal(found[:, :18], model.embed(x, "rich")[:, :18])


def test_they_are_saved_with_the_weights(model: tsrep.Model, x: np.ndarray, tmp_path: Path) -> None:
    again = tsrep.load(model.save(tmp_path / "model"))
    assert again.pools == model.pools and "levels" in model.pools
    np.testing.assert_array_equal(again.embed(x, "levels"), model.embed(x, "levels"))


def test_a_model_without_them_says_so_and_gives_all_else(model: tsrep.Model, x: np.ndarray, tmp_path: Path) -> None:
    """As an earlier version saved it."""
    folder = model.save(tmp_path / "model")
    weights, told = checkpoint.load(folder / "weights.safetensors")
    checkpoint.save(folder / "weights.safetensors", {k: v for k, v in weights.items() if k != "levels"}, told)
    described = folder / "data.json"
    hash_ = folders.sha256(folder / "weights.safetensors")
    described.write_text(described.read_text().replace(folders.json_of(described)["weights"], hash_))
    older = tsrep.load(folder)
    assert older.pools == tuple(pool for pool in model.pools if pool != "levels")
    np.testing.assert_array_equal(older.embed(x, "rich"), model.embed(x, "rich"))
    with pytest.raises(
        InputError, match=r'expected a model with levels for the pool "levels".*Train it again, or use the pool "rich"'
    ):
        older.embed(x, "levels")


def test_levels_of_another_shape_are_refused(model: tsrep.Model, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "model")
    weights, told = checkpoint.load(folder / "weights.safetensors")
    checkpoint.save(folder / "weights.safetensors", weights | {"levels": torch.zeros(6, 3)}, told)
    with pytest.raises(InputError, match="size mismatch for levels"):
        tsrep.load(folder)


def test_an_encoder_that_never_met_the_data_has_none(model: tsrep.Model, x: np.ndarray) -> None:
    assert "levels" not in tsrep.untrained(model, 1).pools


def test_the_baseline_of_benchmarks_learns_nothing_and_has_levels(x: np.ndarray) -> None:
    plan, _ = tsrep.make_plan({"encoder": ENCODER, "seed": 3})
    found, ready = tsrep.unlearned(plan, x), tsrep.prepare(tsrep.as_panel(x), plan)
    for name, weight in tsrep.build(plan, ready.shape).encoder.state_dict().items():
        torch.testing.assert_close(found.encoder.state_dict()[name], weight, rtol=0, atol=0)
    assert found.embed(x, "levels").shape == (20, 42) and not found.history


def test_a_head_is_fitted_on_them_saved_and_loaded(model: tsrep.Model, x: np.ndarray, tmp_path: Path) -> None:
    labels = ["up" if window[0].mean() > 0 else "down" for window in x]
    headed = tsrep.fit_head(model, x, labels, pool="levels")
    again = tsrep.load(headed.save(tmp_path / "model"))
    assert headed.head is not None and again.head is not None
    assert again.head.weight.shape == (2, 42)
    np.testing.assert_array_equal(again.head(again.embed(x, "levels")), headed.head(model.embed(x, "levels")))


@pytest.mark.parametrize("encoders", ["shared", "each"])
def test_several_streams_have_theirs(encoders: str, tmp_path: Path) -> None:
    data = two_streams()
    made = fitted(data, method={"name": "multiview"}, encoders=encoders)
    again = tsrep.load(made.save(tmp_path / "model"))
    found = again.embed_streams(data, "levels")
    assert {name: part.shape for name, part in found.items()} == dict.fromkeys(data, (12, 42))
    assert again.embed(data, "levels").shape == (12, 42 if encoders == "shared" else 84)
    for name, part in found.items():
        np.testing.assert_array_equal(part, made.of(name).embed(data[name], "levels"))
    held = [levels.of(made.of(name).encoder) for name in data]
    assert torch.equal(*held) == (encoders == "shared")


def test_windows_that_a_stream_lacks_have_no_part_in_them() -> None:
    whole, gaps = two_streams(), two_streams()
    gaps["hip"][3:9] = np.nan
    only = {name: np.delete(part, range(3, 9), axis=0) for name, part in whole.items()}
    plan, _ = tsrep.make_plan(
        {"method": {"name": "multiview"}, "encoder": ENCODER, "encoders": "each", "data": {"streams": "all"}}
    )
    found, expected = (levels.of(tsrep.unlearned(plan, data).of("hip").encoder) for data in (gaps, only))
    torch.testing.assert_close(found, expected)


def test_padding_has_no_part_in_them(model: tsrep.Model) -> None:
    """Series of unequal length: what lies outside their extent is nobody's answer."""
    values = torch.randn(6, 2, 30, generator=torch.Generator().manual_seed(0))
    values[:, :, 18:] = float("nan")
    long, short = Series.of(values), Series.of(values[:, :, :18])
    encoder = replace(model).encoder
    torch.testing.assert_close(levels.answers(encoder, long, 6, 10**6), levels.answers(encoder, short, 6, 10**6))
    assert levels.answers(encoder, long, 6, 10**6).shape == (6, 6 * 18)


def test_few_windows_and_few_steps_speak_for_many(model: tsrep.Model) -> None:
    series = Series.of(torch.randn(500, 2, 40, generator=torch.Generator().manual_seed(0)))
    said = levels.answers(model.encoder, series, 32, 100)
    assert 90 <= said.shape[1] <= 128
    everything = levels.answers(model.encoder, series, 500, 10**6)
    off = (levels.quantiles(said) - levels.quantiles(everything)).abs() / everything.std(dim=1, keepdim=True)
    assert off.mean() < 0.25
