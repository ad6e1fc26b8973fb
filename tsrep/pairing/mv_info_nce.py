"""All views of a series attract each other at once, all views of all other series repel (MV-InfoNCE)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from tsrep.pairing.together import Together
from tsrep.pairs import Gather, Pairs
from tsrep.series import Embedding


@dataclass(frozen=True)
class MVInfoNCE:
    """Pairs whose anchor is a whole series and whose candidates are all (l, m, j): view l of the series with view m of series j.
    Koromilas et al. 2025, arXiv:2507.06979; under `info_nce`

    −log Σ_l Σ_{m≠l} e^{u_i^l·u_i^m/τ} / Σ_l Σ_{(j,m)≠(i,l)} e^{u_i^l·u_j^m/τ}.

    For two views it is not NT-Xent: the log stands outside the sum over the views. A view that was not recorded takes no part, and a
    series with fewer than two has no weight.

    views:       the names of the views, two or more.
    temperature: τ.
    """

    views: tuple[str, ...]
    temperature: float = 0.2

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        them = Together.of(embeddings, self.views, gather)
        kind, count = them.mine.dtype, len(self.views)
        here = them.present[them.own]
        both = here[:, :, None, None] & them.present.T  # (n, l, m, j)
        apart = ~torch.eye(count, dtype=torch.bool, device=here.device)[:, :, None]
        other = them.others[:, None, None, :]
        yield Pairs(
            score=(torch.einsum("ilf,jmf->ilmj", them.mine, them.all) / self.temperature).flatten(1),
            attract=(both & apart & ~other).to(kind).flatten(1),
            repel=(both & other).to(kind).flatten(1),
            weight=them.share(them.present.sum(1) > 1),
            row=them.row,
            who=them.who.repeat(count * count),
            floor=-1.0 / self.temperature,
        )
