"""Long recordings in, windows out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tsrep.data.panel import Panel
from tsrep.errors import InputError


def windows(panel: Panel, length: int, hop: int | None = None, keep_short: bool = False) -> Panel:
    """Cuts every series into windows of `length` steps, one every `hop` steps (default: `length`, so none overlap).

    keep_short: keep the last window of a series where it holds steps that no whole window holds, padded with NaN; a
                series shorter than a window becomes one. Otherwise those steps are left out.
    Returns windows in the order of series and time, (m, channel, length). `recording` is the index of the series (or
    the recording that the panel says), `start` the step of the recording at which the window begins; label, subject
    and clock go along. Windows in which nothing was observed are left out. Where the panel has a label for each step,
    the label of a window is the class that most of its steps have, as a name of `classes`; windows without any labelled
    step are left out.

    InputError where the window is longer than the longest series, or nothing is left.
    """
    hop = length if hop is None else hop
    for what, value in (("length", length), ("hop", hop)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise InputError(f"expected {what} to be a whole number of steps of at least 1, got {value!r}")
    steps = panel.lengths
    if length > steps.max(initial=0):
        raise InputError(
            f"expected windows no longer than the longest series of {steps.max(initial=0)} steps, got {length}; "
            "take a shorter window"
        )
    begins = np.arange(0, panel.length, hop)
    last = steps[:, None] - (length if not keep_short else 1)
    chosen = begins <= last
    if keep_short:  # a partial window only where it reaches steps that the window before did not
        chosen &= (begins == 0) | (begins - hop + length < steps[:, None])
    row, column = np.nonzero(chosen)
    begin = begins[column]
    some = cut(panel.values, length, row, begin)
    kept = ~np.isnan(some).all(axis=(1, 2))
    made = None
    if panel.step_label is not None:
        made = majority(cut(panel.step_label, length, row, begin, fill=-1), len(panel.classes))
        kept &= made >= 0
    if not kept.any():
        raise InputError(f"no window of {length} steps is left: nothing was observed or labelled in any of {len(kept)}")
    row, begin = row[kept], begin[kept]
    label = np.array(panel.classes)[made[kept]] if made is not None else take(panel.label, row)
    return replace(
        panel,
        values=some if kept.all() else some[kept],
        label=label,
        subject=take(panel.subject, row),
        recording=row if panel.recording is None else panel.recording[row],
        start=panel.start[row] + begin,
        timestamps=None if panel.timestamps is None else cut(panel.timestamps, length, row, begin, np.nan),
        step_label=None,
        classes=(),
    )


def cut(array: np.ndarray, length: int, row: np.ndarray, begin: np.ndarray, fill: float = np.nan) -> np.ndarray:
    """(n, ..., time) -> (m, ..., length): windows that begin at these steps of these rows, `fill` beyond the end."""
    short = int((begin + length).max()) - array.shape[-1]
    if short > 0:
        array = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, short)], constant_values=array.dtype.type(fill))
    view = sliding_window_view(array, length, axis=-1)
    return np.asarray(np.moveaxis(view, -2, 1)[row, begin])


def majority(labels: np.ndarray, classes: int) -> np.ndarray:
    """(m, length) class indices, -1 for none -> (m,) the most frequent class (the lowest of equals), -1 for none."""
    m = len(labels)
    count = np.zeros((m, classes + 1), np.int64)
    np.add.at(count, (np.arange(m)[:, None], labels + 1), 1)
    best = count[:, 1:].argmax(axis=1)
    return np.where(count[:, 1:].any(axis=1), best, -1)


def take(array: np.ndarray | None, row: np.ndarray) -> np.ndarray | None:
    return None if array is None else array[row]
