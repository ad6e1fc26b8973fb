"""Losses in slow loops, written from the papers' formulas and from nothing in tsrep. Scores are plain sums of exponentials.

u, v: (n, feature) unit rows of two views; row i of both is the same thing. tau: temperature. All return a scalar.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()


def info_nce(u: Tensor, v: Tensor, tau: float) -> Tensor:
    """van den Oord et al. 2018, eq. 4, with cosines over a temperature: −log e^{s_ii/τ} / Σ_j e^{s_ij/τ}."""
    n = len(u)
    losses = []
    for i in range(n):
        total = sum((torch.exp(u[i] @ v[j] / tau) for j in range(n)), torch.zeros((), dtype=u.dtype))
        losses.append(-torch.log(torch.exp(u[i] @ v[i] / tau) / total))
    return mean(losses)


def nt_xent(u: Tensor, v: Tensor, tau: float) -> Tensor:
    """Chen et al. 2020, eq. 1: the pool of both views without oneself."""
    z = [*u, *v]
    n = len(u)
    losses = []
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        total = torch.zeros((), dtype=u.dtype)
        for k in range(2 * n):
            if k != i:
                total = total + torch.exp(z[i] @ z[k] / tau)
        losses.append(-torch.log(torch.exp(z[i] @ z[partner] / tau) / total))
    return mean(losses)


def supcon(z: Tensor, labels: list[int], tau: float) -> Tensor:
    """Khosla et al. 2020, eq. 2: the mean over positives outside the log; anchors without a positive are dropped."""
    losses = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if not positives:
            continue
        total = sum((torch.exp(z[i] @ z[a] / tau) for a in others), torch.zeros((), dtype=z.dtype))
        losses.append(-mean([torch.log(torch.exp(z[i] @ z[p] / tau) / total) for p in positives]))
    return mean(losses)


def decoupled(u: Tensor, v: Tensor, tau: float, sigma: float | None = None) -> Tensor:
    """Yeh et al. 2022, eqs. 5 and 6, both ways: the positive stands outside the sum; w_i = 2 − B softmax_i(s_ii / σ), detached."""
    n = len(u)
    losses = []
    for left, right in ((u, v), (v, u)):
        for i in range(n):
            weight = 1.0
            if sigma is not None:
                likeness = [float(left[k].detach() @ right[k].detach()) for k in range(n)]
                weight = 2.0 - n * math.exp(likeness[i] / sigma) / sum(math.exp(s / sigma) for s in likeness)
            total = torch.zeros((), dtype=u.dtype)
            for j in range(n):
                if j != i:
                    total = total + torch.exp(left[i] @ left[j] / tau) + torch.exp(left[i] @ right[j] / tau)
            losses.append(-weight * (left[i] @ right[i]) / tau + torch.log(total))
    return mean(losses)


def debiased(u: Tensor, v: Tensor, tau: float, prior: float) -> Tensor:
    """Chuang et al. 2020, eqs. 7 and 8: of the N = 2n − 2 negatives of both views a share τ⁺ is of the anchor's own class."""
    z = [*u, *v]
    n = len(u)
    count = 2 * n - 2
    losses = []
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        positive = torch.exp(z[i] @ z[partner] / tau)
        total = torch.zeros((), dtype=u.dtype)
        for k in range(2 * n):
            if k not in (i, partner):
                total = total + torch.exp(z[i] @ z[k] / tau)
        negative = (total - prior * count * positive) / (1.0 - prior)
        if float(negative.detach()) < count * math.exp(-1.0 / tau):
            negative = torch.full((), count * math.exp(-1.0 / tau), dtype=u.dtype)
        losses.append(-torch.log(positive / (positive + negative)))
    return mean(losses)


def sigmoid(u: Tensor, v: Tensor, t: float, b: float) -> Tensor:
    """Zhai et al. 2023, algorithm 1: −(1/n) Σ_ij log σ(y_ij (t s_ij + b))."""
    total = torch.zeros((), dtype=u.dtype)
    for i in range(len(u)):
        for j in range(len(v)):
            sign = 1.0 if i == j else -1.0
            total = total + torch.log1p(torch.exp(-sign * (t * (u[i] @ v[j]) + b)))
    return total / len(u)


