"""Pairs across modalities in slow loops, from the formulas and from nothing in tsrep."""

from __future__ import annotations

import torch
from torch import Tensor


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


def inter_modal(
    u: Tensor, v: Tensor, tau: float, gamma: float, subject: list[int], here: list[tuple[bool, bool]], neighbours: int
) -> Tensor:
    """½ (L_{u→v} + L_{v→u}), L = mean over the series that have both of −log(Σ positives / (Σ positives + Σ negatives)).

    A negative of the anchor's subject counts 1 + γ. neighbours k: the k series that are most like i in the other stream, and have
    both, are positives in the anchor's own, no negatives in the other; the rest of the own stream are negatives.
    """
    n, losses = len(u), []
    for side, (own, other) in enumerate(((u, v), (v, u))):
        for i in range(n):
            if not all(here[i]):
                continue
            positive, negative = [torch.exp(cosine(own[i], other[i]) / tau)], []
            others = [j for j in range(n) if j != i]
            ranked = sorted(
                (j for j in others if all(here[j])), key=lambda j: -float(cosine(other[i], other[j]).detach())
            )
            near = ranked[:neighbours]
            for j in others:
                mass = 1 + gamma * (subject[i] == subject[j] >= 0)
                if here[j][1 - side] and j not in near:
                    negative.append(mass * torch.exp(cosine(own[i], other[j]) / tau))
                if neighbours and here[j][side]:
                    alike = torch.exp(cosine(own[i], own[j]) / tau)
                    if j in near:
                        positive.append(alike)
                    else:
                        negative.append(mass * alike)
            losses.append(-torch.log(sum(positive) / (sum(positive) + sum(negative))))
    return torch.stack(losses).mean()
