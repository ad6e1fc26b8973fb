"""All views of a series attract each other at once, and a series is repelled by the others within each view alone (MV-DHEL)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from tsrep.pairing.together import Together
from tsrep.pairs import Gather, Pairs
from tsrep.series import Embedding


@dataclass(frozen=True)
class MVDHEL:
    """A group of pairs for each view l: what attracts are the pairs of views of the series, the same in all groups, what repels are the
    other series in view l. Koromilas et al. 2025, arXiv:2507.06979; under `losses.dhel`

    −log Σ_{l<m} e^{u_i^l·u_i^m/τ} / Π_l Σ_{j≠i} e^{u_i^l·u_j^l/τ}.

    Attraction and repulsion have nothing in common, so views of other series are never compared across views. A view that was not
    recorded takes no part, and a series with fewer than two has no weight.

    views:       the names of the views, two or more.
    temperature: τ.
    """

    views: tuple[str, ...]
    temperature: float = 0.2

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        them = Together.of(embeddings, self.views, gather)
        kind, count = them.mine.dtype, len(self.views)
        first, second = torch.triu_indices(count, count, offset=1, device=them.mine.device)
        here = them.present[them.own]
        within = torch.einsum("ilf,jlf->lij", them.mine, them.all)
        across = (them.mine[:, first] * them.mine[:, second]).sum(-1).expand(count, -1, -1)
        toward = (here[:, first] & here[:, second]).expand(count, -1, -1)
        away = here.T[:, :, None] & them.present.T[:, None] & them.others
        views = them.present.sum(1)
        yield Pairs(
            score=torch.cat([across, within], dim=2) / self.temperature,
            attract=torch.cat([toward, torch.zeros_like(away)], dim=2).to(kind),
            repel=torch.cat([torch.zeros_like(toward), away], dim=2).to(kind),
            weight=here.T * them.share(views > 1) / views[them.own].clamp(min=1),
            row=them.row,
            who=torch.cat([them.row[:, None].expand(-1, len(first)), them.who.expand(len(here), -1)], dim=1),
            floor=-1.0 / self.temperature,
        )
