"""Hard negatives in slow loops, from the formula of HCL and from nothing in tsrep: plain exponentials, no logs of sums."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def importance(negatives: list[Tensor], beta: float, detach: bool) -> Tensor:
    """R = Σ_j n_j^β n_j / mean_j n_j^β, n_j = e^{q·u_j/t}. negatives: the n_j."""
    weight = [(n.detach() if detach else n) ** beta for n in negatives]
    mean = sum(weight) / len(weight)
    return sum((w * n / mean for w, n in zip(weight, negatives, strict=True)), torch.zeros_like(negatives[0]))


def anchor(positive: Tensor, negatives: list[Tensor], tau: float, beta: float, prior: float, detach: bool) -> Tensor:
    """−log(pos / (pos + Ng)), Ng = max((R − τ⁺ N pos) / (1 − τ⁺), N e^{−1/t})."""
    count = len(negatives)
    rest = (importance(negatives, beta, detach) - prior * count * positive) / (1.0 - prior)
    if float(rest.detach()) < count * math.exp(-1.0 / tau):
        rest = torch.full_like(rest, count * math.exp(-1.0 / tau))
    return -torch.log(positive / (positive + rest))


def hcl(u: Tensor, v: Tensor, tau: float, beta: float, prior: float, detach: bool = True) -> Tensor:
    """Robinson et al. 2021: N = 2B − 2 negatives of both views."""
    z, n = [*u, *v], len(u)
    losses = []
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        near = [torch.exp(z[i] @ z[k] / tau) for k in range(2 * n) if k not in (i, partner)]
        losses.append(anchor(torch.exp(z[i] @ z[partner] / tau), near, tau, beta, prior, detach))
    return torch.stack(losses).mean()


def across(u: Tensor, v: Tensor, tau: float, beta: float, prior: float, detach: bool = True) -> Tensor:
    """Of one modality against the other, both ways, N = B − 1."""
    losses = []
    for own, other in ((u, v), (v, u)):
        for i in range(len(u)):
            near = [torch.exp(own[i] @ other[k] / tau) for k in range(len(u)) if k != i]
            losses.append(anchor(torch.exp(own[i] @ other[i] / tau), near, tau, beta, prior, detach))
    return torch.stack(losses).mean()
