"""sktime's panel types (pd-multiindex, nested_univ, df-list) without importing sktime: all are pandas inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tsrep.data.clock import rate_of, seconds
from tsrep.data.layout import inside, numbers, padded, padded_steps
from tsrep.data.panel import Panel
from tsrep.data.table import lay_out
from tsrep.errors import InputError


def is_nested(frame: pd.DataFrame) -> bool:
    """Whether the cells are series themselves (sktime's nested_univ)."""
    return bool(len(frame)) and any(isinstance(cell, pd.Series | np.ndarray | list) for cell in frame.iloc[0])


def from_multiindex(frame: pd.DataFrame) -> Panel:
    """Panel of a frame with the index (instance, time) and one column a channel.

    Times that are dates become timestamps; whole numbers only order the steps, as they do in sktime.
    """
    if frame.index.nlevels != 2:
        raise InputError(
            f"expected an index of two levels (instance, time), got {frame.index.nlevels}: "
            "join the upper levels into one first"
        )
    if len(frame) == 0:
        raise InputError("expected at least one row, got an empty frame: empty data")
    codes, names = pd.factorize(frame.index.get_level_values(0))
    time = frame.index.get_level_values(1)
    clock = seconds(time, "the time level of the index")
    order, length = lay_out(codes, np.asarray(names), clock)
    ordinal = pd.api.types.is_integer_dtype(time)
    timestamps = None if ordinal else padded_steps(clock[order], length, np.nan)
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise InputError(f"expected column {name} to hold numbers, got {frame[name].dtype}")
    with np.errstate(over="ignore"):
        flat = numbers(frame.to_numpy(dtype=np.float32, na_value=np.nan), "the channels")
    return Panel(
        padded(flat[order], length),
        _names(frame.columns),
        rate=None if timestamps is None else rate_of(timestamps),
        timestamps=timestamps,
    )


def from_nested(frame: pd.DataFrame) -> Panel:
    """Panel of a frame with one row a series and one column a channel, each cell a series of values.

    Where the channels of one series differ in length, the shorter ones are missing at the end.
    """
    cells = [[np.atleast_1d(getattr(cell, "values", cell)) for cell in frame[name].tolist()] for name in frame.columns]
    length = np.array([[len(cell) for cell in row] for row in cells]).T
    values = np.full((*length.shape, int(length.max(initial=0))), np.nan, np.float32)
    for c, name in enumerate(frame.columns):
        flat = numbers(np.concatenate(cells[c]), f"column {name}")
        held = inside(length[:, c])
        values[:, c, : held.shape[1]][held] = flat
    return Panel(values, _names(frame.columns))


def from_frames(frames: Sequence[pd.DataFrame]) -> Panel:
    """Panel of a list of frames (sktime's df-list), one a series, each (time, channel)."""
    names = _names(frames[0].columns)
    for i, frame in enumerate(frames):
        if _names(frame.columns) != names:
            raise InputError(f"expected series {i} to have the columns {', '.join(names)}, got "
                             f"{', '.join(_names(frame.columns))}")  # fmt: skip
    flat = numbers(np.concatenate([frame.to_numpy() for frame in frames]), "the channels")
    return Panel(padded(flat, np.array([len(frame) for frame in frames])), names)


def _names(columns: pd.Index) -> tuple[str, ...]:
    """Column names as channel names; plain numbers 0, 1, … say nothing and become channel_0, channel_1, …"""
    plain = list(columns) == list(range(len(columns)))
    return tuple(f"channel_{c}" if plain else str(c) for c in columns)
