"""HaLP's latent positives in slow loops, from the paper's formulas and from nothing in tsrep."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def slerp(k: Tensor, p: Tensor, t: float) -> Tensor:
    """z(t) = sin((1 − t)Ω)/sin Ω k + sin(tΩ)/sin Ω p."""
    omega = math.acos(float(k @ p))
    return math.sin((1 - t) * omega) / math.sin(omega) * k + math.sin(t * omega) / math.sin(omega) * p


def furthest(k: Tensor, own: Tensor, p: Tensor) -> float:
    """t_max by halving: the t of [0, 1] at which z(t) is as near to k's own prototype as to p."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        z = slerp(k, p, middle)
        low, high = (middle, high) if z @ own > z @ p else (low, middle)
    return (low + high) / 2


def latent(k: Tensor, prototypes: Tensor, target: int, u: float) -> tuple[Tensor, bool]:
    """z of one key and one target, and whether k's prototype is still the nearest to it."""
    own = int((prototypes @ k).argmax())
    z = slerp(k, prototypes[target], (1 - u) * furthest(k, prototypes[own], prototypes[target]))
    return z, int((prototypes @ z).argmax()) == own


def loss(
    q: Tensor, k: Tensor, prototypes: Tensor, target: Tensor, u: Tensor, mu: float, tau: float
) -> tuple[Tensor, float]:
    """−μ mean of q · z / τ over what is kept, of cosines; and the share that is kept. target, u: (batch, positive)."""
    kept = []
    for i in range(len(q)):
        for j in range(target.shape[1]):
            z, stays = latent(k[i] / k[i].norm(), prototypes, int(target[i, j]), float(u[i, j]))
            if stays:
                kept.append((q[i] / q[i].norm()) @ z / tau)
    return -mu * torch.stack(kept).mean(), len(kept) / target.numel()


def kmeans(points: Tensor, start: Tensor, rounds: int) -> Tensor:
    """Prototypes after so many rounds of spherical k-means from a start."""
    prototypes = [p.clone() for p in start]
    for _ in range(rounds):
        nearest = [max(range(len(prototypes)), key=lambda c: float(prototypes[c] @ x)) for x in points]
        for c in range(len(prototypes)):
            members = [x for x, which in zip(points, nearest, strict=True) if which == c]
            if members:
                total = torch.stack(members).sum(0)
                prototypes[c] = total / total.norm()
    return torch.stack(prototypes)
