"""MoCHi in slow loops, from the paper's formulas and from nothing in tsrep."""

from __future__ import annotations

import torch
from torch import Tensor


def mixed(q: Tensor, negatives: Tensor, hardest: int, a: Tensor, i: Tensor, j: Tensor, b: Tensor, k: Tensor) -> Tensor:
    """Kalantidis et al. 2020, eqs. 4 and 5, of one anchor: (between + toward, feature).

    q: (feature,) and negatives: (n, feature), of length one. a, b: shares, b at most a half. i, j, k in [0, 1): places in the list of
    the hardest, from its head to its end.
    """
    order = sorted(range(len(negatives)), key=lambda n: -float(q @ negatives[n]))[:hardest]
    made = []
    for share, first, second in zip(a, i, j, strict=True):
        one, other = (negatives[order[int(place * len(order))]] for place in (first, second))
        mix = share * one + (1 - share) * other
        made.append(mix / mix.norm())
    for share, place in zip(b, k, strict=True):
        mix = share * q + (1 - share) * negatives[order[int(place * len(order))]]
        made.append(mix / mix.norm())
    return torch.stack(made)


def loss(u: Tensor, v: Tensor, tau: float, hardest: int, *draws: Tensor) -> Tensor:
    """NT-Xent of both views with the mixed negatives in every denominator; they are constants."""
    z, n = torch.cat([u, v]), len(u)
    losses = []
    for anchor in range(2 * n):
        partner = (anchor + n) % (2 * n)
        others = [k for k in range(2 * n) if k not in (anchor, partner)]
        made = mixed(z[anchor].detach(), z[others].detach(), hardest, *draws)
        total = torch.exp(z[anchor] @ z[partner] / tau)
        positive = total
        for candidate in [*z[others], *made]:
            total = total + torch.exp(z[anchor] @ candidate / tau)
        losses.append(-torch.log(positive / total))
    return torch.stack(losses).mean()
