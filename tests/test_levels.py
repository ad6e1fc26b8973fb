"""Levels: quantiles of what an encoder answers the training windows, carried by the encoder wherever it goes."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tsrep
from tsrep import InputError, checkpoint, folders, levels, registry
from tsrep.series import Embedding, Series, part_of

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
    assert levels.quantiles(torch.ones(3, 1)).shape == (3, 4)


@pytest.mark.parametrize("rest", [0.0, -3.0, 1e4])
def test_answers_that_are_alike_lie_on_one_side_of_a_level(rest: float) -> None:
    """A sensor at rest: rounding must not lift it over a level."""
    still = torch.full((8, 400), rest) + 1e-7 * max(1.0, abs(rest)) * torch.randn(8, 400)
    still[:, ::5] += torch.rand(8, 80) + 1
    shares = (still[:, :, None] > levels.quantiles(still)[:, None]).float().mean(dim=1)
    assert shares.max() <= 0.2
    assert 0 < shares.min() < 0.2, "some level is among those that moved"
    dead = torch.full((2, 50), rest)
    assert (levels.quantiles(dead) >= dead[:, :4]).all()
    assert (levels.quantiles(dead) > dead[:, :4]).all() or rest == 0


def test_of_the_steps_of_the_training_the_share_above_a_level_is_the_one_it_was_made_for(model: tsrep.Model) -> None:
    x = np.random.default_rng(0).standard_normal((20, 2, 30)).astype(np.float32)
    shares = model.embed(x, "levels")[:, 3 * 6 :].reshape(20, 4, 6).mean(axis=0).T
    made_for = 1 - np.sort((np.arange(1, 25) * (5**0.5 - 1) / 2 % 1).reshape(6, 4), axis=1)
    np.testing.assert_allclose(shares, made_for, atol=2 / 600)


def test_the_readout_begins_as_the_rich_one_does(model: tsrep.Model, x: np.ndarray) -> None:
    found = model.embed(x, "levels")
    assert found.shape == (20, 7 * model.features) == (20, model.width("levels"))
    np.testing.assert_array_equal(found[:, :18], model.embed(x, "rich")[:, :18])


def test_they_are_saved_with_the_weights(model: tsrep.Model, x: np.ndarray, tmp_path: Path) -> None:
    again = tsrep.load(model.save(tmp_path / "model"))
    assert again.pools == model.pools and "levels" in model.pools
    np.testing.assert_array_equal(again.embed(x, "levels"), model.embed(x, "levels"))


EVERY = [name for name in registry.choices("encoders") if name != "tsai"]


@pytest.mark.parametrize("name", [*EVERY, "tsai(FCN)", "patch, flat"])
def test_every_encoder_carries_them(name: str, tmp_path: Path) -> None:
    """Those of a step are fewer than those of a window where an encoder lays parts of it one after another."""
    channels = {"cooccurrence": 60, "skeleton_graph": 60}.get(name, 3)
    x = np.random.default_rng(0).standard_normal((10, channels, 40)).astype(np.float32)
    encoder = {"name": "patch", "pool": "flat"} if name == "patch, flat" else name
    plan, _ = tsrep.make_plan({"encoder": encoder})
    made = tsrep.random_model(plan, x)
    again = tsrep.load(made.save(tmp_path / "model"))
    for pool in again.pools:
        assert again.embed(x, pool).shape == (10, again.width(pool))
    np.testing.assert_array_equal(again.embed(x, "levels"), made.embed(x, "levels"))
    assert again.width("levels") == 7 * again.embed(x[:1], "steps").shape[1]


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


@pytest.mark.parametrize("light", [False, True])
def test_an_export_of_a_model_without_them_says_so_too(
    model: tsrep.Model, x: np.ndarray, tmp_path: Path, light: bool
) -> None:
    pytest.importorskip("onnxruntime")
    folder = tsrep.export(tsrep.untrained(model, 1)).save(tmp_path / "model")
    older = tsrep.load_light(folder) if light else tsrep.load(folder)
    assert "levels" not in older.pools and older.embed(x, "rich").shape == (20, 24)
    with pytest.raises(InputError, match="expected a model with levels"):
        older.embed(x, "levels")


def test_a_model_of_the_earlier_format_is_read(model: tsrep.Model, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "model")
    described = folder / "data.json"
    described.write_text(described.read_text().replace('"format": 2', '"format": 1'))
    assert tsrep.load(folder).data == model.data
    described.write_text(described.read_text().replace('"format": 1', '"format": 3'))
    with pytest.raises(InputError, match="expected model format 2, got 3"):
        tsrep.load(folder)


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
    found, ready = tsrep.random_model(plan, x), tsrep.prepare(tsrep.as_panel(x), plan)
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
    assert again.embed(data, "levels").shape == (12, again.width("levels")) == (12, 42 if encoders == "shared" else 84)
    for name, part in found.items():
        np.testing.assert_array_equal(part, made.of(name).embed(data[name], "levels"))


def test_streams_that_share_an_encoder_have_an_equal_part_in_its_levels() -> None:
    """Of one that says 0 to 1 and one that says 10 to 11, whatever the lengths: half of the levels are below, half above."""

    class Says(torch.nn.Module):
        features = 1

        def forward(self, series: Series) -> Embedding:
            return Embedding(series.values, series.values[:, :, 0], series)

    rng = torch.Generator().manual_seed(0)
    low, high = (torch.rand(12, 1, steps, generator=rng) + at for steps, at in ((20, 0), (200, 10)))
    encoder = Says()
    levels.settle(encoder, {"low": Series.of(low), "high": Series.of(high)})
    said = levels.of(encoder)[0]
    assert said[1] < 1 and said[2] > 10


@pytest.mark.parametrize("encoders", ["shared", "each"])
def test_a_stream_of_which_no_window_was_recorded_stops_no_training(encoders: str) -> None:
    data = two_streams()
    data["hip"][:] = np.nan
    data["hip"][11] = 1.0
    plan, _ = tsrep.make_plan(
        {"method": {"name": "multiview"}, "encoder": ENCODER, "encoders": encoders, "data": {"streams": "all"}}
    )
    ready = tsrep.prepare(tsrep.as_streams(data), plan)
    encoder = tsrep.build(plan, ready.shape).encoder
    levels.settle(encoder, {name: series.rows(torch.arange(11)) for name, series in ready.train.items()})  # type: ignore[union-attr]
    assert hasattr(part_of(encoder, "wrist"), "levels")
    assert hasattr(part_of(encoder, "hip"), "levels") == (encoders == "shared")


def test_windows_that_a_stream_lacks_have_no_part_in_them() -> None:
    whole, gaps = two_streams(), two_streams()
    gaps["hip"][3:9] = np.nan
    only = {name: np.delete(part, range(3, 9), axis=0) for name, part in whole.items()}
    plan, _ = tsrep.make_plan(
        {"method": {"name": "multiview"}, "encoder": ENCODER, "encoders": "each", "data": {"streams": "all"}}
    )
    found, expected = (levels.of(tsrep.random_model(plan, data).of("hip").encoder) for data in (gaps, only))
    torch.testing.assert_close(found, expected)


def test_padding_has_no_part_in_them(model: tsrep.Model) -> None:
    """Series of unequal length: what lies outside their extent is nobody's answer."""
    values = torch.randn(6, 2, 30, generator=torch.Generator().manual_seed(0))
    values[:, :, 18:] = float("nan")
    long, short = Series.of(values), Series.of(values[:, :, :18])
    encoder = model.encoder
    torch.testing.assert_close(levels.answers(encoder, long, 6, 10**6), levels.answers(encoder, short, 6, 10**6))
    assert levels.answers(encoder, long, 6, 10**6).shape == (6, 6 * 18)