def masses(score: Tensor, attract: Tensor, repel: Tensor) -> Tensor:
    """log Σ (a + r) e^s − log Σ a e^s for every anchor (row), the definition in house.md: (anchor,)."""
    losses = []
    for s, a, r in zip(score, attract, repel, strict=True):
        total = sum(((a[j] + r[j]) * torch.exp(s[j]) for j in range(len(s))), torch.zeros((), dtype=s.dtype))
        good = sum((a[j] * torch.exp(s[j]) for j in range(len(s))), torch.zeros((), dtype=s.dtype))
        losses.append(torch.log(total) - torch.log(good))
    return torch.stack(losses)


def soft(score: Tensor, attract: Tensor, repel: Tensor) -> Tensor:
    """Lee et al. 2024, eq. 2: −Σ_j a_ij log p_ij for every anchor (row), p_ij the share of candidate j: (anchor,)."""
    losses = []
    for s, a, r in zip(score, attract, repel, strict=True):
        total = sum(((a[j] + r[j]) * torch.exp(s[j]) for j in range(len(s))), torch.zeros((), dtype=s.dtype))
        each = (-a[j] * torch.log(torch.exp(s[j]) / total) for j in range(len(s)))
        losses.append(sum(each, torch.zeros((), dtype=s.dtype)))
    return torch.stack(losses)


def ts2vec_instance(r1: Tensor, r2: Tensor, alive: Tensor | None = None) -> Tensor:
    """Yue et al. 2022, eq. 2, r: (batch, time, feature): at each step every series against every series of both views."""
    return _contrast(r1.transpose(0, 1), r2.transpose(0, 1), None if alive is None else alive.T)


def ts2vec_temporal(r1: Tensor, r2: Tensor, alive: Tensor | None = None) -> Tensor:
    """Yue et al. 2022, eq. 1: in each series every step against every step of both views."""
    return _contrast(r1, r2, alive)


def _contrast(r1: Tensor, r2: Tensor, alive: Tensor | None) -> Tensor:
    """Raw dot products; things that are not alive (group, n) take no part; mean over all living anchors of both views."""
    losses = []
    for g in range(len(r1)):
        here = [i for i in range(r1.shape[1]) if alive is None or bool(alive[g, i])]
        for own, other in ((r1[g], r2[g]), (r2[g], r1[g])):
            for i in here:
                total = torch.zeros((), dtype=r1.dtype)
                for j in here:
                    total = total + torch.exp(own[i] @ other[j])
                    if j != i:
                        total = total + torch.exp(own[i] @ own[j])
                losses.append(-torch.log(torch.exp(own[i] @ other[i]) / total))
    return mean(losses) if losses else torch.zeros((), dtype=r1.dtype)


def ts2vec_hierarchical(r1: Tensor, r2: Tensor, alpha: float = 0.5, alive: Tensor | None = None) -> Tensor:
    """Yue et al. 2022, algorithm 1: both losses at every scale down to one step, mean over the scales."""
    total, scales = torch.zeros((), dtype=r1.dtype), 0
    while True:
        total = total + alpha * ts2vec_instance(r1, r2, alive)
        if r1.shape[1] > 1:
            total = total + (1.0 - alpha) * ts2vec_temporal(r1, r2, alive)
        scales += 1
        if r1.shape[1] == 1:
            return total / scales
        r1, after = _halved(r1, alive)
        r2, after = _halved(r2, alive)
        alive = after


def _halved(r: Tensor, alive: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The larger of two neighbours; of those that are alive where one is not."""
    batch, time, _ = r.shape
    rows, flags = [], []
    for b in range(batch):
        steps, flag = [], []
        for k in range(time // 2):
            pair = [2 * k, 2 * k + 1]
            here = [t for t in pair if alive is None or bool(alive[b, t])]
            steps.append(torch.stack([r[b, t] for t in here or pair]).amax(0))
            flag.append(bool(here))
        rows.append(torch.stack(steps))
        flags.append(flag)
    return torch.stack(rows), None if alive is None else torch.tensor(flags)
