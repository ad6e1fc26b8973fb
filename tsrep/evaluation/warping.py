"""Warping: dynamic time warping within a band, the distance of the oldest baseline (1-NN with DTW).

The distances are those of `tsrep.elastic`.
"""

from __future__ import annotations

import numpy as np

from tsrep.elastic import dtw
from tsrep.errors import InputError
from tsrep.even import even

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
    band. other: row i of test is row i of train, which does not count.
    """
    if not 0 <= band <= 1:
        raise InputError(f"expected a band between 0 and 1, a share of the series' length, got {band}")
    left, right = even(train, test)
    square = dtw(right, left, band=band)
    if other:
        np.fill_diagonal(square, np.inf)
    return square.argmin(axis=1), np.sqrt(square.min(axis=1))
