"""Fluctuation analysis: at which time scale the roughness of a series changes its law. Two features of catch22."""

from __future__ import annotations

import numpy as np


def dfa(z: np.ndarray) -> np.ndarray:
    """Detrended fluctuation analysis of every second step: (n, time) -> (n,) share of the scales before the break."""
    return _break(z[:, ::2][:, : z.shape[1] // 2].cumsum(axis=1), z.shape[1], root_mean_square=True)


def rescaled_range(z: np.ndarray) -> np.ndarray:
    """The same by the range of what is left of each window: (n, time) -> (n,)."""
    return _break(z.cumsum(axis=1), z.shape[1], root_mean_square=False)


def _break(walk: np.ndarray, time: int, root_mean_square: bool) -> np.ndarray:
    """Where two lines fit log fluctuation over log scale best, as a share of the scales; 0 if these are under 12."""
    scales = np.unique(np.round(np.exp(np.linspace(np.log(5), np.log(max(time / 2, 5)), 50)) + 1e-12).astype(int))
    if len(scales) < 12:
        return np.zeros(len(walk))
    size = np.stack([_fluctuation(walk, int(scale), root_mean_square) for scale in scales], axis=1)
    x, y = np.log(scales), np.log(size)
    wrong = [_misfit(x[:i], y[:, :i]) + _misfit(x[i - 1 :], y[:, i - 1 :]) for i in range(6, len(scales) - 5)]
    return np.asarray((np.argmin(np.stack(wrong, axis=1), axis=1) + 6) / len(scales))


def _fluctuation(walk: np.ndarray, scale: int, root_mean_square: bool) -> np.ndarray:
    """Fluctuation of windows of `scale` steps about their own straight lines: (n, time) -> (n,)."""
    n, time = walk.shape
    if time < scale:  # half a walk is shorter than the longest scale: one window, its end zero
        walk = np.concatenate([walk[:, : scale - 1], np.zeros((n, max(1, scale - time)))], axis=1)[:, :scale]
    windows = walk[:, : walk.shape[1] // scale * scale].reshape(n, -1, scale)
    rest = windows - _line(np.arange(scale, dtype=float), windows)
    if root_mean_square:
        return np.asarray(np.sqrt((rest**2).mean(axis=(1, 2))))
    return np.asarray(np.sqrt((np.ptp(rest, axis=2) ** 2).mean(axis=1)))


def _misfit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(((y - _line(x, y)) ** 2).sum(axis=-1)))


def _line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least squares lines over x (k,): y (..., k) -> the same shape."""
    x = x - x.mean()
    mean = y.mean(axis=-1, keepdims=True)
    return np.asarray(mean + (((y - mean) @ x) / (x @ x))[..., None] * x)
