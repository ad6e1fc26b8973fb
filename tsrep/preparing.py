"""From data and a plan to what the loop learns from: channels, windows, the part kept aside, scaling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsrep import drift, randomness, registry, stream_fitting
from tsrep.data import catalogue
from tsrep.data.columns import apart, columns, inputs
from tsrep.data.fingerprint import fingerprint
from tsrep.data.panel import Panel
from tsrep.data.readers import as_panel, as_streams
from tsrep.data.scaling import Scaler
from tsrep.data.splits import by_rows, by_subject
from tsrep.data.streams import Streams
from tsrep.data.windows import windows
from tsrep.errors import InputError
from tsrep.method import DataShape
from tsrep.model import Described, inputs_to_keep
from tsrep.origin import Origin, numbered
from tsrep.plan import DataPlan, Plan
from tsrep.series import Batch, Series
from tsrep.stream_fitting import coded, wanted
from tsrep.streaming import Stream

LONGEST = 3000
"""Steps of a series that is trained on whole; longer ones are windowed (the longest of TS2Vec)."""


@dataclass(frozen=True)
class Prepared:
    """Data that is ready for the loop, and what the model will say of it."""

    train: Series | Batch
    validation: Series | Batch | None
    scaler: Scaler
    shape: DataShape
    described: Described
    check: np.ndarray
    origin: Origin
    sample: np.ndarray | None = None
    streams: Mapping[str, Stream] = field(default_factory=dict)


def source(data: DataPlan, X: Any = None) -> tuple[Panel | Streams, str | None]:
    """The panel that a plan names or that was given, or the streams, and its licence where that is known."""
    if data.name is None:
        if X is None:
            raise InputError(
                "expected data: give X, or name a data set or file in the plan (data.name); `tsrep datasets` lists them"
            )
        return as_streams(X, wanted(data)) if data.streams else as_panel(X, stream=data.stream), None
    if data.name in catalogue.names() or not Path(data.name).suffix:
        if data.streams:
            several = catalogue.load_streams(data.name, wanted(data))
            return several.train, several.entry.licence
        name = data.name if data.stream is None else f"{data.name}:{data.stream}"
        dataset = catalogue.load(name)
        return dataset.train, dataset.entry.licence
    return as_streams(data.name, wanted(data)) if data.streams else as_panel(data.name, stream=data.stream), None


def prepare(panel: Panel | Streams, plan: Plan, licence: str | None = None) -> Prepared:
    """Cut, split off the validation part, fit the scaling on the rest. Raises InputError for data that cannot be learned from."""
    stream_fitting.check(plan, registry.name_of("methods", plan.method), panel if isinstance(panel, Streams) else None)
    if isinstance(panel, Streams):
        return _prepare_streams(panel, plan, licence)
    cut = windowed(panel, plan.data)
    if len(cut) < 2:
        raise InputError(
            "expected at least two windows to contrast, got one; set data.window to cut a long series into windows"
        )
    train, held = held_out(numbered(cut), plan.training.validation, plan.seed)
    _enough(len(train), None if held is None else len(held))
    scaler = Scaler.fit(train, plan.data.scaling_of(None))
    kept, alone = train.channels, plan.data.independent
    series = _series(train, scaler, alone)
    return Prepared(
        train=series,
        validation=None if held is None else _series(held, scaler, alone),
        scaler=scaler,
        shape=DataShape(
            len(series), inputs(kept, alone), train.length, train.rate, subject=None if alone else coded(train.subject)
        ),
        described=Described(
            name=plan.data.name,
            channels=kept,
            rate=train.rate,
            length=train.length,
            rows=len(train),
            fingerprint=fingerprint(train),
            classes=() if train.label is None else tuple(str(c) for c in np.unique(train.label)),
            licence=licence,
            unit=catalogue.unit(plan.data.name, plan.data.stream),
        ),
        check=inputs_to_keep(train),
        origin=Origin.of(train, alone),
        sample=drift.sample(train.values),
    )


def _prepare_streams(streams: Streams, plan: Plan, licence: str | None) -> Prepared:
    cut = stream_fitting.cut(streams, plan.data, LONGEST)
    if cut.count < 2:
        raise InputError(
            "expected at least two windows to contrast, got one; set data.window to cut long series into windows"
        )
    kept, aside = held_out(stream_fitting.outline(cut), plan.training.validation, plan.seed)
    train, held = cut.rows(kept.label), None if aside is None else cut.rows(aside.label)
    _enough(train.count, None if held is None else held.count)
    known = stream_fitting.parts(train, plan)
    first = next(iter(known.values()))
    told: dict[str, Any] = {"scaler": first.scaler, "check": first.check, "streams": known}
    told["described"] = stream_fitting.described(train, plan, licence)
    shape, whole = stream_fitting.shape(train), numbered(cut.first).rows(kept.label)
    if stream_fitting.needs(plan) > 1:
        aside_batch = None if held is None else stream_fitting.batch(held, known)
        origin = Origin.of(whole, False)
        return Prepared(
            train=stream_fitting.batch(train, known), validation=aside_batch, shape=shape, origin=origin, **told
        )
    series, rows = stream_fitting.pooled(train, known)
    who = None if shape.subject is None else shape.subject[torch.from_numpy(rows)]
    return Prepared(
        train=series,
        validation=None if held is None else stream_fitting.pooled(held, known)[0],
        shape=replace(shape, rows=len(series), streams=(), subject=who),
        origin=Origin.of(whole.rows(rows), False),
        **told,
    )


def _enough(train: int, held: int | None) -> None:
    if held is not None and min(train, held) < 2:
        raise InputError(
            f"expected at least two windows on each side of the validation split, got {train} and {held}: one alone has "
            "nothing to contrast with; change training.validation or cut more windows"
        )


def windowed(panel: Panel, data: DataPlan) -> Panel:
    """The windows and channels that a plan learns from."""
    panel = columns(panel, data.channels, data.calendar)
    if data.window is not None:
        return windows(panel, data.window, data.hop, keep_short=True)
    if data.hop is not None:
        raise InputError(f"data.hop={data.hop} needs data.window, the steps of a window")
    if panel.length > LONGEST:
        return windows(panel, math.ceil(panel.length / math.ceil(panel.length / LONGEST)), keep_short=True)
    return panel


def held_out(panel: Panel, share: float, seed: int) -> tuple[Panel, Panel | None]:
    """Whole subjects where they are known, else whole recordings, else series."""
    if share == 0:
        return panel, None
    if panel.subject is not None and len(np.unique(panel.subject)) > 2:
        split = by_subject(panel, test=share, seed=seed)
        return split.train, split.test
    groups = np.arange(len(panel)) if panel.recording is None else np.asarray(panel.recording)
    everyone = np.unique(groups)
    if len(everyone) < 3:
        raise InputError(f"expected at least three recordings to keep a validation part aside, got {len(everyone)}")
    count = min(max(1, round(share * len(everyone))), len(everyone) - 2)
    rng = np.random.default_rng(randomness.number(seed, randomness.VALIDATION))
    held = np.isin(groups, rng.permutation(everyone)[:count])
    split = by_rows(panel, train=np.flatnonzero(~held), test=np.flatnonzero(held), subjects=False)
    return split.train, split.test


def _series(panel: Panel, scaler: Scaler, alone: bool) -> Series:
    values = scaler.transform(panel.values)
    values = apart(values, panel.channels) if alone else values
    if panel.timestamps is None:
        return Series.of(torch.from_numpy(values))
    stamps = np.repeat(panel.timestamps, len(values) // len(panel), axis=0)
    return Series.of(torch.from_numpy(values), timestamps=torch.from_numpy(stamps))
