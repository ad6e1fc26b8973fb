"""iSogCLR in slow loops, from the paper's algorithm and from nothing in tsrep: two views, one state for each series."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class State:
    """Of each of n series: s (None: never seen), τ, momentum."""

    def __init__(self, n: int, tau: float) -> None:
        self.s: list[float | None] = [None] * n
        self.tau, self.u = [tau] * n, [0.0] * n


def step(
    u: Tensor, v: Tensor, row: list[int], state: State, gamma: float, rho: float, momentum: float, rate: float, clip: float,
    lowest: float, highest: float,
) -> Tensor:  # fmt: skip
    """Loss of a batch of unit rows of two views (n, feature), mean over its 2n anchors; changes the state as a step does."""
    n = len(row)
    z = [*u, *v]
    losses: list[Tensor] = []
    seen: dict[int, list[tuple[float, float]]] = {}
    for i in range(2 * n):
        own, partner = row[i % n], (i + n) % (2 * n)
        tau, others = state.tau[own], [j for j in range(2 * n) if j not in (i, partner)]
        h = [z[i] @ z[j] - z[i] @ z[partner] for j in others]
        raised = [math.exp(float(x.detach()) / tau) for x in h]
        fresh = sum(raised) / len(others)
        before = state.s[own]
        s = fresh if before is None else (1 - gamma) * before + gamma * fresh
        losses.append(sum(((e / s) * x for e, x in zip(raised, h, strict=True)), torch.zeros(())) / len(others))
        drift = sum((e / s) * float(x.detach()) / tau for e, x in zip(raised, h, strict=True)) / len(others)
        seen.setdefault(own, []).append((s, math.log(s) + rho - drift))
    for own, told in seen.items():
        state.s[own] = sum(s for s, _ in told) / len(told)
        gradient = min(clip, max(-clip, sum(g for _, g in told) / len(told)))
        state.u[own] = (1 - momentum) * state.u[own] + momentum * gradient
        state.tau[own] = min(highest, max(lowest, state.tau[own] - rate * state.u[own]))
    return torch.stack(losses).mean()