def test_few_windows_and_few_steps_speak_for_many(model: tsrep.Model) -> None:
    """Windows that grow along the data, and have a period that every n-th step would be in step with."""
    time = torch.arange(256)
    wave = torch.sin(2 * torch.pi * time / 16)
    series = Series.of(torch.linspace(0.1, 2, 300)[:, None, None] * wave.expand(1, 2, -1))
    said = levels.answers(model.encoder, series, 32, 512)
    assert 400 <= said.shape[1] <= 512
    everything = levels.answers(model.encoder, series, 300, 10**6)
    assert everything.shape[1] == 300 * 256
    off = (levels.quantiles(said) - levels.quantiles(everything)).abs() / everything.std(dim=1, keepdim=True)
    assert off.mean() < 0.1
    assert said.untyped_storage().nbytes() == said.nbytes, "no view that keeps every step"


def test_a_stream_that_no_row_has_is_as_wide_as_it_would_be() -> None:
    data = two_streams()
    made = fitted(data, method={"name": "multiview"}, encoders="each")
    data["hip"][:] = np.nan
    for pool in (*made.pools, "steps"):
        found = made.embed_streams(data, pool)["hip"]
        assert np.isnan(found).all() and found.shape[1] == made.of("hip").width(pool)
    assert made.embed(data, "levels").shape == (12, made.width("levels")) == (12, 84)
