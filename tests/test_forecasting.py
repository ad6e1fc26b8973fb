"""Forecasts: no step knows its future, every number stands beside its baselines, nothing of the test part is learned from."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsrep
from tsrep import forecasting, pictures
from tsrep.data import parts as parts_of
from tsrep.errors import InputError
from tsrep.evaluation.compare import summary
from tsrep.evaluation.forecast import Task, last_value, seasonal_naive
from tsrep.evaluation.tidy import COLUMNS

STEPS, ENDS, WINDOW = 900, (540, 720, 900), 40
HORIZONS = (6, 12)
HEAD = tsrep.Head(lags=30)
CAUSAL = {"name": "causal", "hidden": 6, "depth": 2, "features": 5, "pool": "last"}
TRAINING = {"steps": 3, "batch_size": 4}
ENCODERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "causal": (CAUSAL, {}),
    "causal, all channels with the calendar": (CAUSAL, {"calendar": True}),
    "dilated, which sees both sides": ({**CAUSAL, "name": "dilated"}, {}),
    "patch, flat and independent": (
        {"name": "patch", "hidden": 6, "heads": 2, "layers": 1, "features": 5, "patch": 10, "stride": 10, "pool": "flat",
         "normalise": "window"},
        {"independent": True},
    ),
}  # fmt: skip


def table(steps: int = STEPS, every: float = 3600.0) -> pd.DataFrame:
    """Two channels that know the hour of the day, one of them on a slow walk."""
    rng = np.random.default_rng(0)
    day = np.sin(2 * np.pi * np.arange(steps) / 24)
    load, oil = day + 0.3 * rng.standard_normal(steps), 0.5 * day + np.cumsum(0.1 * rng.standard_normal(steps))
    return pd.DataFrame({"id": "all", "timestamp": 1.7e9 + every * np.arange(steps), "load": load, "oil": oil})


def series(**more: Any) -> tsrep.Panel:
    return tsrep.as_panel(table(**more))


@dataclass(frozen=True)
class Parts:
    """What the catalogue gives, cut where `forecast` itself would cut."""

    train: tsrep.Panel
    validation: tsrep.Panel | None
    test: tsrep.Panel
    name: str = "made"


def parts(whole: tsrep.Panel) -> Parts:
    cut = [parts_of._cut(whole, begin, end) for begin, end in zip((0, *ENDS), ENDS, strict=False)]
    return Parts(*cut)


def fitted(encoder: dict[str, Any], X: Any, seed: int = 0, **data: Any) -> tsrep.Model:
    content = {"encoder": encoder, "training": TRAINING, "seed": seed, "data": {"window": WINDOW, "hop": 20, **data}}
    return tsrep.run(tsrep.make_plan(content)[0], X)


def told(model: tsrep.Model, data: Any, **more: Any) -> tsrep.Forecasts:
    return tsrep.forecast(model, data, **({"horizons": HORIZONS, "head": HEAD} | more))


def value(found: tsrep.Forecasts, **wanted: Any) -> float:
    rows = found.table
    for name, one in wanted.items():
        rows = rows[rows[name] == one]
    assert len(rows) == 1
    return float(rows["value"].iloc[0])


@pytest.fixture(scope="module")
def model() -> tsrep.Model:
    return fitted(CAUSAL, parts(series()).train)


@pytest.fixture(scope="module")
def found(model: tsrep.Model) -> tsrep.Forecasts:
    return told(model, parts(series()))


@pytest.mark.parametrize("kind", ENCODERS)
def test_no_forecast_knows_what_comes_after_it(kind: str) -> None:
    """Bit for bit: neither the features of a step, nor a forecast, nor any choice, from all encoders and with every baseline."""
    encoder, data = ENCODERS[kind]
    whole = series()
    made = fitted(encoder, parts(whole).train, **data)
    values = whole.values.copy()
    first = ENDS[1]  # the first step that is forecast from, and the first example
    values[:, :, first + 1 :] = 3 - 2 * values[:, :, first + 1 :]
    other = replace(whole, values=values)
    asked = tsrep.Head(lags=30, centre="window", calendar=True)
    left, right = (
        forecasting._embedded(
            made, forecasting.columns(one, None, made.plan.data.calendar), forecasting._read(made, asked)
        )
        for one in (whole, other)
    )
    assert len(left) == 2 and left[0].shape[0] == STEPS
    for before, after in zip(left, right, strict=True):
        np.testing.assert_array_equal(before[: first + 1], after[: first + 1])
        assert np.isfinite(before).all()
        assert (before[first + 1 :] != after[first + 1 :]).any(axis=1).mean() > 0.9
    plain, moved = (told(made, parts(one), head=asked) for one in (whole, other))
    assert len(plain.examples) == 5
    for name, said in plain.examples.items():
        np.testing.assert_array_equal(said[0], moved.examples[name][0])
        assert (said[1:] != moved.examples[name][1:]).any(axis=1).all(), name
    np.testing.assert_array_equal(plain.past[0], moved.past[0])
    assert (plain.future != moved.future).all()
    chosen = [one.table[one.table["metric"] == "validation"]["value"].tolist() for one in (plain, moved)]
    assert chosen[0] == chosen[1] and len(chosen[0]) == 5 * 3
    assert value(plain, method="last value", metric="mse", horizon=6) != value(
        moved, method="last value", metric="mse", horizon=6
    )


def test_every_number_stands_beside_the_baselines(found: tsrep.Forecasts) -> None:
    rows = found.table
    assert list(rows.columns) == list(COLUMNS)
    learned = {"mse", "mae", "validation"}
    expected = {
        ("ts2vec", "causal", "embedding"): learned,
        ("ts2vec", "causal", "both"): learned,
        ("random encoder", "causal", "embedding"): learned,
        ("random encoder", "causal", "both"): learned,
        ("last value", "none", "none"): {"mse", "mae"},
        ("seasonal naive", "none", "none"): {"mse", "mae"},
        ("ridge on raw lags", "none", "lags"): learned,
    }
    seen = dict(list(rows.groupby(["method", "encoder", "features"])))
    assert set(seen) == set(expected)
    for key, part in seen.items():
        assert set(part["metric"]) == expected[key]
        for _, one in part.groupby("metric"):
            assert one["horizon"].tolist() == [6, 12, "mean"]
            assert one["value"].iloc[2] == pytest.approx(one["value"].iloc[:2].mean())
    assert (rows["value"] > 0).all()
    assert set(rows["dataset"]) == {"made"}
    assert set(rows["setting"]) == {"forecast, multivariate, lags=30"}
    assert set(rows["seed"]) == {0}
    assert (rows[rows["encoder"] == "causal"]["seconds"] > 0).all()


def test_the_naive_numbers_are_those_of_the_whole_series_in_units_of_the_training_part(found: tsrep.Forecasts) -> None:
    values = table()[["load", "oil"]].to_numpy().T
    middle, spread = values[:, :540].mean(axis=1, keepdims=True), values[:, :540].std(axis=1, keepdims=True)
    task = Task((values - middle) / spread, ENDS)
    for name, scores in (("last value", last_value(task, 12)), ("seasonal naive", seasonal_naive(task, 12, 24))):
        for metric in ("mse", "mae"):
            expected = getattr(scores, metric)
            assert value(found, method=name, metric=metric, horizon=12) == pytest.approx(expected, rel=1e-5)
    assert value(found, method="seasonal naive", metric="mse", horizon=12) < value(
        found, method="last value", metric="mse", horizon=12
    )


def test_examples_are_forecasts_of_the_last_channel_after_its_past(found: tsrep.Forecasts) -> None:
    assert set(found.examples) == {
        "ts2vec, embedding", "ts2vec, both", "random encoder, embedding", "random encoder, both", "ridge on raw lags",
    }  # fmt: skip
    oil = table()["oil"].to_numpy()
    oil = (oil - oil[:540].mean()) / oil[:540].std()
    steps = (720, 804, 887)  # the first, the middle and the last step of the test part that 12 more come after
    np.testing.assert_allclose(found.past, [oil[t - 11 : t + 1] for t in steps], rtol=1e-5)
    np.testing.assert_allclose(found.future, [oil[t + 1 : t + 13] for t in steps], rtol=1e-5)
    for said in found.examples.values():
        assert said.shape == (3, 12)
        assert np.abs(said - found.future).mean() < 3


PLANS: dict[str, tuple[dict[str, Any], int, str]] = {
    "one channel with the calendar": ({"channels": ["oil"], "calendar": True}, 5, "univariate"),
    "channels one by one": ({"independent": True}, 10, "multivariate"),
    "channels one by one with the calendar": ({"independent": True, "calendar": True}, 10, "multivariate"),
    "one channel alone": ({"channels": ["load"], "independent": True, "calendar": True}, 5, "univariate"),
}


@pytest.mark.parametrize("name", PLANS)
def test_every_choice_of_channels_is_fitted_saved_embedded_and_measured(name: str, tmp_path: Path) -> None:
    data, width, kind = PLANS[name]
    given = parts(series())
    made = fitted(CAUSAL, given.train, **data)
    loaded = tsrep.load(made.save(tmp_path / "model"))
    windows = tsrep.windows(given.test, WINDOW)
    embedded = loaded.embed(windows)
    assert embedded.shape == (4, width) == (4, loaded.features)
    np.testing.assert_array_equal(embedded, made.embed(windows))
    assert loaded.embed(windows, "steps").shape == (4, width, WINDOW)
    measured = told(loaded, given)
    assert set(measured.table["setting"]) == {f"forecast, {kind}, lags=30"}
    again = told(made, given)
    pd.testing.assert_frame_equal(
        measured.table.drop(columns="seconds"), again.table.drop(columns="seconds"), check_exact=True
    )


def test_a_channel_that_is_embedded_alone_is_forecast_from_itself_alone() -> None:
    """Independent: what the other channel does changes nothing. Joint: it does."""
    made = fitted(CAUSAL, parts(series()).train, independent=True)
    whole = series()
    values = whole.values.copy()
    values[0, 0] = values[0, 0, ::-1]  # the other channel: examples are of the last one
    other = replace(whole, values=values)
    for kind, same in (("independent", True), ("joint", False)):
        head = tsrep.Head(lags=30, kind=kind)  # type: ignore[arg-type]
        left, right = (told(made, parts(one), head=head).examples for one in (whole, other))
        for name in left:
            assert np.array_equal(left[name], right[name]) == (same or name == "ridge on raw lags"), name


def test_channels_asked_for_in_another_order_are_forecast_in_it(model: tsrep.Model) -> None:
    made = fitted(CAUSAL, parts(series()).train, channels=["oil", "load"])
    assert made.data.channels == ("oil", "load")
    found = told(made, parts(series()), features=("embedding",))
    load = table()["load"].to_numpy()
    np.testing.assert_allclose(found.past[0], ((load - load[:540].mean()) / load[:540].std())[709:721], rtol=1e-4)


def test_an_array_without_names_is_taken_for_the_channels_of_the_model(
    model: tsrep.Model, found: tsrep.Forecasts
) -> None:
    bare = tsrep.as_panel(series().values, rate=1 / 3600)
    again = told(model, bare, features=("embedding",))
    key = {"method": "ts2vec", "features": "embedding", "metric": "mse", "horizon": 6}
    assert value(again, **key) == value(found, **key)
    assert set(again.table["dataset"]) == {""}


@pytest.mark.parametrize("kind", ENCODERS)
def test_nothing_of_the_test_part_enters_what_is_measured_on_the_validation_part(kind: str) -> None:
    """Gaps, other values, another length and another clock there: the same numbers and examples, bit for bit."""
    encoder, data = ENCODERS[kind]
    given = parts(series())
    made = fitted(encoder, given.train, **data)
    head = tsrep.Head(lags=30, centre="window", calendar=True)
    expected = told(made, given, head=head, part="validation")
    assert value(expected, method="ts2vec", features="embedding", metric="mse", horizon=6) > 0
    assert set(expected.table["setting"]) == {
        "forecast, multivariate, validation part, centre=window lags=30 calendar=True"
    }
    huge, gaps = given.test.values.copy(), given.test.values.copy()
    huge[:], gaps[:] = 1e30, np.nan
    for test in (
        replace(given.test, values=huge),
        replace(given.test, values=gaps),
        parts_of._cut(given.test, 0, 1),
    ):
        found = told(made, replace(given, test=test), head=head, part="validation")
        pd.testing.assert_frame_equal(
            found.table.drop(columns="seconds"), expected.table.drop(columns="seconds"), check_exact=True
        )
        for name, said in expected.examples.items():
            np.testing.assert_array_equal(found.examples[name], said)
        np.testing.assert_array_equal(found.future, expected.future)
    with pytest.raises(InputError, match="without gaps"):
        told(made, replace(given, test=replace(given.test, values=gaps)))


def test_errors_of_the_validation_part_are_those_the_penalties_were_chosen_by(model: tsrep.Model) -> None:
    """And the validation part is what would be the test part of a series that ends with it, the penalties apart."""
    measured = told(model, parts(series()), head=replace(HEAD, kind="joint"), part="validation")
    assert measured.part == "validation"
    rows = measured.table[measured.table["encoder"] == "causal"].astype({"horizon": str})
    rows = rows.set_index(["method", "features", "horizon", "metric"]).sort_index()
    for key in {index[:3] for index in rows.index if index[2] != "mean"}:
        told_by = rows["value"].loc[key]
        assert np.sqrt(told_by["mse"]) + told_by["mae"] == pytest.approx(told_by["validation"], rel=1e-5)
    test = told(model, parts(series()), head=replace(HEAD, kind="joint"))
    key = {"method": "ts2vec", "features": "both", "metric": "validation", "horizon": 6}
    assert value(measured, **key) == value(test, **key)
    values = table()[["load", "oil"]].to_numpy().T
    values = (values - values[:, :540].mean(axis=1, keepdims=True)) / values[:, :540].std(axis=1, keepdims=True)
    for name, scores in (
        ("last value", last_value(Task(values[:, :720], (360, 540, 720)), 12)),
        ("seasonal naive", seasonal_naive(Task(values[:, :720], (360, 540, 720)), 12, 24)),
    ):
        assert value(measured, method=name, metric="mse", horizon=12) == pytest.approx(scores.mse, rel=1e-5)


def test_to_choose_on_the_validation_part_a_model_is_trained_on_the_training_part_alone(
    model: tsrep.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = spied(monkeypatch)
    expected = told(model, series(), features=("embedding",), part="validation").table
    assert trained == []
    for learned in (series(), parts_of._cut(series(), 0, ENDS[1])):
        said: list[str] = []
        again = told(
            fitted(CAUSAL, learned), series(), features=("embedding",), part="validation", progress=said.append
        )
        assert any("not trained on the training part alone; it is trained again" in text for text in said)
        np.testing.assert_array_equal(trained[-1][1].values, parts(series()).train.values)
        np.testing.assert_array_equal(again.table["value"], expected["value"])
    assert len(trained) == 2


def test_several_heads_read_one_embedding_as_each_would_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given = parts(series())
    made = fitted(CAUSAL, given.train, independent=True)
    heads = [
        tsrep.Head(lags=30),
        tsrep.Head(lags=20, kind="shared", centre="window"),
        tsrep.Head(lags=30, read="pooled"),
    ]
    expected = [told(made, given, head=head) for head in heads]
    embedded, passes = forecasting._embedded, []
    monkeypatch.setattr(forecasting, "_embedded", lambda *what: passes.append(what[2]) or embedded(*what))
    found = tsrep.forecasts(made, given, heads, horizons=HORIZONS)
    assert passes == ["last", "pooled"] * 2
    for one, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(
            one.table.drop(columns="seconds"), other.table.drop(columns="seconds"), check_exact=True
        )
    passes.clear()
    (alone,) = tsrep.forecasts(made, given, heads[:1], horizons=HORIZONS, baselines=False)
    assert passes == ["last"]
    learned = expected[0].table[expected[0].table["method"] == "ts2vec"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        alone.table.drop(columns="seconds"), learned.drop(columns="seconds"), check_exact=True
    )


def test_a_shared_head_of_one_channel_is_its_own_and_of_more_it_is_not() -> None:
    for channels, same in ((["oil"], True), (["load", "oil"], False)):
        made = fitted(CAUSAL, parts(series()).train, independent=True, channels=channels)
        own, shared = (
            told(made, parts(series()), head=tsrep.Head(lags=30, kind=kind)) for kind in ("independent", "shared")
        )  # type: ignore[arg-type]
        for name in ("ts2vec, embedding", "ts2vec, both", "ridge on raw lags"):
            assert np.array_equal(own.examples[name], shared.examples[name]) == (same or name == "ridge on raw lags")


def spied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tsrep.Plan, tsrep.Panel, tsrep.Model]]:
    trained: list[tuple[tsrep.Plan, tsrep.Panel, tsrep.Model]] = []

    def run(plan: tsrep.Plan, X: tsrep.Panel) -> tsrep.Model:
        trained.append((plan, X, tsrep.run(plan, X)))
        return trained[-1][2]

    monkeypatch.setattr(forecasting, "run", run)
    return trained


@pytest.mark.parametrize("given", ["panel", "file", "parts"])
def test_a_model_that_saw_the_test_part_is_trained_again_without_it(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: tsrep.Model, found: tsrep.Forecasts
) -> None:
    """Whole it was trained on; whichever way it is given to be measured. A file is known by its name too, for it may have grown."""
    path = tmp_path / "made.parquet"
    table(steps=800).to_parquet(path)
    plan, _ = tsrep.make_plan(
        {"encoder": CAUSAL, "training": TRAINING, "data": {"window": WINDOW, "hop": 20, "name": str(path)}}
    )
    made = tsrep.run(plan) if given == "file" else fitted(CAUSAL, series())
    table().to_parquet(path)
    trained = spied(monkeypatch)
    said: list[str] = []
    again = told(made, {"panel": series(), "file": path, "parts": parts(series())}[given], progress=said.append)
    assert any("trained again on the training part" in text for text in said)
    ((plan, X, other),) = trained
    assert (plan.seed, plan.out, plan.data.name, plan.encoder) == (0, None, None, made.plan.encoder)
    np.testing.assert_array_equal(X.values, parts(series()).train.values)
    assert other.data.fingerprint == model.data.fingerprint != made.data.fingerprint
    columns = [
        "method",
        "features",
        "horizon",
        "metric",
        "value",
    ]  # the random encoder, too, is scaled by the training part
    pd.testing.assert_frame_equal(again.table[columns], found.table[columns], check_exact=True)


def test_a_model_that_did_not_is_measured_as_it_is(model: tsrep.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = spied(monkeypatch)
    told(model, parts(series()), features=("embedding",))
    told(model, series(), features=("embedding",))
    told(model, series(steps=700), features=("embedding",))
    assert trained == []


def test_further_seeds_train_on_the_training_part_and_give_a_spread(
    model: tsrep.Model, found: tsrep.Forecasts, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = spied(monkeypatch)
    more = told(model, parts(series()), seeds=2)
    ((plan, X, _),) = trained
    assert plan.seed == 1
    np.testing.assert_array_equal(X.values, parts(series()).train.values)
    rows = summary(more.table)
    learned = rows["encoder"] == "causal"
    assert set(rows[learned]["seeds"]) == {2} and (rows[learned]["sd"] > 0).all()
    assert set(rows[~learned]["seeds"]) == {1} and rows[~learned]["sd"].isna().all()
    first = more.table[more.table["seed"] == 0]["value"].to_numpy()
    np.testing.assert_array_equal(first, found.table["value"].to_numpy())
    for name, said in more.examples.items():
        np.testing.assert_array_equal(said, found.examples[name])
    other = fitted(CAUSAL, parts(series(steps=880)).train.values[:, :, ::-1])
    with pytest.raises(InputError, match="data that the model was trained on"):
        told(other, parts(series()), seeds=2)


def test_lags_alone_embed_and_train_nothing(model: tsrep.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasting, "_embedded", None)
    alone = told(model, parts(series()), features=("lags",))
    assert set(alone.table["method"]) == {"last value", "seasonal naive", "the head on raw lags", "ridge on raw lags"}


def test_without_a_day_in_the_data_there_is_no_season(model: tsrep.Model) -> None:
    """A clock that is too fast to hold a day, one of a step a day, and none."""
    for clock in (0.02, 86400.0, None):
        given = series(every=clock or 1.0)
        given = given if clock else replace(given, timestamps=None, rate=None)
        methods = set(told(model, given, features=("embedding",)).table["method"])
        assert methods == {"ts2vec", "random encoder", "last value", "ridge on raw lags"}


def test_a_clock_that_is_not_regular_is_said(model: tsrep.Model) -> None:
    given = table()
    given.loc[given.index > 500, "timestamp"] += 7200
    said: list[str] = []
    told(model, given, features=("embedding",), progress=said.append)
    assert any("not regular" in text for text in said)


def test_horizons_are_counted_once_and_those_of_the_literature_follow_the_rate() -> None:
    assert forecasting._horizons((12, 6, 12), None) == (12, 6)
    assert forecasting._horizons(None, None) == forecasting._horizons(None, 1 / 3600) == (24, 48, 168, 336, 720)
    assert forecasting._horizons(None, 1 / 900) == (24, 48, 96, 288, 672)


def gap() -> tsrep.Panel:
    whole = series()
    whole.values[0, 1, 300:303] = np.nan
    return whole


def back_in_time() -> Parts:
    given = parts(series())
    assert given.validation is not None
    return replace(given, validation=given.test, test=given.validation)


BAD: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "several series": (
        lambda: np.ones((3, 2, 900)),
        {},
        "one long series to forecast, got 3; forecast them one by one",
    ),
    "a gap": (gap, {}, "without gaps to forecast, got 3 missing values; fill them"),
    "a horizon longer than the test part": (series, {"horizons": (6, 180)}, "more than 180 steps.*shorter horizon"),
    "more lags than the training part": (series, {"head": tsrep.Head(lags=540)}, "training part.*fewer lags"),
    "no step ahead": (series, {"horizons": (0,)}, "whole steps, at least one, got 0"),
    "half a step ahead": (series, {"horizons": (1.5,)}, "whole steps, at least one, got 1.5"),
    "no horizon": (series, {"horizons": ()}, "at least one horizon, got none"),
    "unknown features": (series, {"features": ("embeding",)}, "unknown features 'embeding'; did you mean 'embedding'"),
    "an unknown part": (series, {"part": "validate"}, "unknown part 'validate'; did you mean 'validation'"),
    "a head shared by channels that are embedded together": (
        series,
        {"head": tsrep.Head(lags=30, kind="shared")},
        "embeds channels one by one.*take the head joint",
    ),
    "a horizon longer than the validation part": (
        lambda: replace(parts(series()), validation=parts_of._cut(parts(series()).validation, 0, 12)),  # type: ignore[arg-type]
        {"part": "validation"},
        "validation part of more than 12 steps",
    ),
    "no seeds": (series, {"seeds": 0}, "at least one seed, got 0"),
    "a calendar without a clock": (
        lambda: series().values,
        {"head": tsrep.Head(lags=30, calendar=True)},
        "expected a clock.*calendar=False",
    ),
    "no validation part": (
        lambda: replace(parts(series()), validation=None),
        {},
        "'made' has none; give it as one long series",
    ),
    "parts in another order": (back_in_time, {}, "follow one another in time"),
    "other channels": (lambda: table().rename(columns={"oil": "gas"}), {}, "channel 1 is gas and should be oil"),
    "too many channels": (lambda: table().assign(gas=1.0), {}, r"expected 2 channels \(load, oil\), got 3"),
    "unknown data set": (lambda: "ETTh3", {}, "did you mean 'ETTh"),
    "missing file": (lambda: "nowhere.csv", {}, "no file nowhere.csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_before_anything_is_trained(
    name: str, model: tsrep.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, more, said = BAD[name]
    monkeypatch.setattr(forecasting, "_embedded", None)
    monkeypatch.setattr(forecasting, "run", None)
    with pytest.raises(InputError, match=said):
        told(model, given(), **more)


BAD_HEADS: dict[str, tuple[dict[str, Any], str]] = {
    "kind": ({"kind": "joined"}, "kind of the head to be one of independent, joint, shared, got 'joined'"),
    "centre": ({"centre": "mean"}, "centre of the head to be one of none, last, window, got 'mean'"),
    "read": ({"read": "first"}, "read of the head to be one of auto, last, pooled, got 'first'"),
    "lags": ({"lags": 0}, "at least one lag, got 0"),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_head_that_does_not_exist_is_refused(name: str) -> None:
    settings, said = BAD_HEADS[name]
    with pytest.raises(InputError, match=said):
        tsrep.Head(**settings)


BAD_PLANS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no clock": (np.ones((1, 2, 900)), {"calendar": True}, "expected a clock.*data.calendar=false"),
    "unknown channel": (table(), {"channels": ["lod"]}, "no channel 'lod' in the data; did you mean 'load'"),
    "a channel called like the calendar": (
        table().rename(columns={"oil": "clock_hour"}), {"calendar": True}, "channel 'clock_hour'.*call it otherwise"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_PLANS)
def test_a_plan_that_the_data_cannot_follow_is_refused(name: str) -> None:
    given, data, said = BAD_PLANS[name]
    with pytest.raises(InputError, match=said):
        fitted(CAUSAL, given, **data)


def test_results_are_kept_whole_and_the_card_shows_the_means(
    model: tsrep.Model, found: tsrep.Forecasts, tmp_path: Path
) -> None:
    path = model.save(tmp_path / "model")
    for _ in range(2):  # the second time it replaces the first
        written = tsrep.keep_results(tsrep.load(path), found, path)
        assert {p.name for p in written} == {
            "made-forecast-multivariate-lags-30.csv", "forecasts.png", "horizons.png", "curves.png", "README.md",
        }  # fmt: skip
        assert all(p.is_file() for p in written)
        loaded = tsrep.load(path)
        pd.testing.assert_frame_equal(pd.DataFrame(loaded.results), found.table)  # JSON keeps ten digits
    lines = [line for line in loaded.card().splitlines() if line.startswith("| made")]
    assert len(lines) == 7 * 2
    mean = value(found, method="ts2vec", features="both", metric="mse", horizon="mean")
    assert f"| made | forecast, multivariate, lags=30 | ts2vec | both | mse | {mean:.3f} | 1 |" in lines
    assert "means over the horizons (6, 12 steps)" in loaded.card()
    assert "validation" not in "".join(lines)


def test_the_pictures_name_every_method_once(model: tsrep.Model, found: tsrep.Forecasts) -> None:
    figures = pictures.of_forecasts(model, found)
    assert set(figures) == {"forecasts", "horizons"}
    shown = {text.get_text().split("  ")[-1] for text in figures["horizons"].legends[0].get_texts()}
    assert shown == {*found.examples, "last value", "seasonal naive"}


class Client:
    """Writes down what MLflow's client is told: a database of its own would take seconds to make."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.texts: dict[str, str] = {}
        self.figures: list[str] = []

    def get_run(self, run_id: str) -> None:
        pass

    def log_batch(self, run_id: str, metrics: Any) -> None:
        assert not {one.key for one in metrics} & set(self.metrics)
        self.metrics |= {one.key: one.value for one in metrics}

    def log_text(self, run_id: str, text: str, file: str) -> None:
        self.texts[file] = text

    def log_figure(self, run_id: str, figure: Any, file: str) -> None:
        self.figures.append(file)


