"""Instance pairs: two views of one series attract, all other series of the batch repel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

from tsrep.pairs import Gather, Twins
from tsrep.series import Embedding, full


@dataclass(frozen=True)
class Instance:
    """NT-Xent's pairs over the pooled embeddings of two views. Chen et al. 2020, arXiv:2002.05709, algorithm 1.

    s_ij = cos(z_i, z_j) / τ over the pool of both views of all workers; positive is the other view of the same series. A series of
    which nothing was recorded takes no part.

    temperature: τ.
    views:       the names of the two views.
    """

    temperature: float = 0.2
    views: tuple[str, str] = ("left", "right")

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Twins]:
        left, right = (embeddings[name] for name in self.views)
        n = len(left.pooled)
        first, total = gather.place(n)
        pool = torch.cat([_unit(left, self.temperature), _unit(right, self.temperature)])
        here = left.series.present & right.series.present
        everyone, others = gather(here), None
        alive = None if bool(everyone.all()) else everyone
        weight = pool.new_full((1,), 1.0 / (2 * total))
        if alive is not None:
            weight = here.repeat(2).to(pool.dtype) / (2 * alive.sum()).clamp(min=1).to(pool.dtype)
        if total != n:
            others = torch.cat([gather(pool[:n]), gather(pool[n:])])
        yield Twins(
            pool=pool,
            weight=weight,
            row=torch.cat([left.series.row, right.series.row]),
            others=others,
            first=first,
            alive=alive,
            who=gather(left.series.row).repeat(2),
            floor=-1.0 / self.temperature,
        )


def _unit(embedding: Embedding, temperature: float) -> torch.Tensor:
    unit: torch.Tensor = normalize(full(embedding.pooled), dim=-1)
    return unit.div(temperature**0.5)
