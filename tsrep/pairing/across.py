"""Pairs across two views, one way: a series attracts its own view and is repelled by the views of all others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep.pairs import Gather, Pairs
from tsrep.series import Embedding, full


@dataclass(frozen=True)
class Across:
    """s_ij = cos(z_i, z'_j) / τ: anchors are the series of one view, candidates those of the other, of all workers.

    InfoNCE as AutoTCL takes it: no pair within a view, and not the other way round. Zheng et al., ICLR 2024, arXiv:2402.10434, eq. 9.

    temperature: τ.
    anchors, candidates: the names of the two views.
    """

    temperature: float = 1.0
    anchors: str = "original"
    candidates: str = "view"

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        anchors = _unit(embeddings[self.anchors].pooled)
        candidates = gather(_unit(embeddings[self.candidates].pooled))
        n = len(anchors)
        first, total = gather.place(n)
        own = torch.arange(first, first + n, device=anchors.device)
        attract = anchors.new_zeros(n, total).scatter(1, own[:, None], 1.0)
        yield Pairs(
            score=anchors @ candidates.mT / self.temperature,
            attract=attract,
            repel=1.0 - attract,
            weight=anchors.new_full((n,), 1.0 / total),
            row=embeddings[self.anchors].series.row,
            who=gather(embeddings[self.candidates].series.row),
            points=(anchors / self.temperature**0.5, candidates / self.temperature**0.5),
            floor=-1.0 / self.temperature,
        )


def _unit(pooled: Tensor) -> Tensor:
    unit: Tensor = normalize(full(pooled), dim=-1)
    return unit
