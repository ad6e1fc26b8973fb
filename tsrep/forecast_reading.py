"""How a forecast is read off frozen features, and what is told of it: rows of errors, and examples to draw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np

from tsrep.errors import InputError
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

LAST, SEASON, LAGS = "last value", "seasonal naive", "ridge on raw lags"


@dataclass(frozen=True)
class Head:
    """How a forecast is read off frozen features.

    kind:     independent: a ridge for each channel, with its own penalty; on the embedding of the channel where the model embeds
              channels one by one. joint: one ridge on all features for all channels. shared: one ridge from the features of a channel
              to its own steps to come, the same coefficients for all channels; of a model that embeds them one by one.
    centre:   what is taken off a forecast and its lags: none; last: the last value; window: mean, and deviation, of the lags (RevIN).
    lags:     how many values of the past ridge on raw lags sees, and "both" beside the embedding.
    calendar: the calendar at the step it is forecast from, beside the embedding. Ridge on raw lags has it always.
    read:     the embedding of a step: last, that of the last step of its window; pooled, that of the window; auto: last, but pooled
              where the encoder lays its patches one after another (pool: flat).
    """

    kind: Literal["independent", "joint", "shared"] = "independent"
    centre: Centre = "last"
    lags: int = 336
    calendar: bool = False
    read: Literal["auto", "last", "pooled"] = "auto"

    def __str__(self) -> str:
        """What differs from the default, for a table."""
        return " ".join(f"{f.name}={getattr(self, f.name)}" for f in fields(self) if getattr(self, f.name) != f.default)

    def __post_init__(self) -> None:
        for name, known in (
            ("kind", ("independent", "joint", "shared")),
            ("centre", get_args(Centre)),
            ("read", ("auto", "last", "pooled")),
        ):
            if getattr(self, name) not in known:
                raise InputError(
                    f"expected {name} of the head to be one of {', '.join(known)}, got '{getattr(self, name)}'"
                )
        if self.lags < 1:
            raise InputError(f"expected at least one lag, got {self.lags}")


PLAIN = Head()
"""The head where none is asked for."""


class Teller:
    """Collects rows and examples, one feature set after another."""

    def __init__(self, task: Task, head: Head, to: Frame, calendar: np.ndarray | None, horizons: Sequence[int]) -> None:
        self.task, self.head, self.to, self.calendar, self.horizons = task, head, to, calendar, horizons
        self.rows: list[dict[str, Any]] = []
        self.examples: dict[str, np.ndarray] = {}
        longest = max(horizons)
        steps = task.steps(task.measured, longest)
        self.shown = steps[np.linspace(0, len(steps) - 1, 3).round().astype(int)]
        shown = task.values[-1]
        self.past = np.stack([shown[max(0, t + 1 - longest) : t + 1] for t in self.shown])
        self.future = task.futures(-1, self.shown, longest)

    def ridge(
        self, method: str, encoder: str, kind: str, seed: int, embedded: list[np.ndarray], seconds: float = 0.0
    ) -> None:
        """embedded: (time, feature) for each channel; empty for lags alone."""
        begin = time.perf_counter()
        joint, shared = (self.head.kind == kind for kind in ("joint", "shared"))
        lagged = kind != "embedding"
        known = self._features(embedded, lagged, self.head.calendar or method == LAGS, joint)
        first = max(DROPPED, self.head.lags - 1) if lagged or self.head.centre == "window" else DROPPED
        ridge = Ridge(self.task, known, self.to, joint=joint, shared=shared, first=first)
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
        if 1 < day <= self.task.ends[-2]:  # else there is no day before the part to repeat
            self._add([seasonal_naive(self.task, h, day) for h in self.horizons], method=SEASON, seed=seed)
        plain = Teller(self.task, replace(self.head, kind="independent", centre="last"), frame(self.task.values, "last", 1),
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
