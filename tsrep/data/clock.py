"""Timestamps of any kind -> seconds, and the rate of a regular clock."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsrep.errors import InputError

REGULAR = 0.05
"""Steps of a clock that differ from their median by no more than this share are one rate (stamps are often rounded)."""


def seconds(stamps: pd.Series | pd.Index, what: str = "timestamp") -> np.ndarray:
    """Numbers as they are, dates and spans of time in seconds (dates since 1970, read as UTC): (rows,) float64."""
    given: pd.Series = pd.Series(stamps).reset_index(drop=True)
    if isinstance(given.dtype, pd.PeriodDtype):
        given = given.dt.to_timestamp()
    if pd.api.types.is_object_dtype(given) or pd.api.types.is_string_dtype(given):
        read = pd.to_datetime(given, errors="coerce", utc=True, format="ISO8601")
        bad = np.flatnonzero((read.isna() & given.notna()).to_numpy())
        if len(bad):
            raise InputError(
                f"expected {what} in seconds or as ISO dates, got '{given.iloc[bad[0]]}' in row {bad[0]} "
                f"({len(bad)} such rows)"
            )
        given = read
    if given.isna().any():
        raise InputError(
            f"{what} is missing in {int(given.isna().sum())} rows (first: row {int(given.isna().argmax())})"
        )
    if pd.api.types.is_datetime64_any_dtype(given):
        if given.dt.tz is not None:
            given = given.dt.tz_convert("UTC").dt.tz_localize(None)
        return given.to_numpy("datetime64[ns]").astype(np.int64) / 1e9
    if pd.api.types.is_timedelta64_dtype(given):
        return given.to_numpy("timedelta64[ns]").astype(np.int64) / 1e9
    if not pd.api.types.is_numeric_dtype(given):
        raise InputError(f"expected {what} in seconds or as dates, got {given.dtype}")
    out = given.to_numpy(np.float64)
    if not np.isfinite(out).all():
        raise InputError(f"{what} holds infinite values")
    return out


def rate_of(timestamps: np.ndarray) -> float | None:
    """Samples per second of (n, time) clocks, or None where steps differ by more than 5 % of their median."""
    step = np.diff(timestamps, axis=1)
    step = step[~np.isnan(step)]
    if not len(step):
        return None
    middle = float(np.median(step))
    if np.abs(step - middle).max() > REGULAR * middle:
        return None
    # The mean over everything is exact where single stamps are rounded. Dates in seconds since 1970 are exact to 2e-7 s
    # in float64, so a short series tells fewer digits of its rate.
    span = float(step.sum())
    blur = np.spacing(np.nanmax(np.abs(timestamps))) * len(timestamps) / span
    return float(f"{len(step) / span:.{min(9, max(3, int(-np.log10(blur))))}g}")
