"""Rows that catch22 works on, and the small steps that its features share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rows:
    """z-scored rows and what several features need of them.

    z: (n, time).  acf: (n, time) autocorrelation, acf[:, 0] = 1.  zero: (n,) first lag at which it is not positive.
    third: (n, time) which third of its own values a step lies in.
    """

    z: np.ndarray
    acf: np.ndarray
    zero: np.ndarray
    third: np.ndarray

    @staticmethod
    def of(z: np.ndarray) -> Rows:
        acf = autocorrelation(z)
        return Rows(z, acf, first(acf <= 0, z.shape[1]), thirds(z))


def autocorrelation(z: np.ndarray) -> np.ndarray:
    """(n, time) -> (n, time), biased, by a Fourier transform long enough not to wrap around."""
    z = z - z.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(z, 2 * z.shape[1])
    raw = np.fft.irfft(np.abs(spectrum) ** 2, 2 * z.shape[1])[:, : z.shape[1]]
    return raw / raw[:, :1]


def first(true: np.ndarray, otherwise: int) -> np.ndarray:
    """(n, k) bool -> (n,) position of the first True, `otherwise` where there is none."""
    return np.where(true.any(axis=1), true.argmax(axis=1), otherwise)


def thirds(z: np.ndarray) -> np.ndarray:
    """(n, time) -> 0, 1 or 2: below the first tercile, up to the second, above."""
    cuts = np.quantile(z, [1 / 3, 2 / 3], axis=1, method="hazen")
    return np.asarray((z > cuts[0][:, None]).astype(int) + (z > cuts[1][:, None]))


def histogram(values: np.ndarray, low: np.ndarray, width: np.ndarray, bins: int) -> np.ndarray:
    """(n, k) -> (n, bins) counts; what lies on the upper edge is in the last bin."""
    place = np.clip(((values - low[:, None]) / width[:, None]).astype(int), 0, bins - 1)
    return counts(place, bins)


def counts(place: np.ndarray, bins: int) -> np.ndarray:
    n = len(place)
    return np.bincount((place + bins * np.arange(n)[:, None]).ravel(), minlength=n * bins).reshape(n, bins)


def at(rows: np.ndarray, column: np.ndarray) -> np.ndarray:
    return np.take_along_axis(rows, column[:, None], axis=1)[:, 0]
