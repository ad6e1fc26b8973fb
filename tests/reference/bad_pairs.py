"""Bad-pair mining in slow loops, from the formulas of Lan et al., ICLR 2024, and from nothing in tsrep."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def flags(history: Sequence[Sequence[float]], beta_noisy: float, beta_faulty: float) -> tuple[list[str], float, float]:
    """history[e][i]: loss of pair i in epoch e, all epochs seen -> what each pair is, μ and σ (n − 1) of the means."""
    means = [statistics.fmean(epoch[i] for epoch in history) for i in range(len(history[0]))]
    middle, spread = statistics.fmean(means), statistics.stdev(means)
    kinds = []
    for m in means:
        if m <= middle - beta_noisy * spread:
            kinds.append("noisy")
        elif m >= middle + beta_faulty * spread:
            kinds.append("faulty")
        else:
            kinds.append("good")
    return kinds, middle, spread


def density(loss: float, middle: float, spread: float) -> float:
    return math.exp(-0.5 * ((loss - middle) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))


def loss(
    now: Sequence[float], history: Sequence[Sequence[float]], beta_noisy: float = 2.0, beta_faulty: float = 3.0
) -> float:
    """(1/B) Σ w_i L_i over all pairs, weights by the density."""
    kinds, middle, spread = flags(history, beta_noisy, beta_faulty)
    weights = [
        1.0 if kind == "good" else density(value, middle, spread) for kind, value in zip(kinds, now, strict=True)
    ]
    return statistics.fmean(w * value for w, value in zip(weights, now, strict=True))


def official_means(history: Sequence[Sequence[float]], epochs: int) -> list[float]:
    """The released code's memory: mean over e of L (1 + e) / E."""
    return [
        statistics.fmean(epoch[i] * (1 + e) / epochs for e, epoch in enumerate(history)) for i in range(len(history[0]))
    ]
