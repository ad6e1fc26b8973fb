"""Columns: which channels of a panel are learned from, with the calendar of its clock, together or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from tsrep.data.layout import some
from tsrep.data.panel import Panel
from tsrep.errors import InputError, nearest

CALENDAR = tuple(f"clock_{part}" for part in ("minute", "hour", "day_of_week", "day", "day_of_year", "month", "week"))
"""The seven covariates of TS2Vec, CoST and AutoTCL, computed from the clock read as UTC; their names tell them from the data's own."""

VALUE = "value"
"""Name of the one channel that an encoder sees where channels are independent."""


def columns(panel: Panel, channels: Sequence[str] | None, calendar: bool) -> Panel:
    """The panel with these channels (None: all) and then, if asked for, the calendar of its clock.

    InputError for an unknown or repeated channel, for none, and for a calendar where the panel has no clock or a channel of its own
    is called like a part of the calendar.
    """
    if channels is not None:
        if not channels or len(set(channels)) < len(channels):
            raise InputError(f"expected at least one channel, each of them once, got {', '.join(channels) or 'none'}")
        for name in channels:
            if name not in panel.channels:
                raise InputError(f"no channel '{name}' in the data; {nearest(name, panel.channels)}")
        index = [panel.channels.index(name) for name in channels]
        panel = replace(panel, values=panel.values[:, index], channels=tuple(channels))
    if set(CALENDAR) <= set(panel.channels):
        return panel
    for name in panel.channels:  # else it would be taken for the calendar's wherever channels are told apart by name
        if name in CALENDAR:
            raise InputError(f"channel '{name}' of the data has the name of a part of the calendar; call it otherwise")
    if not calendar:
        return panel
    if panel.timestamps is None:
        raise InputError(
            "expected a clock to take the calendar from (a column timestamp), the data has none; set data.calendar=false"
        )
    added = np.stack([clock(stamps) for stamps in panel.timestamps])
    return replace(panel, values=np.concatenate([panel.values, added], axis=1), channels=(*panel.channels, *CALENDAR))


def clock(stamps: np.ndarray) -> np.ndarray:
    """(time,) seconds since 1970 -> (7, time) float32 calendar, in the order of `CALENDAR`; NaN where the clock is."""
    dates = pd.to_datetime(pd.Series(stamps), unit="s").dt
    fields = (dates.minute, dates.hour, dates.dayofweek, dates.day, dates.dayofyear, dates.month)
    week = dates.isocalendar().week.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    return np.stack([*(np.asarray(f, np.float64) for f in fields), week]).astype(np.float32)


def inputs(channels: Sequence[str], independent: bool) -> tuple[str, ...]:
    """Channels that the encoder sees: all of them, or one value and the calendar."""
    return (VALUE, *(name for name in channels if name in CALENDAR)) if independent else tuple(channels)


def apart(values: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """(n, channel, time) -> (n * own, 1 + calendar, time): every channel a series of its own, each with the calendar.

    The channels of one series follow one another. InputError where a series has a channel of which nothing was observed.
    """
    known = np.array([name in CALENDAR for name in channels])
    own, shared = values[:, ~known], values[:, known]
    empty = np.flatnonzero(np.isnan(own).all(axis=2).any(axis=1))
    if len(empty):
        raise InputError(
            f"expected every channel to be observed in every series where channels are independent; in {len(empty)} series one is not "
            f"(rows {some(empty)})"
        )
    n, number, time = own.shape
    beside = np.broadcast_to(shared[:, None], (n, number, shared.shape[1], time))
    return np.concatenate([own[:, :, None], beside], axis=2).reshape(n * number, 1 + shared.shape[1], time)
