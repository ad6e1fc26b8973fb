"""Sparsity: what a learned mask costs for every step that it lets through. An objective, for no pair says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from tsrep.pairs import Gather
from tsrep.series import Embedding, Views


class Turn(Protocol):
    """What is asked of a step: whose it was."""

    @property
    def phase(self) -> str: ...


class Sparsity(nn.Module):
    """β · max(0, mean over series and steps of cost(ℓ_t) − budget), β rising from zero in a straight line.

    With cost = P(h_t > 0) it is the expected L0 norm of AutoTCL (Zheng et al., ICLR 2024, arXiv:2402.10434, eq. 7) over the
    length of the series: the paper sums over time, so this β is its β times the number of steps. A mean leaves β its meaning when
    the windows become longer. Each series counts alike, and of its steps those inside the extent.

    weight: β.
    ramp:   batches of the phase over which β rises; 0: at once. From an open mask the encoder first learns what there is to see.
    cost:   gate (batch, 1 or channel, time) -> cost of each step, (batch, time).
    budget: what may be spent for nothing.
    phase:  the phase whose batches are counted.
    """

    steps: Tensor

    def __init__(
        self, weight: float, ramp: int, cost: Callable[[Tensor], Tensor], budget: float = 0.0, phase: str = "augment"
    ) -> None:
        super().__init__()
        self.weight, self.ramp, self.cost, self.budget, self.phase = weight, ramp, cost, budget, phase
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
        gate = views["gate"]
        inside = gate.extent.to(gate.values.dtype)
        spent = (self.cost(gate.values) * inside).sum(1) / inside.sum(1)
        _, total = gather.place(len(gate))
        excess = (gather(spent).mean() - self.budget).relu()
        risen = 1.0 if self.ramp == 0 else (self.steps / self.ramp).clamp(max=1.0)
        return self.weight * risen * excess * (len(gate) / total)

    def after_step(self, step: Turn) -> None:
        if step.phase == self.phase:
            self.steps += 1
