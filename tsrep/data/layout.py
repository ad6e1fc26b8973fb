"""From rows of a table to the (n, channel, time) layout, and the checks of what comes in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsrep.data.panel import Panel
from tsrep.errors import InputError


def padded(flat: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Series that lie one after the other -> one array, shorter ones padded with NaN at the end.

    flat:   (sum of lengths, channel)
    length: (n,) steps of each series
    Returns (n, channel, time) float32.
    """
    out = np.full((len(length), flat.shape[1], int(length.max(initial=0))), np.nan, np.float32)
    out.transpose(0, 2, 1)[inside(length)] = flat
    return out


def padded_steps(flat: np.ndarray, length: np.ndarray, fill: float) -> np.ndarray:
    """Like `padded` for one number a step: (sum of lengths,) -> (n, time) of the same type, `fill` in the padding."""
    out = np.full((len(length), int(length.max(initial=0))), fill, flat.dtype)
    out[inside(length)] = flat
    return out


def inside(length: np.ndarray) -> np.ndarray:
    """(n,) lengths -> (n, time) bool: True on the steps of each series."""
    return np.arange(int(length.max(initial=0))) < np.asarray(length)[:, None]


def numbers(array: Any, what: str) -> np.ndarray:
    """The array as float32; InputError where it holds anything but real numbers."""
    array = array.filled(np.nan) if isinstance(array, np.ma.MaskedArray) else np.asarray(array)
    if array.dtype.kind == "O":
        raise InputError(
            f"expected {what} to hold numbers, got an object array of shape {array.shape}: "
            "pass a float array, or a list of (channel, time) arrays where lengths differ"
        )
    if array.dtype.kind not in "biuf":
        raise InputError(f"expected {what} to hold real numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is reported by `check`
        return np.asarray(array, np.float32)


def column(given: Any, what: str, n: int) -> np.ndarray:
    """One label or subject for each of n series as a plain (n,) array of text or numbers."""
    given = given.detach().cpu().numpy() if hasattr(given, "detach") else given
    values = pd.Series(given).reset_index(drop=True) if not isinstance(given, np.ndarray) else given
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise InputError(f"expected {what} of shape ({n},), got {values.shape}")
    if len(values) != n:
        raise InputError(f"expected one {what} for each of the {n} series, got {len(values)}")
    series = pd.Series(values)
    missing = np.flatnonzero(series.isna().to_numpy())
    if len(missing):
        raise InputError(
            f"{what} is missing for {len(missing)} of {n} series (first: series {missing[0]}): "
            f"fill it in, or leave {what} out"
        )
    kind = pd.api.types.infer_dtype(series, skipna=False)
    if kind in ("string", "categorical", "mixed-integer", "mixed"):
        if kind.startswith("mixed"):
            raise InputError(f"expected {what} to be text or numbers, got a mix: {list(series[:3])}")
        return series.astype(str).to_numpy().astype(str)
    if kind not in ("integer", "floating", "boolean"):
        raise InputError(f"expected {what} to be text or numbers, got {kind}")
    return series.to_numpy(dtype={"integer": np.int64, "floating": np.float64, "boolean": np.bool_}[kind])


def check(panel: Panel) -> Panel:
    """The panel itself; InputError where it is empty, holds infinite values or series with nothing observed."""
    if 0 in panel.values.shape:
        raise InputError(f"expected at least one series, channel and step, got shape {panel.values.shape}: empty data")
    check_finite(panel)
    nothing = np.flatnonzero(panel.lengths == 0)
    if len(nothing):
        raise InputError(
            f"{len(nothing)} of {len(panel)} series hold no observed value (rows {some(nothing)}): remove them first"
        )
    return panel


def check_finite(panel: Panel) -> None:
    """InputError that counts the infinite values of each channel and names the first place."""
    for c, name in enumerate(panel.channels):
        infinite = np.isinf(panel.values[:, c])
        if infinite.any():
            row, step = np.argwhere(infinite)[0]
            raise InputError(
                f"channel {name} holds {int(infinite.sum())} infinite values (first: series {row}, step {step}; "
                "numbers beyond 3.4e38 count): use NaN for what is missing"
            )


def check_channels(panel: Panel, expected: Sequence[str]) -> None:
    """InputError where the panel's channels are not the expected ones in their order.

    Names like channel_0, which a bare array gets, match any name.
    """
    expected = tuple(expected)
    if len(panel.channels) != len(expected):
        raise InputError(f"expected {len(expected)} channels ({span(expected)}), got {len(panel.channels)}"
                         f" ({span(panel.channels)})")  # fmt: skip
    bare = tuple(f"channel_{i}" for i in range(len(expected)))
    if panel.channels != expected and bare not in (panel.channels, expected):
        wrong = next(i for i, (a, b) in enumerate(zip(panel.channels, expected, strict=True)) if a != b)
        order = "the order differs: " if sorted(panel.channels) == sorted(expected) else ""
        raise InputError(
            f"expected channels {span(expected)}, got {span(panel.channels)}: {order}"
            f"channel {wrong} is {panel.channels[wrong]} and should be {expected[wrong]}"
        )


def span(names: Sequence[str]) -> str:
    """The names, shortened to the first and the last where there are many."""
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} … {names[-1]}"


def some(index: np.ndarray, most: int = 5) -> str:
    """The first few numbers of an index, for a message."""
    return ", ".join(str(i) for i in index[:most]) + (", …" if len(index) > most else "")