def test_mlflow_is_told_every_number_once_by_its_horizon(
    found: tsrep.Forecasts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="needs the package mlflow: install tsrep[mlflow]")
    from tsrep.integrations import mlflow_results
    from tsrep.integrations.mlflow_store import Store

    client = Client()
    monkeypatch.setattr(mlflow_results, "_run_of", lambda run: (Store(client, "nowhere", None), "0"))  # type: ignore[arg-type]
    assert mlflow_results.log_results(tmp_path, found.table, {"horizons": None}) == "0"  # type: ignore[dict-item]
    for horizon in (6, 12, "mean"):
        expected = value(found, method="ts2vec", features="both", metric="mse", horizon=horizon)
        assert client.metrics[f"made/forecast_ multivariate_ lags_30/ts2vec/both/mse/{horizon}"] == pytest.approx(
            expected
        )
    assert len(client.metrics) == len(found.table)
    assert all(re.fullmatch(r"[\w\-. /]+", name) for name in client.metrics)  # what MLflow takes as a name
    assert set(client.texts) == {"results/made-forecast-multivariate-lags-30.csv"}
    assert client.figures == ["results/made-forecast-multivariate-lags-30/horizons.png"]


def test_a_head_of_ones_own_is_told_by_the_setting() -> None:
    assert str(tsrep.Head()) == ""
    assert str(tsrep.Head(kind="joint", centre="none")) == "kind=joint centre=none"


def test_lags_are_read_by_the_very_head_that_reads_the_embedding() -> None:
    given = parts(series())
    made = fitted(CAUSAL, given.train)
    head = tsrep.Head(lags=30, kind="joint", centre="none")
    table = tsrep.forecast(made, given, horizons=[6], head=head, features=["lags"]).table
    rows = table[(table["features"] == "lags") & (table["metric"] == "mse") & (table["horizon"] == 6)].set_index(
        "method"
    )["value"]
    assert set(rows.index) == {"the head on raw lags", "ridge on raw lags"}
    assert rows["the head on raw lags"] != rows["ridge on raw lags"]
    own = made.data.channels
    assert set(table["method"]).isdisjoint({"ts2vec", "random encoder"}) and len(own) == 2
