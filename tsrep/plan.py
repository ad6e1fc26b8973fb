"""A plan is everything a run depends on. What it holds, and how it is written; `planning` makes one of what a user says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from tsrep import registry
from tsrep.learning import Training

Scaling = Literal["each", "one", "torso", "none"]


@dataclass(frozen=True)
class DataPlan:
    """What to learn from.

    name:      a data set of the catalogue (`tsrep datasets`), or a file: .csv, .parquet, .ts, .npz, .npy. None: data from memory.
    stream:    which stream, where the data has several and one is learned from.
    streams:   which streams are learned from together, or "all" of them. None: one stream, or all of them for a method of several.
    align:     how windows of several streams are cut together: by time (timestamps, else rates), or by relative position.
    steps:     resample each window of each of several streams to so many steps. None: as many as its rate gives.
    channels:  which channels, in this order. None: all.
    calendar:  add the calendar of the clock as seven channels: minute, hour, day of week, day, day of year, month, week.
    independent: every channel is a series of its own, all of them embedded by one encoder of one channel.
    window:    steps of a window, of several streams those of the first; longer series become several windows. None: whole series, those
               over 3000 steps in equal parts.
    hop:       steps from one window to the next. None: the window's length.
    scaling:   each: every channel to mean 0 and deviation 1 of the training part. one: all channels divided by one number, so that
               directions stay. torso: a skeleton about its hips, in torso lengths. none. Of several streams one word for all, or
               {skeleton: torso, inertial: each}; a stream that is not named is scaled by each.
    """

    name: str | None = None
    stream: str | None = None
    streams: tuple[str, ...] | Literal["all"] | None = None
    align: Literal["time", "position"] = "time"
    steps: Annotated[int, Gt(1)] | None = None
    channels: tuple[str, ...] | None = None
    calendar: bool = False
    independent: bool = False
    window: Annotated[int, Gt(1)] | None = None
    hop: Annotated[int, Gt(0)] | None = None
    scaling: Scaling | dict[str, Scaling] = "each"

    def scaling_of(self, stream: str | None) -> Scaling:
        """How a stream is scaled; None: the only one."""
        return self.scaling.get(stream or "", "each") if isinstance(self.scaling, Mapping) else self.scaling


@dataclass(frozen=True)
class Plan:
    """A run. The same plan, seed and machine give the same bits.

    data:      what to learn from.
    method:    how to learn, see `tsrep methods`.
    mining:    what changes the pairs of the method, in this order, with settings: {bad_pairs: {}, hard_negatives: {beta: 0.5}}.
    encoder:   what learns.
    encoders:  of several streams: "shared", one encoder for all; "each", one for each; or {skeleton: {name: causal}}, one for each, of
               these streams of a kind of their own.
    training:  how long and how fast.
    seed:      of weights, order, views and dropout.
    out:       folder of the run: checkpoints while it trains, the model afterwards. None: memory alone.
    workers:   processes of a Ray cluster to train on. 0: this process, without Ray.
    observers: who else watches, with settings: {mlflow: {experiment: wearables, register: steps}}.
    """

    data: DataPlan
    method: Any
    encoder: Any
    training: Training
    seed: Annotated[int, Ge(0)] = 0
    out: str | None = None
    workers: Annotated[int, Ge(0)] = 0
    mining: dict[str, Any] = field(default_factory=dict)
    encoders: Any = "shared"
    observers: dict[str, dict[str, Any]] = field(default_factory=dict)


ROOMS = {"method": ("methods", "ts2vec"), "encoder": ("encoders", "dilated")}
"""section -> the room its choices live in, and the choice made when the plan makes none."""

NAMED = ("mining", "observers")
"""Sections that hold several parts by name, each with its settings."""

ENCODERS = ("shared", "each")
"""What `encoders` may say in one word."""

Given = dict[str, tuple[Any, str]]
"""dotted key -> (value, where it was said)."""


def to_dict(plan: Plan) -> dict[str, Any]:
    """Nested plain values that `make` turns into the same plan."""
    content = dataclasses.asdict(plan)
    for section, (room, _) in ROOMS.items():
        content[section] = {"name": registry.name_of(room, getattr(plan, section)), **content[section]}
    if isinstance(plan.encoders, Mapping):
        content["encoders"] = {
            s: {"name": registry.name_of("encoders", e)} | settings_of(e) for s, e in plan.encoders.items()
        }
    plain: dict[str, Any] = _plain(content)
    return plain


def to_yaml(plan: Plan) -> str:
    import yaml

    return str(yaml.safe_dump(to_dict(plan), sort_keys=False))


def write(plan: Plan, folder: str | Path) -> Path:
    """Write `plan.yaml` into the folder of a run, which is made where it is missing."""
    path = Path(folder) / "plan.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_yaml(plan))
    return path


def settings_of(value: Any) -> dict[str, Any]:
    """The fields of a configuration by name."""
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
