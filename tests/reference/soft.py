"""SoftCLT in slow loops, from the paper's formulas and from nothing in tsrep. r: (batch, time, feature)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def instance(r1: Tensor, r2: Tensor, apart: Tensor, tau: float, alpha: float) -> Tensor:
    """Lee et al. 2024, eqs. 1 and 2: at each step all series of both views; w_ij = 2α σ(−τ_I D_ij), 1 for the positive."""
    batch, time = r1.shape[:2]
    losses = []
    for t in range(time):
        z = [*r1[:, t], *r2[:, t]]
        for i in range(2 * batch):
            others = [j for j in range(2 * batch) if j != i]
            total = sum(torch.exp(z[i] @ z[j]) for j in others)
            each = torch.zeros((), dtype=r1.dtype)
            for j in others:
                same = j % batch == i % batch
                w = 1.0 if same else 2 * alpha * sigmoid(-tau * float(apart[i % batch, j % batch]))
                each = each - w * torch.log(torch.exp(z[i] @ z[j]) / total)
            losses.append(each)
    return torch.stack(losses).mean()


def temporal(r1: Tensor, r2: Tensor, tau: float) -> Tensor:
    """Eqs. 3 and 4: in each series all steps of both views; w = 2σ(−τ_T |t − t'|)."""
    batch, time = r1.shape[:2]
    losses = []
    for b in range(batch):
        z = [*r1[b], *r2[b]]
        for i in range(2 * time):
            others = [j for j in range(2 * time) if j != i]
            total = sum(torch.exp(z[i] @ z[j]) for j in others)
            each = torch.zeros((), dtype=r1.dtype)
            for j in others:
                w = 2 * sigmoid(-tau * abs(i % time - j % time))
                each = each - w * torch.log(torch.exp(z[i] @ z[j]) / total)
            losses.append(each)
    return torch.stack(losses).mean()


def hierarchical(
    r1: Tensor, r2: Tensor, apart: Tensor, tau_instance: float, tau_temporal: float, alpha: float
) -> Tensor:
    """Both at every scale, half each; steps are max-pooled by two and τ_T doubles from scale to scale."""
    total, scales = torch.zeros((), dtype=r1.dtype), 0
    while True:
        total = total + 0.5 * instance(r1, r2, apart, tau_instance, alpha)
        if r1.shape[1] > 1:
            total = total + 0.5 * temporal(r1, r2, tau_temporal * 2**scales)
        scales += 1
        if r1.shape[1] == 1:
            return total / scales
        r1, r2 = (
            torch.stack([torch.maximum(r[:, 2 * k], r[:, 2 * k + 1]) for k in range(r.shape[1] // 2)], 1)
            for r in (r1, r2)
        )


def euclidean(x: np.ndarray) -> np.ndarray:
    """(n, channel, time) with NaN -> (n, n): root of the mean square over what both have; NaN where that is nothing."""
    out = np.full((len(x), len(x)), np.nan)
    for i in range(len(x)):
        for j in range(len(x)):
            both = [(a - b) ** 2 for a, b in zip(x[i].ravel(), x[j].ravel(), strict=True) if not np.isnan(a + b)]
            if both:
                out[i, j] = math.sqrt(sum(both) / len(both))
    return out


def dtw(x: np.ndarray, y: np.ndarray) -> float:
    """(channel, time) each: root of the least sum of squares along a warping path (Sakoe & Chiba, 1978)."""
    best = np.full((x.shape[1] + 1, y.shape[1] + 1), np.inf)
    best[0, 0] = 0.0
    for i in range(x.shape[1]):
        for j in range(y.shape[1]):
            cost = sum((x[c, i] - y[c, j]) ** 2 for c in range(len(x)))
            best[i + 1, j + 1] = cost + min(best[i, j], best[i, j + 1], best[i + 1, j])
    return math.sqrt(best[-1, -1])


def scaled(apart: np.ndarray) -> np.ndarray:
    """From 0 for the nearest two to 1 for the furthest; what is not known is far; 0 to itself."""
    n = len(apart)
    known = [apart[i, j] for i in range(n) for j in range(n) if i != j and not np.isnan(apart[i, j])]
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                far = np.isnan(apart[i, j])
                out[i, j] = 1.0 if far else (apart[i, j] - min(known)) / (max(known) - min(known))
    return out
