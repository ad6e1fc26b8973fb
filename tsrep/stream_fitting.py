"""Several streams: from data and a plan to batches of the same rows, scaled stream by stream, and what a method may know of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tsrep.data.alignment import together
from tsrep.data.columns import columns
from tsrep.data.fingerprint import fingerprint
from tsrep.data.layout import span
from tsrep.data.panel import Panel
from tsrep.data.scaling import Scaler
from tsrep.data.streams import Streams
from tsrep.errors import InputError, nearest
from tsrep.method import DataShape, StreamShape
from tsrep.model import Described
from tsrep.plan import DataPlan, Plan
from tsrep.series import Batch, Series
from tsrep.streaming import Stream

KEPT = 4
"""Rows that a model keeps to prove itself by."""


def wanted(data: DataPlan) -> list[str] | None:
    """Names of the streams that a plan asks for; None: all."""
    return None if data.streams in (None, "all") else list(data.streams or ())


def needs(plan: Plan) -> int:
    """How many streams the method of a plan learns from at least."""
    return int(getattr(type(plan.method), "streams", 1))


def check(plan: Plan, name: str, streams: Streams | None) -> None:
    """InputError where the method cannot learn from so many streams, or not with such encoders."""
    least = needs(plan)
    have = 1 if streams is None else len(streams)
    if have < least:
        held = "one stream" if streams is None else f"{have} ({', '.join(streams)})"
        raise InputError(
            f"expected at least {least} streams for the method '{name}', got {held}: say which with data.streams=[wrist, hip] or "
            "data.streams=all, and give data that has them"
        )
    if streams is None:
        if plan.encoders != "shared":
            raise InputError(
                f"expected several streams for encoders={plan.encoders}, got one: set data.streams, or leave encoders out"
            )
        if isinstance(plan.data.scaling, dict):
            raise InputError(
                f"expected one word for data.scaling where one stream is learned from, got {plan.data.scaling}: set data.streams"
            )
        return
    if plan.data.independent:
        raise InputError("expected one stream where channels are independent, got several: leave data.independent out")
    if least == 1 and plan.encoders != "shared":
        raise InputError(
            f"expected encoders=shared for '{name}', which learns from one stream and takes the rows of all as its own, "
            f"got {plan.encoders}"
        )
    for stream in plan.data.scaling if isinstance(plan.data.scaling, dict) else ():
        if stream not in streams:
            raise InputError(f"no stream '{stream}' in the data to be scaled; {nearest(stream, list(streams))}")
    unknown = [stream for stream in plan.encoders if stream not in streams] if isinstance(plan.encoders, dict) else []
    if unknown:
        raise InputError(
            f"no stream '{unknown[0]}' in the data to give an encoder of its own; it has {', '.join(streams)}"
        )


def cut(streams: Streams, data: DataPlan, longest: int) -> Streams:
    """The windows and channels that a plan learns from. longest: steps of a series that is not windowed."""
    streams = Streams({name: columns(panel, data.channels, data.calendar) for name, panel in streams.items()})
    length = data.window
    first = next(iter(streams.values())).length
    if length is None and data.steps is None and max(panel.length for panel in streams.values()) > longest:
        length = -(-first // -(-max(panel.length for panel in streams.values()) // longest))
    if data.hop is not None and data.window is None:
        raise InputError(f"data.hop={data.hop} needs data.window, the steps of a window")
    return together(streams, length, data.hop, align=data.align, steps=data.steps)


def outline(streams: Streams) -> Panel:
    """A panel that stands for the rows in a split: its label is their number."""
    n = streams.count
    return Panel(
        np.ones((n, 1, 1), np.float32),
        label=np.arange(n),
        subject=streams.subject,
        recording=np.arange(n) if streams.recording is None else streams.recording,
    )


def described(streams: Streams, plan: Plan, licence: str | None) -> Described:
    label = streams.label
    return Described(
        name=plan.data.name,
        channels=tuple(f"{name}.{channel}" for name, panel in streams.items() for channel in panel.channels),
        rate=next(iter(streams.values())).rate,
        length=max(panel.length for panel in streams.values()),
        rows=streams.count,
        fingerprint=fingerprint(streams),
        classes=() if label is None else tuple(str(c) for c in np.unique(label)),
        licence=licence,
    )


def parts(train: Streams, plan: Plan) -> dict[str, Stream]:
    """What a model will know of each stream, its scaling fitted on the training part."""
    if plan.encoders == "shared":
        first, *others = train.items()
        for name, panel in others:
            if panel.channels != first[1].channels:
                raise InputError(
                    f"expected streams of the same channels for one shared encoder, got {_named(first[1])} of '{first[0]}' "
                    f"and {_named(panel)} of '{name}': set encoders=each, or choose data.channels"
                )
    kept = _kept(train)
    return {
        name: Stream(
            channels=panel.channels,
            rate=panel.rate,
            length=panel.length,
            scaler=Scaler.fit(panel, plan.data.scaling_of(name)),
            check=np.ascontiguousarray(panel.values[kept]),
        )
        for name, panel in train.items()
    }


def batch(streams: Streams, known: dict[str, Stream]) -> Batch:
    """Scaled series of each stream. Absent ones are zero, nothing observed, their extent the whole window."""
    return {name: _series(panel, known[name].scaler) for name, panel in streams.items()}


def pooled(streams: Streams, known: dict[str, Stream]) -> tuple[Series, np.ndarray]:
    """The rows of all streams as series of one, stream by stream, absent ones left out: and of each the row that it was."""
    longest = max(panel.length for panel in streams.values())
    values, rows = [], []
    for name, panel in streams.items():
        here = np.flatnonzero(panel.lengths > 0)
        scaled = known[name].scaler.transform(panel.values[here])
        values.append(np.pad(scaled, ((0, 0), (0, 0), (0, longest - panel.length)), constant_values=np.nan))
        rows.append(here)
    return Series.of(torch.from_numpy(np.concatenate(values))), np.concatenate(rows)


def shape(streams: Streams) -> DataShape:
    """What a method may know of the data."""
    shapes = tuple(StreamShape(name, p.channels, p.length, p.rate) for name, p in streams.items())
    return DataShape(
        streams.count, shapes[0].channels, max(s.length for s in shapes), shapes[0].rate, shapes, coded(streams.subject)
    )


def coded(subject: np.ndarray | None) -> torch.Tensor | None:
    """(n,) subjects counted from zero."""
    return None if subject is None else torch.from_numpy(np.unique(subject, return_inverse=True)[1].astype(np.int64))


def _named(panel: Panel) -> str:
    return f"{len(panel.channels)} ({span(panel.channels)})"


def _series(panel: Panel, scaler: Scaler) -> Series:
    clock = None if panel.timestamps is None else torch.from_numpy(panel.timestamps)
    series = Series.of(torch.from_numpy(scaler.transform(panel.values)), timestamps=clock)
    return replace(series, extent=series.extent | ~series.present[:, None])


def _kept(streams: Streams) -> np.ndarray:
    """A few rows, spread over those that have the most streams."""
    count = np.sum(list(streams.present.values()), axis=0)
    full: Any = np.flatnonzero(count == count.max())
    return np.asarray(full[np.unique(np.linspace(0, len(full) - 1, KEPT).round().astype(int))])
