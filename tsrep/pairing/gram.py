"""Views of one series span a small volume, views of several a large one (GRAM)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tsrep.pairing.together import Together
from tsrep.pairs import Gather, Pairs
from tsrep.series import Embedding

EPS = 1e-8
"""Added to a determinant before its root is taken, whose slope is infinite at zero."""


@dataclass(frozen=True)
class Gram:
    """s_ij = −V(u_i^a, u_j^m for all m ≠ a) / τ, V = √det[⟨u^l, u^m⟩], the volume that M vectors of length one span. Cicchetti et
    al., ICLR 2025, arXiv:2412.11959; under `soft` (or `info_nce` without smoothing) contrast both ways, every view a being anchor in
    turn.

    For two views V² = 1 − s²: the sign of the cosine is lost, opposite views count as alike. A series that lacks a view takes no part:
    volumes of other dimensions do not compare.

    views:       the names of the views, two or more.
    temperature: τ.
    smoothing:   ε, the share of the attraction that all candidates have alike (label smoothing).
    """

    views: tuple[str, ...]
    temperature: float = 0.07
    smoothing: float = 0.1

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        them = Together.of(embeddings, self.views, gather)
        whole = them.present.all(1)
        kind, count = them.mine.dtype, len(self.views)
        other = whole.to(kind).expand(len(them.own), -1)
        attract = (1.0 - self.smoothing) * (~them.others).to(kind) * other
        attract = attract + self.smoothing * other / whole.sum().clamp(min=1)
        for anchor in range(count):
            rest = [m for m in range(count) if m != anchor]
            mine, everyone = them.mine, them.all
            ways = (
                volume(mine[:, None, anchor], everyone[None, :, rest]),
                volume(everyone[None, :, anchor], mine[:, None, rest]),
            )
            for size in ways:
                yield Pairs(
                    score=-size / self.temperature,
                    attract=attract,
                    repel=other - attract,
                    weight=them.share(whole) / (2 * count),
                    row=them.row,
                    who=them.who,
                    floor=-1.0 / self.temperature,
                )


def volume(one: Tensor, others: Tensor) -> Tensor:
    """√det of the inner products of M unit vectors: (…, feature) and (…, M − 1, feature), broadcastable -> (…)."""
    toward = torch.einsum("...f,...mf->...m", one, others)
    among = (others @ others.mT).expand(*toward.shape, -1)
    top = torch.cat([torch.ones_like(toward[..., :1]), toward], dim=-1)[..., None, :]
    products = torch.cat([top, torch.cat([toward[..., None], among], dim=-1)], dim=-2)
    size: Tensor = (torch.linalg.det(products).clamp(min=0.0) + EPS).sqrt()
    return size
