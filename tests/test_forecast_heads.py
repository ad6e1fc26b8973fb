"""The forecasting head is ridge regression on the embeddings of windows, in the units of the data, and goes with its model."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import tsrep
from tsrep import forecast_heads
from tsrep.evaluation.forecast import PENALTIES

ENCODER = {"name": "dilated", "hidden": 8, "depth": 3, "features": 12}
WINDOW, HORIZON = 24, 6


def waves(series: int, steps: int, seed: int) -> np.ndarray:
    """Three channels of unlike size and level, that a forecast can know."""
    rng = np.random.default_rng(seed)
    phase, noise = rng.uniform(0, 6, (series, 3, 1)), rng.standard_normal((series, 3, steps)) / 20
    size, level = np.array([[1.0], [50.0], [0.01]]), np.array([[0.0], [1000.0], [-3.0]])
    return (level + size * (np.sin(0.5 * np.arange(steps) + phase) + noise)).astype(np.float32)


@pytest.fixture(scope="module", params=[False, True], ids=["together", "one by one"])
def model(request) -> tsrep.Model:
    cut = {"window": WINDOW, "hop": 6}
    return tsrep.fit(
        waves(4, 200, 0), encoder=ENCODER, training={"steps": 15}, data={"independent": request.param}, **cut
    )


def ends(X: np.ndarray) -> list[tuple[int, int]]:
    """Every window with the steps after it, by series and begin."""
    return [(row, begin) for row in range(len(X)) for begin in range(X.shape[2] - WINDOW - HORIZON + 1)]


def test_the_head_is_the_ridge_of_the_embeddings_with_the_best_penalty(model):
    X = waves(3, 120, 1)
    head = tsrep.fit_forecaster(model, X, HORIZON).forecaster
    at = ends(X)
    windows = np.stack([X[row, :, begin : begin + WINDOW] for row, begin in at])
    after = np.stack([X[row, :, begin + WINDOW : begin + WINDOW + HORIZON] for row, begin in at]).astype(np.float64)
    Z = model.embed(windows, "last").astype(np.float64)
    apart = model.plan.data.independent
    scale = np.array(model.scaler.scale)
    Y = (after - windows[:, :, -1:]) / scale[:, None]
    early = [i for i, (_, begin) in enumerate(at) if begin + WINDOW + HORIZON <= 90]
    late = [i for i, (_, begin) in enumerate(at) if begin + WINDOW >= 90]
    assert early and late and not set(early) & set(late)
    said = head(Z, head.last(windows))
    for channel in range(3):
        x = Z.reshape(len(Z), 3, -1)[:, channel] if apart else Z
        errors = []
        for penalty in PENALTIES:
            missed = Ridge(penalty).fit(x[early], Y[early, channel]).predict(x[late]) - Y[late, channel]
            errors.append(np.sqrt((missed**2).mean()) + np.abs(missed).mean())
        best = Ridge(PENALTIES[int(np.argmin(errors))]).fit(x, Y[:, channel])
        expected = windows[:, channel, -1:] + scale[channel] * best.predict(x)
        np.testing.assert_allclose(said[:, channel], expected, rtol=1e-4, atol=1e-4 * scale[channel])


def test_a_forecast_is_in_the_units_of_the_data_and_better_than_the_last_value(model):
    with_head = tsrep.fit_forecaster(model, waves(4, 200, 0), HORIZON)
    new = waves(6, WINDOW + HORIZON, 5)
    windows, after = new[:, :, :WINDOW], new[:, :, WINDOW:]
    head = with_head.forecaster
    said = head(with_head.embed(windows, head.pool), head.last(windows))
    assert said.shape == after.shape and head.channels == model.data.channels
    own = np.abs(said - after).mean(axis=(0, 2))
    naive = np.abs(windows[:, :, -1:] - after).mean(axis=(0, 2))
    assert (own < 0.7 * naive).all()


def test_missing_values_end_with_the_last_that_was_seen(model):
    head = tsrep.fit_forecaster(model, waves(4, 200, 0), HORIZON).forecaster
    x = waves(3, WINDOW, 2)
    x[1, 0, -5:], x[2, 1] = np.nan, np.nan
    expected = x[:, :, -1].copy()
    expected[1, 0], expected[2, 1] = x[1, 0, -6], model.scaler.mean[1]
    np.testing.assert_allclose(head.last(x), expected, rtol=1e-6)
    holes = waves(4, 200, 0)
    holes[:, :, 50:60] = np.nan
    found = tsrep.fit_forecaster(model, holes, HORIZON).forecaster
    assert np.isfinite(found.weight).all() and not np.allclose(found.weight, head.weight)


def test_the_head_is_saved_with_its_model_and_refused_with_another(model, tmp_path):
    with_head = tsrep.fit_forecaster(model, waves(4, 200, 0), HORIZON)
    folder = with_head.save(tmp_path / "a")
    loaded = tsrep.load(folder).forecaster
    x = waves(3, WINDOW, 3)
    Z = model.embed(x, "last")
    np.testing.assert_array_equal(loaded(Z, loaded.last(x)), with_head.forecaster(Z, loaded.last(x)))
    other = replace(with_head, forecaster=replace(loaded, horizon=loaded.horizon, bias=loaded.bias + 1))
    (other.save(tmp_path / "b") / forecast_heads.NAME).replace(folder / forecast_heads.NAME)
    with pytest.raises(tsrep.InputError, match="the forecasting head that was saved"):
        tsrep.load(folder)
    again = model.save(folder)
    assert not (again / forecast_heads.NAME).exists() and tsrep.load(again).forecaster is None
    assert tsrep.untrained(with_head, 1).forecaster is None
    with pytest.raises(tsrep.InputError, match="from 999"):
        forecast_heads.load(
            _saved(with_head, tmp_path),
            lambda pool: 999 * (3 if model.plan.data.independent else 1),
            model.data.channels,
        )


def _saved(model, folder):
    path = folder / "alone.safetensors"
    model.forecaster.save(path)
    return path


@pytest.mark.parametrize(
    ("steps", "horizon", "pool", "told"),
    [
        (200, 0, "last", "horizon in whole steps"),
        (29, 6, "last", "at least 30 steps"),
        (200, 6, "steps", "one embedding"),
    ],
)
def test_what_can_not_be_fitted_is_refused(model, steps, horizon, pool, told):
    with pytest.raises(tsrep.InputError, match=told):
        tsrep.fit_forecaster(model, waves(2, steps, 0), horizon, pool=pool)


def test_series_without_whole_futures_are_refused(model):
    X = waves(2, 60, 0)
    X[:, 2, ::3] = np.nan
    with pytest.raises(tsrep.InputError, match="4 windows with all values"):
        tsrep.fit_forecaster(model, X, HORIZON)
