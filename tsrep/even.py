"""Even: ragged and gappy panels made whole, for baselines and distances that know neither gaps nor lengths."""

from __future__ import annotations

import numpy as np

from tsrep.errors import InputError


def filled(values: np.ndarray) -> list[np.ndarray]:
    """Series without gaps, each of its own length.

    values (n, channel, time), NaN where nothing was observed -> n arrays (channel, length). A series runs from the
    first to the last step at which any channel was observed. Gaps inside are filled on a straight line between their
    neighbours, gaps at an end with the nearest value, a channel that was never observed with zero.
    """
    values = np.asarray(values)
    if values.ndim != 3 or not values.size:
        raise InputError(f"expected values of shape (n, channel, time) with at least one series, got {values.shape}")
    seen = ~np.isnan(values)
    inside = seen.any(axis=1)
    empty = np.flatnonzero(~inside.any(axis=1))
    if len(empty):
        raise InputError(
            f"expected series with observed values, got {len(empty)} without any, the first is row {empty[0]}"
        )
    first = inside.argmax(axis=1)
    last = inside.shape[1] - inside[:, ::-1].argmax(axis=1)
    whole = seen.all(axis=(1, 2))
    return [
        series if done else _bridged(series[:, begin:end])
        for series, done, begin, end in zip(values.astype(np.float64), whole, first, last, strict=True)
    ]


def stretched(series: list[np.ndarray], length: int) -> np.ndarray:
    """Series of any length, stretched on straight lines to one: n arrays (channel, *) -> (n, channel, length)."""
    grid = np.linspace(0, 1, length)
    out = np.empty((len(series), series[0].shape[0], length))
    for row, one in enumerate(series):
        own = one.shape[1]
        if own == length:
            out[row] = one
        else:
            out[row] = [np.interp(grid, np.linspace(0, 1, own), channel) for channel in one]
    return out


def even(train: np.ndarray, test: np.ndarray, *, shortest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Both parts of a split without gaps and of one length, each channel scaled by the training part's mean and sd.

    train, test (n, channel, time) with NaN for missing and padding -> the same with the length of the longest series of
    the training part (at least `shortest`). Every series of another length is stretched onto it.
    """
    parts = filled(train), filled(test)
    if train.shape[1] != test.shape[1]:
        raise InputError(f"expected as many channels in test as in training, {train.shape[1]}, got {test.shape[1]}")
    length = max(shortest, *(one.shape[1] for one in parts[0]))
    left, right = (stretched(part, length) for part in parts)
    middle, spread = left.mean(axis=(0, 2), keepdims=True), left.std(axis=(0, 2), keepdims=True)
    spread = np.where(spread > 0, spread, 1)
    return (left - middle) / spread, (right - middle) / spread


def _bridged(series: np.ndarray) -> np.ndarray:
    step = np.arange(series.shape[1])
    out = np.zeros_like(series)
    for channel, values in enumerate(series):
        here = ~np.isnan(values)
        if here.any():
            out[channel] = np.interp(step, step[here], values[here])
    return out
