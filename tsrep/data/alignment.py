"""Windows of several streams, cut together: by time, or by relative position where their clocks cannot be trusted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from tsrep.data.panel import Panel
from tsrep.data.streams import Streams
from tsrep.data.windows import cut, majority, take
from tsrep.errors import InputError

Align = Literal["time", "position"]


def together(
    streams: Streams,
    length: int | None = None,
    hop: int | None = None,
    *,
    align: Align = "time",
    steps: int | None = None,
) -> Streams:
    """Windows of all streams, row i of every one the same moment, in the order of rows and time.

    length, hop: steps of the first stream; None: whole rows, and hop None: length. The other streams cover the same.
    align:       time: the same seconds, by timestamps where a stream has them and else from the beginning of the row; each stream has
                 its own number of steps, seconds times rate. A row begins when the last of its streams does and ends with the first.
                 position: the same shares of a row, of each stream from its first to its last step.
    steps:       resample every window of every stream to so many steps (`resampled`).

    Windows of which nothing was observed in any stream, or without a labelled step where steps have labels, are left out. Of shorter
    rows, and at the end of a row, a window is shorter (NaN). InputError where a rate is missing.
    """
    if length is None and hop is not None:
        raise InputError(f"a hop of {hop} steps needs a length of the windows")
    for what, value in (("length", length), ("hop", hop), ("steps", steps)):
        if value is not None and value < 1:
            raise InputError(f"expected {what} to be a whole number of steps of at least 1, got {value}")
    if length is not None:
        streams = _windows(streams, length, hop or length, align)
    elif align == "time" and any(panel.timestamps is not None for panel in streams.values()):
        longest = _spans(streams, "time")[0].max(initial=1)
        streams = _windows(streams, max(1, math.ceil(longest)), max(1, math.ceil(longest)), align)
    return streams if steps is None else Streams({name: resampled(panel, steps) for name, panel in streams.items()})


def resampled(panel: Panel, steps: int) -> Panel:
    """Every series, from its first to its last observed step, on `steps` equidistant places, in straight lines between neighbours.

    What touches a missing value is missing. The rate is no longer known: rows differ in theirs.
    """
    seen = ~np.isnan(panel.values).all(axis=1)
    last = np.maximum(panel.lengths - 1, 0)
    first = np.minimum(seen.argmax(axis=1), last)
    place = first[:, None] + (last - first)[:, None] * np.linspace(0.0, 1.0, steps)
    low = np.clip(np.floor(place + 1e-9).astype(np.int64), 0, panel.length - 1)
    share = np.where(place - low < 1e-9, 0.0, place - low)
    high = np.minimum(low + 1, panel.length - 1)

    def between(array: np.ndarray) -> np.ndarray:
        """(n, ..., time) -> (n, ..., steps)"""
        shape = (len(panel), *(1,) * (array.ndim - 2), steps)
        begin, end = (np.take_along_axis(array, at.reshape(shape), axis=-1) for at in (low, high))
        part = share.reshape(shape)
        made: np.ndarray = np.where(part == 0, begin, begin + part * (end - begin)).astype(array.dtype)
        return made

    label = panel.step_label
    nearest = None if label is None else np.take_along_axis(label, np.where(share < 0.5, low, high), axis=1)
    clock = None if panel.timestamps is None else between(panel.timestamps)
    return replace(panel, values=between(panel.values), rate=None, timestamps=clock, step_label=nearest)


def _windows(streams: Streams, length: int, hop: int, align: Align) -> Streams:
    span, begin_of, pace = _spans(streams, align)
    begins = np.arange(0, max(1, math.ceil(span.max(initial=0))), hop)
    chosen = (begins < span[:, None]) & ((begins == 0) | (begins - hop + length < span[:, None]))
    row, column = np.nonzero(chosen)
    begin = begins[column]
    if not len(row):
        raise InputError("no window is left: the streams of no row have a moment in common")
    end = np.minimum(begin + length, span[row])
    parts: dict[str, Panel] = {}
    labels: list[tuple[np.ndarray, tuple[str, ...]]] = []
    for name, panel in streams.items():
        at = np.rint(begin_of[name][row] + begin * pace[name][row]).astype(np.int64)
        count = np.rint(begin_of[name][row] + end * pace[name][row]).astype(np.int64) - at
        if align == "time":  # a whole window has as many steps wherever it begins
            count[end - begin == length] = max(1, round(length * float(pace[name][0])))
        wide = max(1, int(count.max(initial=1)))
        beyond = np.arange(wide) >= count[:, None]
        values = cut(panel.values, wide, row, at)
        values[np.broadcast_to(beyond[:, None], values.shape)] = np.nan
        clock = None
        if panel.timestamps is not None:
            clock = cut(panel.timestamps, wide, row, at)
            clock[beyond] = np.nan
        if panel.step_label is not None:
            told = cut(panel.step_label, wide, row, at, fill=-1)
            labels.append((majority(np.where(beyond, -1, told), len(panel.classes)), panel.classes))
        parts[name] = replace(
            panel,
            values=values,
            label=take(panel.label, row),
            subject=take(panel.subject, row),
            recording=row if panel.recording is None else panel.recording[row],
            start=panel.start[row] + at,
            timestamps=clock,
            step_label=None,
            classes=(),
        )
    kept = np.any([panel.lengths > 0 for panel in parts.values()], axis=0)
    if labels:
        kept &= labels[0][0] >= 0
    if not kept.any():
        raise InputError(f"no window of {length} steps is left: nothing was observed or labelled in any of {len(kept)}")
    made = {name: panel.rows(kept) for name, panel in parts.items()}
    if labels:
        label = np.array(labels[0][1])[labels[0][0][kept]]
        made = {name: replace(panel, label=label) for name, panel in made.items()}
    return Streams(made)


def _spans(streams: Streams, align: Align) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """How long each row is, (n,) in steps of the first stream; and of each stream, (n,) each, the step at which the row begins in it
    and its steps for one step of the first. A stream that a row lacks has no say."""
    steps = {name: panel.lengths.astype(np.float64) for name, panel in streams.items()}
    here = streams.present
    names = list(streams)
    if align == "position":
        span = steps[names[0]].copy()
        for name in names[1:]:  # rows that lack the first stream: as long as its share of the others
            both = here[names[0]] & here[name]
            ratio = float(np.median(steps[names[0]][both] / steps[name][both])) if both.any() else 1.0
            span = np.where((span == 0) & here[name], np.rint(steps[name] * ratio), span)
        zero = np.zeros(streams.count)
        return span, dict.fromkeys(names, zero), {name: steps[name] / span for name in names}
    rate = _rates(streams)
    clocks = {name: panel.timestamps for name, panel in streams.items() if panel.timestamps is not None}
    origin = np.full(streams.count, -np.inf)
    for name, clock in clocks.items():
        origin = np.where(here[name], np.maximum(origin, clock[:, 0]), origin)
    begin = {
        name: np.where(here[name], (origin - clocks[name][:, 0]) * rate[name], 0.0)
        if name in clocks
        else np.zeros(streams.count)
        for name in names
    }
    pace = {name: rate[name] / rate[names[0]] for name in names}
    left = [np.where(here[name], (steps[name] - begin[name]) / pace[name], np.inf) for name in names]
    span = np.maximum(np.floor(np.min(left, axis=0) + 1e-6), 0.0)
    return span, begin, {name: np.full(streams.count, pace[name]) for name in names}


def _rates(streams: Streams) -> dict[str, float]:
    """Steps per second; where no stream knows it and all are of one length in every row, steps per step."""
    known = {name: panel.rate for name, panel in streams.items()}
    if all(rate is not None for rate in known.values()):
        return {name: float(rate) for name, rate in known.items() if rate is not None}
    unknown = [name for name, rate in known.items() if rate is None]
    lengths = np.array([panel.lengths for panel in streams.values()])
    alike = bool(((lengths == lengths.max(axis=0)) | (lengths == 0)).all())
    if len(unknown) < len(known) or not alike or any(panel.timestamps is not None for panel in streams.values()):
        raise InputError(
            f"expected the rate of every stream to align them by time, got none of {', '.join(unknown)}: give rates (or timestamps at "
            "regular steps), or align by relative position (align=position)"
        )
    return dict.fromkeys(known, 1.0)
