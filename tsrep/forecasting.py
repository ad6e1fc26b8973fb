"""Forecast from frozen embeddings, always beside the last value, the season, ridge on raw lags and a random untrained encoder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from tsrep import registry
from tsrep.data.columns import CALENDAR, clock, columns
from tsrep.data.fingerprint import fingerprint
from tsrep.data.layout import check_channels
from tsrep.data.panel import Panel
from tsrep.data.parts import Parts, in_three, joined
from tsrep.data.scaling import Scaler
from tsrep.encoding import Read, at_each_step
from tsrep.errors import InputError, nearest
from tsrep.evaluating import commit
from tsrep.evaluation.forecast import DROPPED, Task, frame
from tsrep.evaluation.tidy import tidy
from tsrep.fitting import anew, run
from tsrep.forecast_reading import PLAIN, Head, Teller
from tsrep.model import Model, untrained
from tsrep.preparing import windowed

HORIZONS = {"hours": (24, 48, 168, 336, 720), "quarters": (24, 48, 96, 288, 672)}
"""Steps ahead that the literature measures, for hourly data and for data of a quarter of an hour."""

RANDOM = "random encoder"
SAME = "the head on raw lags"
Part = Literal["test", "validation"]
PARTS = get_args(Part)
FEATURES = ("embedding", "both", "lags")


@dataclass(frozen=True)
class Forecasts:
    """What was measured.

    table:    tidy, one number a row; the horizon "mean" is the mean over all of them.
    examples: method -> (windows, longest horizon) forecasts of the last channel from a few steps of the part.
    past, future: (windows, steps) what was before and what came, in units of the training part's deviation.
    part:     on which it was measured, test or validation.
    """

    table: pd.DataFrame
    examples: Mapping[str, np.ndarray]
    past: np.ndarray
    future: np.ndarray
    part: Part = "test"


def forecast(
    model: Model,
    data: Any,
    *,
    horizons: Sequence[int] | None = None,
    head: Head = PLAIN,
    features: Sequence[str] = ("embedding", "both"),
    seeds: int = 1,
    part: Part = "test",
    progress: Callable[[str], None] = lambda text: None,
) -> Forecasts:
    """Measure how well the steps to come are read off frozen embeddings of the steps before; see `tsrep.evaluation.forecast`.

    data:     name of a data set of the catalogue; a `Dataset` with a validation part; or one long series, cut in 60, 20 and 20 % by
              time. The channels that the model was trained on are forecast, the calendar apart. A model that was trained on all of
              the data is trained again on the training part: the test part stays unseen.
    horizons: steps ahead; None: those of the literature (hourly 24, 48, 168, 336, 720; quarters of an hour 24, 48, 96, 288, 672).
    features: what the head reads: embedding, both, and lags, which shows what the embedding adds to them under this very head (ridge on
              raw lags, the baseline, is always centred on the last value and reads each channel by itself).
    seeds:    with more than one the model is trained again under each further seed.
    part:     whose errors: test; or validation, to choose a configuration by. Then the series ends with the validation part before
              anything is computed, and a model that was not trained on the training part alone is trained again on it. The penalties
              are chosen on the validation part too, so its errors are a little too small, for all configurations alike.
    progress: is told what is going on.
    Raises InputError, before anything is trained, for data that is no single long series without gaps, or too short for a horizon.
    """
    (found,) = forecasts(
        model, data, [head], horizons=horizons, features=features, seeds=seeds, part=part, progress=progress
    )
    return found


def forecasts(
    model: Model,
    data: Any,
    heads: Sequence[Head],
    *,
    horizons: Sequence[int] | None = None,
    features: Sequence[str] = ("embedding", "both"),
    seeds: int = 1,
    part: Part = "test",
    baselines: bool = True,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Forecasts]:
    """`forecast` with each of the heads, which read the same embeddings: the series is embedded once for all of them.

    baselines: the random encoder, last value, season and ridge on raw lags too. False: to choose between candidates whose baselines
               stand in another call; what is shown to people has them.
    """
    _refuse(model, heads, features, part, seeds)
    own = tuple(name for name in model.data.channels if name not in CALENDAR)
    given = in_three(data, own)
    whole = joined(given.train, given.validation, *([given.test] if part == "test" else []))
    seen = columns(whole, model.plan.data.channels, model.plan.data.calendar)  # by the encoder
    check_channels(seen, model.data.channels)
    first, second = given.train.length, given.train.length + given.validation.length
    scaler = Scaler.fit(columns(given.train, own, False))
    values = scaler.transform(columns(seen, own, False).values)[0].astype(np.float64)
    task = Task(values, (first, second, whole.length) if part == "test" else (first, second))
    clock_of = _calendar(whole, first)
    read = [kind for kind in features if kind != "lags"]
    if any(head.calendar for head in heads) and clock_of is None:
        raise InputError(
            "expected a clock to take the calendar of the head from (a column timestamp), the data has none; set calendar=False"
        )
    wanted = _horizons(horizons, whole.rate)
    lags = max(head.lags for head in heads)
    for horizon in wanted:
        for place in range(len(task.ends)):  # ridge on raw lags is always fitted
            task.steps(place, horizon, 0 if place else max(DROPPED, lags - 1))
    if whole.timestamps is not None and whole.rate is None:
        progress("the clock of the data is not regular; every row is taken as one step")
    named = isinstance(data, str | Path) and str(data) == model.plan.data.name
    why = _again(model, given, whole, named, part)
    same = why or named or _learned_from(model, given.train)
    if seeds > 1 and not same:
        raise InputError(
            "expected the data that the model was trained on to train under further seeds, got other data; take one seed"
        )
    if why:
        progress(f"{why}; it is trained again on the training part, so that the test part is unseen")
    tellers = [Teller(task, head, frame(task.values, head.centre, head.lags), clock_of, wanted) for head in heads]
    method, encoder = (
        registry.name_of(*what) for what in (("methods", model.plan.method), ("encoders", model.plan.encoder))
    )
    for seed in range(model.plan.seed, model.plan.seed + seeds) if read else ():
        trained = run(anew(model.plan, seed), given.train) if why or seed != model.plan.seed else model
        # The random encoder is that of the model that is measured: its scaling and its window know the training part alone.
        measured = {method: trained} | ({RANDOM: untrained(trained, seed)} if baselines else {})
        for name, one in measured.items():
            progress(f"seed {seed}: {name}")
            made: dict[Read, tuple[list[np.ndarray], float]] = {}
            for told in tellers:
                how = _read(one, told.head)
                if how not in made:
                    begin = time.perf_counter()
                    made[how] = _embedded(one, seen, how), time.perf_counter() - begin
                for kind in read:
                    told.ridge(name, encoder, kind, seed, *made[how])
    if baselines:
        progress("baselines")
    about = f"forecast, {'univariate' if len(own) == 1 else 'multivariate'}" + (
        "" if part == "test" else ", validation part"
    )
    results = []
    for told in tellers:
        if "lags" in features:
            told.ridge(SAME, "none", "lags", model.plan.seed, [])
        if baselines:
            told.baselines(model.plan.seed, whole.rate)
        setting = about + ("" if told.head == PLAIN else f", {told.head}")
        table = tidy(told.rows, dataset=given.name, setting=setting, commit=commit())
        results.append(Forecasts(table, told.examples, told.past, told.future, part))
    return results


def _horizons(given: Sequence[int] | None, rate: float | None) -> tuple[int, ...]:
    wanted = HORIZONS["quarters" if rate and rate > 1 / 1000 else "hours"] if given is None else tuple(given)
    for horizon in wanted:
        if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
            raise InputError(f"expected horizons in whole steps, at least one, got {horizon}")
    if not wanted:
        raise InputError("expected at least one horizon, got none")
    return tuple(dict.fromkeys(int(horizon) for horizon in wanted))


def _refuse(model: Model, heads: Sequence[Head], features: Sequence[str], part: str, seeds: int) -> None:
    for word, given, known in (*(("features", name, FEATURES) for name in features), ("part", part, PARTS)):
        if given not in known:
            raise InputError(f"unknown {word} '{given}'; {nearest(given, known)}")
    if seeds < 1:
        raise InputError(f"expected at least one seed, got {seeds}")
    together = not model.plan.data.independent and len([c for c in model.data.channels if c not in CALENDAR]) > 1
    if together and set(features) != {"lags"} and any(head.kind == "shared" for head in heads):
        raise InputError(
            "expected a model that embeds channels one by one (data.independent=true) for a head that they share, got one that "
            "embeds them together; take the head joint"
        )


def _again(model: Model, given: Parts, whole: Panel, named: bool, part: Part) -> str:
    """Why the model is to be trained again on the training part; "" where it is measured as it is."""
    if part == "validation":  # whether it saw the test part cannot be told without reading that
        return "" if _learned_from(model, given.train) else "the model was not trained on the training part alone"
    all_of_it = _learned_from(model, whole) or (given.cut and named)  # by name too: a file may have grown since
    return "the model was trained on all of this data" if all_of_it else ""


def _learned_from(model: Model, panel: Panel) -> bool:
    """Whether these are the data that the model was trained on."""
    try:
        return fingerprint(windowed(panel, model.plan.data)) == model.data.fingerprint
    except InputError:  # what does not hold one window of the plan was not what it was carried out on
        return False


def _calendar(panel: Panel, end: int) -> np.ndarray | None:
    """(time, 7) float32, standardised by the steps before `end`; None without a clock."""
    if panel.timestamps is None:
        return None
    told = clock(panel.timestamps[0]).astype(np.float64)
    middle, spread = told[:, :end].mean(axis=1, keepdims=True), told[:, :end].std(axis=1, keepdims=True)
    return np.ascontiguousarray(((told - middle) / np.where(spread > 0, spread, 1)).T.astype(np.float32))


def _read(model: Model, head: Head) -> Read:
    flat = getattr(model.plan.encoder, "pool", None) == "flat"
    return head.read if head.read != "auto" else "pooled" if flat else "last"


def _embedded(model: Model, seen: Panel, read: Read) -> list[np.ndarray]:
    """(time, feature) for each channel that is forecast: the same array where the model embeds them together."""
    made = at_each_step(model.encoder, model.inputs(model.scaled(seen)), model.data.length, read)
    each = [np.ascontiguousarray(one.T) for one in made]
    return each if model.plan.data.independent else each * len([c for c in model.data.channels if c not in CALENDAR])
