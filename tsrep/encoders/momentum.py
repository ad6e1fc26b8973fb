"""The slow copy: encoder and head as they were on average over the last steps."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tsrep.memory import Step
from tsrep.series import Embedding, Series


class SlowCopy(nn.Module):
    """slow ← m slow + (1 − m) fast after every optimiser step. He et al., CVPR 2020, arXiv:1911.05722, eq. 2.

    Buffers (running statistics) are copied, not averaged. No gradient reaches the copy, and it always computes as in evaluation: no
    dropout, and normalisation by running statistics. So a key does not depend on its batch, which is what the paper shuffles
    batches between devices for.

    encoder: series -> embedding. head: pooled -> pooled. Both are followed and not held: they are their method's.
    momentum: m.
    phase:   the phase that moves them.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module | None, momentum: float, phase: str = "contrast") -> None:
        super().__init__()
        self.momentum, self.phase = momentum, phase
        self._followed = tuple(part for part in (encoder, head) if part is not None)  # in a tuple: no parts of this one
        self.encoder = copy.deepcopy(encoder)
        self.head = copy.deepcopy(head)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> SlowCopy:
        """Stays in evaluation."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, series: Series) -> Embedding:
        embedding: Embedding = self.encoder(series)
        if self.head is None:
            return embedding
        return Embedding(embedding.steps, self.head(embedding.pooled), series)

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        if step.phase != self.phase or not step.moved:
            return
        fast: list[Tensor] = [parameter for part in self._followed for parameter in part.parameters()]
        slow: list[Tensor] = list(self.parameters())
        torch._foreach_lerp_(slow, fast, 1.0 - self.momentum)
        copied = [buffer for part in self._followed for buffer in part.buffers()]
        for mine, its in zip(self.buffers(), copied, strict=True):
            mine.copy_(its)
