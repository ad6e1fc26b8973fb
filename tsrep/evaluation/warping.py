"""Warping: dynamic time warping within a band, the distance of the oldest baseline (1-NN with DTW).

d(x, y)² = min over monotone paths of Σ_(i,j) Σ_channel (x_i − y_j)², |i − j| ≤ band: all channels warp together ("dependent",
Shokoohi-Yekta et al. 2017), the band is Sakoe's and Chiba's (1978). Compiled by numba on its first use on a machine, then cached.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tsrep.errors import InputError
from tsrep.evaluation.even import even

BANDS = (0.05, 0.1, 1.0)
"""Half widths of the band to choose from, as shares of the series' length; 1 is none."""

MOST = 2e11
"""n_train · (n_train + n_test) · time² beyond which a benchmark does without: some minutes on one core."""


def affordable(train: np.ndarray, test: np.ndarray) -> bool:
    """Whether choosing a band and searching (n, channel, time), (m, channel, time) stays within `MOST`."""
    return len(train) * (len(train) + len(test)) * float(train.shape[2]) ** 2 <= MOST


def warped(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, float]:
    """1-NN with DTW: (n, channel, time), (n,), (m, channel, time) -> (m,) predicted labels, and the band.

    The band is the narrowest of `BANDS` with which most training series have the class of their nearest other one: the third
    baseline of the UCR archive, "learned warping window".
    """
    labels = np.asarray(labels)
    right = [np.mean(labels[nearest_warped(train, train, band=band, other=True)[0]] == labels) for band in BANDS]
    band = BANDS[int(np.argmax(right))]
    return labels[nearest_warped(train, test, band=band)[0]], band


def nearest_warped(
    train: np.ndarray, test: np.ndarray, *, band: float, other: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """For each series of test the nearest of train under DTW: positions (m,) int64 and distances (m,). Of equals the first.

    train (n, channel, time), test (m, channel, time), NaN for missing and padding: both are made even as for MiniRocket, without gaps,
    stretched to one length, scaled by the training part. band: share of the length in [0, 1]; 0 is the Euclidean distance, 1 no
    band. other: row i of test is row i of train, which does not count. A distance is given up as soon as it exceeds the best so
    far, which changes no result.
    """
    if not 0 <= band <= 1:
        raise InputError(f"expected a band between 0 and 1, a share of the series' length, got {band}")
    left, right = (np.ascontiguousarray(part.swapaxes(1, 2)) for part in even(train, test))
    place, square = _kernel()(left, right, int(np.ceil(band * left.shape[1])), other)
    return place, np.sqrt(square)


_compiled: list[Any] = []


def _kernel() -> Any:
    """The compiled search; numba is imported when it is used."""
    if not _compiled:
        from numba import njit

        _compiled.append(njit(cache=True)(_search))
    return _compiled[0]


def _search(train: np.ndarray, test: np.ndarray, band: int, other: bool) -> tuple[np.ndarray, np.ndarray]:
    """(n, time, channel), (m, time, channel) -> (m,) position of the nearest, (m,) squared distance."""
    n, time, channels = train.shape
    place, best = np.zeros(len(test), np.int64), np.full(len(test), np.inf)
    before, now = np.empty(time + 1), np.empty(time + 1)
    for row in range(len(test)):
        for candidate in range(n):
            if other and candidate == row:
                continue
            # now[j + 1]: cost of the best path to (i, j); before: the same for i − 1.
            before[:] = np.inf
            before[0] = 0.0
            for i in range(time):
                now[:] = np.inf
                least = np.inf
                for j in range(max(0, i - band), min(time, i + band + 1)):
                    cost = 0.0
                    for channel in range(channels):
                        gap = test[row, i, channel] - train[candidate, j, channel]
                        cost += gap * gap
                    now[j + 1] = cost + min(before[j], before[j + 1], now[j])
                    least = min(least, now[j + 1])
                before, now = now, before
                if least >= best[row]:  # every path to the end goes through this row
                    before[time] = np.inf
                    break
            if before[time] < best[row]:
                best[row], place[row] = before[time], candidate
    return place, best
