"""ColloSSL in slow loops, from the paper's formulas and from nothing in tsrep."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mcl(
    anchor: Tensor, positives: list[tuple[Tensor, float]], negatives: list[tuple[Tensor, float]], tau: float
) -> Tensor:
    """Jain et al. 2022, eq. 3: mean over the moments; each (embeddings of the moments as they are met, weight)."""
    losses = []
    for b in range(len(anchor)):
        top = sum(w * torch.exp(torch.cosine_similarity(anchor[b], z[b], dim=0) / tau) for z, w in positives)
        away = sum(w * torch.exp(torch.cosine_similarity(anchor[b], z[b], dim=0) / tau) for z, w in negatives)
        losses.append(-torch.log(top / (top + away)))
    return sum(losses) / len(losses)


def mmd(x: Tensor, y: Tensor, widths: tuple[float, ...]) -> float:
    """Biased squared maximum mean discrepancy of two samples (n, time), (m, time)."""

    def mean(a: Tensor, b: Tensor) -> float:
        total = 0.0
        for u in a:
            for v in b:
                apart = float(((u - v) ** 2).sum())
                total += sum(math.exp(-apart / (2 * width)) for width in widths)
        return total / (len(a) * len(b))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)
