"""Features of catch22 that tell how a series moves: autocorrelation, information, spectrum, transitions, periods.

(n, time) z-scored rows in, (n,) out.
"""

from __future__ import annotations

import numpy as np

from tsrep.evaluation.catch22_rows import Rows, at, autocorrelation, counts, first, histogram, thirds


def acf_timescale(r: Rows) -> np.ndarray:
    """Lag at which the autocorrelation falls through 1/e, on a straight line between lags."""
    level, lags = np.exp(-1), r.acf.shape[1]
    after = first(r.acf < level, lags)
    before = np.clip(after, 1, lags - 1) - 1
    left, right = at(r.acf, before), at(r.acf, before + 1)
    return np.asarray(np.where(after == lags, lags, before + (level - left) / (right - left)))


def acf_first_min(r: Rows) -> np.ndarray:
    a = r.acf
    return first((a[:, 1:-1] < a[:, :-2]) & (a[:, 1:-1] < a[:, 2:]), a.shape[1] - 1) + 1


def ami2(r: Rows) -> np.ndarray:
    """Mutual information, in nats, of steps two apart, on a histogram of 5 x 5."""
    low, high = r.z.min(axis=1) - 0.1, r.z.max(axis=1) + 0.1
    place = ((r.z - low[:, None]) / ((high - low) / 5)[:, None]).astype(int)
    joint = counts(place[:, :-2] * 5 + place[:, 2:], 25).reshape(-1, 5, 5) / (r.z.shape[1] - 2)
    expected = joint.sum(axis=2, keepdims=True) * joint.sum(axis=1, keepdims=True)
    return np.asarray(np.where(joint > 0, joint * np.log(joint / expected), 0).sum(axis=(1, 2)))


def ami_timescale(r: Rows) -> np.ndarray:
    """First lag at which the information between a step and a later one, taken as Gaussian, is least; 40 at most."""
    time = r.z.shape[1]
    most = min(40, int(np.ceil(time / 2)))
    information = np.stack(
        [-0.5 * np.log(1 - _correlation(r.z[:, :-lag], r.z[:, lag:]) ** 2) for lag in range(1, most + 1)], axis=1
    )
    i = information
    return first((i[:, 1:-1] < i[:, :-2]) & (i[:, 1:-1] < i[:, 2:]), most - 1) + 1


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    return np.asarray((x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)))


def whiten_timescale(r: Rows) -> np.ndarray:
    jump = np.diff(r.z)
    return np.asarray(first(autocorrelation(jump) <= 0, jump.shape[1]) / r.zero)


def periodicity(r: Rows) -> np.ndarray:
    """Lag of the first peak of the autocovariance that stands .01 over the trough before it, less a spline."""
    n, time = r.z.shape
    step = np.arange(time, dtype=float)
    knot = time // 2 - 1
    x = step / time  # cubic spline with one knot in the middle, by least squares
    basis = np.stack([x**0, x, x**2, x**3, np.maximum(step - knot, 0) ** 3 / time**3], axis=1)
    q, _ = np.linalg.qr(basis)
    rest = r.z - (r.z @ q) @ q.T
    most = int(np.ceil(time / 3))
    raw = np.fft.irfft(np.abs(np.fft.rfft(rest, 2 * time)) ** 2, 2 * time)
    acf = raw[:, 1 : most + 1] / (time - np.arange(1, most + 1))
    slope = np.diff(acf)
    if slope.shape[1] < 2:
        return np.zeros(n)
    inner = acf[:, 1:-1]
    trough = (slope[:, :-1] < 0) & (slope[:, 1:] > 0)
    peak = (slope[:, :-1] > 0) & (slope[:, 1:] < 0)
    place = np.arange(inner.shape[1])
    before = np.maximum.accumulate(np.where(trough, place, -1), axis=1)
    depth = inner - np.take_along_axis(inner, np.maximum(before, 0), axis=1)
    return first(peak & (before >= 0) & (depth >= 0.01) & (inner >= 0), -1) + 1


def embedding_dist(r: Rows) -> np.ndarray:
    """How far the distances between neighbours in a delay embedding are from an exponential distribution."""
    time = r.z.shape[1]
    lag = np.minimum(r.zero, time // 10)
    out = np.zeros(len(r.z))
    for tau in np.unique(lag):
        here = np.flatnonzero(lag == tau)
        jump = np.diff(r.z[here])
        d = np.hypot(jump[:, : time - tau - 1], jump[:, tau:])
        mean, spread, span = d.mean(axis=1), d.std(axis=1, ddof=1), np.ptp(d, axis=1)
        bins = np.where(
            spread > 0, np.ceil(span * d.shape[1] ** (1 / 3) / (3.5 * np.where(spread > 0, spread, 1))), 0
        ).astype(int)
        for size in np.unique(bins[bins > 0]):
            of = np.flatnonzero(bins == size)
            low, width = d[of].min(axis=1), span[of] / size
            share = histogram(d[of], low, width, size) / d.shape[1]
            middle = low[:, None] + width[:, None] * (np.arange(size) + 0.5)
            out[here[of]] = np.abs(share - np.exp(-middle / mean[of, None]) / mean[of, None]).mean(axis=1)
    return out


def transition_matrix(r: Rows) -> np.ndarray:
    """Trace of the covariance of the transition matrix between thirds, one autocorrelation time apart."""
    out = np.zeros(len(r.z))
    for lag in np.unique(r.zero):
        here = np.flatnonzero(r.zero == lag)
        symbol = thirds(r.z[here, ::lag])
        if symbol.shape[1] > 1:
            matrix = counts(symbol[:, :-1] * 3 + symbol[:, 1:], 9).reshape(-1, 3, 3) / (symbol.shape[1] - 1)
            out[here] = matrix.var(axis=1, ddof=1).sum(axis=1)
    return out


def _spectrum(r: Rows) -> np.ndarray:
    """(n, frequency) one-sided power over angular frequency, rectangular window, padded to a power of two."""
    time = r.z.shape[1]
    power = np.abs(np.fft.rfft(r.z, _padded(time))) ** 2 / time / (2 * np.pi)
    power[:, 1:-1] *= 2
    return np.asarray(power)


def _padded(time: int) -> int:
    return int(2 ** np.ceil(np.log2(time)))


def low_power(r: Rows) -> np.ndarray:
    power = _spectrum(r)
    return np.asarray(power[:, : power.shape[1] // 5].sum(axis=1) * 2 * np.pi / _padded(r.z.shape[1]))


def centroid(r: Rows) -> np.ndarray:
    power = _spectrum(r).cumsum(axis=1)
    return first(power > power[:, -1:] / 2, 0) * 2 * np.pi / _padded(r.z.shape[1])
