"""MoCo in slow loops, from the paper's formulas and from nothing in tsrep."""

from __future__ import annotations

import torch
from torch import Tensor


def loss(q: Tensor, k: Tensor, queue: list[tuple[int, Tensor]], row: list[int], size: int, tau: float) -> Tensor:
    """He et al. 2020, eq. 1, mean over the queries: −log e^{q·k⁺/τ} / (e^{q·k⁺/τ} + Σ_queue e^{q·k/τ}), of cosines.

    queue: (series, key), the keys that are there of `size`; each counts size / how many there are, and those of the query's own
    series do not.
    """
    losses = []
    for i in range(len(q)):
        query, own = q[i] / q[i].norm(), k[i].detach() / k[i].detach().norm()
        positive = torch.exp(query @ own / tau)
        total = positive
        for series, key in queue:
            if series != row[i]:
                total = total + size / len(queue) * torch.exp(query @ key / tau)
        losses.append(-torch.log(positive / total))
    return torch.stack(losses).mean()


def entered(queue: list[tuple[int, Tensor]], rows: list[int], keys: Tensor, size: int) -> list[tuple[int, Tensor]]:
    """The queue, oldest first, after a batch has entered."""
    return [*queue, *((row, key / key.norm()) for row, key in zip(rows, keys, strict=True))][-size:]
