"""Forecast from frozen embeddings, always beside the last value, the season, ridge on raw lags and a random untrained encoder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from tsrep import registry
from tsrep.data import catalogue
from tsrep.data.columns import CALENDAR, clock, columns
from tsrep.data.fingerprint import fingerprint
from tsrep.data.panel import Panel
from tsrep.data.readers import as_panel
from tsrep.data.scaling import Scaler
from tsrep.encoding import at_each_step
from tsrep.errors import InputError, nearest
from tsrep.evaluating import commit
from tsrep.evaluation.forecast import (
    DROPPED,
    Centre,
    Fitted,
    Frame,
    Ridge,
    Scores,
    Task,
    centred_lags,
    frame,
    last_value,
    seasonal_naive,
)
from tsrep.evaluation.tidy import tidy
from tsrep.fitting import anew, run, windowed
from tsrep.model import Model, untrained

HORIZONS = {"hours": (24, 48, 168, 336, 720), "quarters": (24, 48, 96, 288, 672)}
"""Steps ahead that the literature measures, for hourly data and for data of a quarter of an hour."""

SHARES = (0.6, 0.2, 0.2)
"""Training, validation and test part of data without parts of its own."""

RANDOM, LAST, SEASON, LAGS = "random encoder", "last value", "seasonal naive", "ridge on raw lags"
FEATURES = ("embedding", "both", "lags")


@dataclass(frozen=True)
class Head:
    """How a forecast is read off frozen features.

    kind:     independent: a ridge for each channel, with its own penalty; on the embedding of the channel where the model embeds
              channels one by one. joint: one ridge on all features for all channels.
    centre:   what is taken off a forecast and its lags: none; last: the last value; window: mean, and deviation, of the lags (RevIN).
    lags:     how many values of the past ridge on raw lags sees, and "both" beside the embedding.
    calendar: the calendar at the step it is forecast from, beside the embedding. Ridge on raw lags has it always.
    read:     the embedding of a step: last, that of the last step of its window; pooled, that of the window; auto: last, but pooled
              where the encoder lays its patches one after another (pool: flat).
    """

    kind: Literal["independent", "joint"] = "independent"
    centre: Centre = "last"
    lags: int = 336
    calendar: bool = False
    read: Literal["auto", "last", "pooled"] = "auto"

    def __post_init__(self) -> None:
        for name, known in (
            ("kind", ("independent", "joint")),
            ("centre", get_args(Centre)),
            ("read", ("auto", "last", "pooled")),
        ):
            if getattr(self, name) not in known:
                raise InputError(
                    f"expected {name} of the head to be one of {', '.join(known)}, got '{getattr(self, name)}'"
                )
        if self.lags < 1:
            raise InputError(f"expected at least one lag, got {self.lags}")


PAPER = Head(kind="joint", centre="none")
"""The head of TS2Vec, CoST and AutoTCL."""


@dataclass(frozen=True)
class Forecasts:
    """What was measured.

    table:    tidy, one number a row; the horizon "mean" is the mean over all of them.
    examples: method -> (windows, longest horizon) forecasts of the last channel from a few steps of the test part.
    past, future: (windows, steps) what was before and what came, in units of the training part's deviation.
    """

    table: pd.DataFrame
    examples: Mapping[str, np.ndarray]
    past: np.ndarray
    future: np.ndarray


def forecast(
    model: Model,
    data: Any,
    *,
    horizons: Sequence[int] | None = None,
    head: Head = Head(),
    features: Sequence[str] = ("embedding", "both"),
    seeds: int = 1,
    progress: Callable[[str], None] = lambda text: None,
) -> Forecasts:
    """Measure how well the steps to come are read off frozen embeddings of the steps before; see `tsrep.evaluation.forecast`.

    data:     name of a data set of the catalogue; a `Dataset` with a validation part; or one long series, cut in 60, 20 and 20 % by
              time. The channels that the model was trained on are forecast.
    horizons: steps ahead; None: those of the literature (hourly 24, 48, 168, 336, 720; quarters of an hour 24, 48, 96, 288, 672).
    features: what the head reads: embedding, lags, both.
    seeds:    with more than one the model is trained again under each further seed.
    Raises InputError for data that is no single long series without gaps, or too short for a horizon.
    """
    for name in features:
        if name not in FEATURES:
            raise InputError(f"unknown features '{name}'; {nearest(name, FEATURES)}")
    given = _given(data)
    training = columns(given.train, model.plan.data.channels, False)
    own = tuple(name for name in model.data.channels if name not in CALENDAR)
    whole = _joined(given.train, given.validation, given.test)
    values = Scaler.fit(training).transform(columns(whole, own, False).values)[0].astype(np.float64)
    first, second = given.train.length, given.train.length + given.validation.length
    task = Task(values, (first, second, whole.length))
    wanted = tuple(horizons) if horizons else HORIZONS["quarters" if whole.rate and whole.rate > 1 / 1000 else "hours"]
    for horizon in wanted:
        if horizon < 1:
            raise InputError(f"expected horizons of at least one step, got {horizon}")
        for part in (1, 2):
            task.steps(part, horizon)
    again = given.whole is not None and fingerprint(windowed(given.whole, model.plan.data)) == model.data.fingerprint
    same = again or fingerprint(windowed(given.train, model.plan.data)) == model.data.fingerprint
    if seeds > 1 and not same:
        raise InputError(
            "expected the data that the model was trained on to train under further seeds, got other data; take one seed"
        )
    if again:
        progress(
            "the model was trained on all of this data; it is trained again on the training part, so that the test part is unseen"
        )
    told = _Teller(task, head, frame(task.values, head.centre, head.lags), _calendar(whole, first), wanted)
    method, encoder = (
        registry.name_of(*what) for what in (("methods", model.plan.method), ("encoders", model.plan.encoder))
    )
    for seed in range(model.plan.seed, model.plan.seed + seeds):
        trained = run(anew(model.plan, seed), given.train) if again or seed != model.plan.seed else model
        for name, one in ((method, trained), (RANDOM, untrained(model, seed))):
            progress(f"seed {seed}: {name}")
            begin = time.perf_counter()
            embedded = _embedded(one, whole, head)
            took = time.perf_counter() - begin
            for kind in features:
                if kind != "lags":
                    told.ridge(name, encoder, kind, seed, embedded, took)
    progress("baselines")
    told.baselines(model.plan.seed, whole.rate)
    setting = f"forecast, {'univariate' if len(own) == 1 else 'multivariate'}"
    table = tidy(told.rows, dataset=given.name, setting=setting, commit=commit())
    return Forecasts(table, told.examples, told.past, told.future)


class _Teller:
    """Collects rows and examples, one feature set after another."""

    def __init__(self, task: Task, head: Head, to: Frame, calendar: np.ndarray | None, horizons: Sequence[int]) -> None:
        self.task, self.head, self.to, self.calendar, self.horizons = task, head, to, calendar, horizons
        self.rows: list[dict[str, Any]] = []
        self.examples: dict[str, np.ndarray] = {}
        longest = max(horizons)
        steps = task.steps(2, longest)
        self.shown = steps[np.linspace(0, len(steps) - 1, 3).round().astype(int)]
        shown = task.values[-1]
        self.past = np.stack([shown[max(0, t + 1 - longest) : t + 1] for t in self.shown])
        self.future = task.futures(-1, self.shown, longest)

    def ridge(
        self, method: str, encoder: str, kind: str, seed: int, embedded: list[np.ndarray], seconds: float = 0.0
    ) -> None:
        """embedded: (time, feature) for each channel; empty for lags alone."""
        begin = time.perf_counter()
        joint = self.head.kind == "joint"
        lagged = kind != "embedding"
        known = self._features(embedded, lagged, self.head.calendar or not embedded, joint)
        first = max(DROPPED, self.head.lags - 1) if lagged or self.head.centre == "window" else DROPPED
        ridge = Ridge(self.task, known, self.to, joint=joint, first=first)
        fits = [ridge.fit(horizon) for horizon in self.horizons]
        self._add(
            [fit.scores for fit in fits],
            method=method, encoder=encoder, features=kind, seed=seed, seconds=seconds + time.perf_counter() - begin,
        )  # fmt: skip
        self._show(f"{method}, {kind}" if embedded else method, max(fits, key=lambda fit: fit.horizon))

    def baselines(self, seed: int, rate: float | None) -> None:
        """Forecasts without learning, and ridge on raw lags: each channel by itself, centred on its last value."""
        self._add([last_value(self.task, h) for h in self.horizons], method=LAST, seed=seed)
        day = round(86400 * rate) if rate else 0
        if day > 1:
            self._add([seasonal_naive(self.task, h, day) for h in self.horizons], method=SEASON, seed=seed)
        plain = _Teller(self.task, replace(self.head, kind="independent", centre="last"), frame(self.task.values, "last", 1),
                        self.calendar, self.horizons)  # fmt: skip
        plain.ridge(LAGS, "none", "lags", seed, [])
        self.rows += plain.rows
        self.examples |= plain.examples

    def _features(self, embedded: list[np.ndarray], lagged: bool, calendar: bool, joint: bool) -> list[np.ndarray]:
        sides: list[list[np.ndarray]] = [[one] for one in embedded] or [[] for _ in self.task.values]
        if lagged:
            lags = centred_lags(self.task.values, self.to, self.head.lags)
            sides = [[*side, own] for side, own in zip(sides, lags, strict=True)]
        if joint and len({id(part) for side in sides for part in side}) > len(sides[0]):
            unlike = {id(part): part for side in sides for part in side}
            sides = [list(unlike.values())] * len(sides)
        if calendar and self.calendar is not None:
            sides = [[*side, self.calendar] for side in sides]
        made: dict[tuple[int, ...], np.ndarray] = {}
        for side in sides:
            key = tuple(map(id, side))
            if key not in made:
                made[key] = side[0] if len(side) == 1 else np.concatenate(side, axis=1)
        return [made[tuple(map(id, side))] for side in sides]

    def _add(self, scores: Sequence[Scores], *, method: str, seed: int, **about: Any) -> None:
        about = {"method": method, "encoder": "none", "features": "none", "seed": seed, "seconds": 0.0} | about
        for metric in ("mse", "mae", "validation"):
            values = [getattr(one, metric) for one in scores]
            if not np.isnan(values).all():
                told = [*zip(self.horizons, values, strict=True), ("mean", float(np.mean(values)))]
                self.rows += [{**about, "horizon": h, "metric": metric, "value": value} for h, value in told]

    def _show(self, name: str, fit: Fitted) -> None:
        self.examples.setdefault(name, fit(len(self.task.values) - 1, self.shown))


@dataclass(frozen=True)
class _Given:
    """Parts that follow one another, and the whole that they were cut from if that was done here."""

    name: str
    train: Panel
    validation: Panel
    test: Panel
    whole: Panel | None = None


def _given(data: Any) -> _Given:
    name = ""
    if isinstance(data, str | Path):
        name = Path(data).stem
        data = catalogue.load(str(data)) if str(data) in catalogue.names() or not Path(data).suffix else as_panel(data)
    if hasattr(data, "train") and hasattr(data, "test"):
        if data.validation is None:
            raise InputError(f"expected data with a validation part to choose penalties on, '{data.name}' has none")
        return _Given(str(data.name), _single(data.train), _single(data.validation), _single(data.test))
    whole = _single(as_panel(data))
    ends = np.cumsum([round(share * whole.length) for share in SHARES[:2]]).tolist()
    train, validation, test = (_cut(whole, *span) for span in ((0, ends[0]), (*ends,), (ends[1], whole.length)))
    return _Given(name, train, validation, test, whole)


def _single(panel: Panel) -> Panel:
    if len(panel) != 1:
        raise InputError(f"expected one long series to forecast, got {len(panel)}; forecast them one by one")
    return panel


def _cut(panel: Panel, begin: int, end: int) -> Panel:
    """Steps begin to end (exclusive) of one series."""
    stamps = None if panel.timestamps is None else panel.timestamps[:, begin:end]
    return replace(panel, values=panel.values[:, :, begin:end], start=panel.start + begin, timestamps=stamps,
                   label=None, step_label=None, classes=())  # fmt: skip


def _joined(*parts: Panel) -> Panel:
    """One series of parts that follow one another."""
    clocks = [part.timestamps for part in parts if part.timestamps is not None]
    stamps = np.concatenate(clocks, axis=1) if len(clocks) == len(parts) else None
    return Panel(
        np.concatenate([part.values for part in parts], axis=2), parts[0].channels, parts[0].rate, timestamps=stamps
    )


def _calendar(panel: Panel, end: int) -> np.ndarray | None:
    """(time, 7) float32, standardised by the steps before `end`; None without a clock."""
    if panel.timestamps is None:
        return None
    told = clock(panel.timestamps[0]).astype(np.float64)
    middle, spread = told[:, :end].mean(axis=1, keepdims=True), told[:, :end].std(axis=1, keepdims=True)
    return np.ascontiguousarray(((told - middle) / np.where(spread > 0, spread, 1)).T.astype(np.float32))


def _embedded(model: Model, whole: Panel, head: Head) -> list[np.ndarray]:
    """(time, feature) for each channel that is forecast: the same array where the model embeds them together."""
    flat = getattr(model.plan.encoder, "pool", None) == "flat"
    read = ("pooled" if flat else "last") if head.read == "auto" else head.read
    made = at_each_step(model.encoder, model.inputs(model.scaled(whole)), model.data.length, read)
    each = [np.ascontiguousarray(one.T) for one in made]
    return each if model.plan.data.independent else each * len([c for c in model.data.channels if c not in CALENDAR])
