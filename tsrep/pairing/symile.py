"""A series' views are told from all tuples of other series' views by their multilinear inner product (Symile)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tsrep.pairing.together import Together
from tsrep.pairs import Gather, Pairs
from tsrep.series import Embedding


@dataclass(frozen=True)
class Symile:
    """s = ⟨u^1, …, u^M⟩ F^{M/2−1} / τ with ⟨u^1, …, u^M⟩ = Σ_d Π_m u_d^m over the F features. Saporta et al., NeurIPS 2024,
    arXiv:2411.01053; under `info_nce` each view in turn is to find its series among tuples of the other views.

    What only several views together tell, as c = a ⊕ b, is not in any two of them, and no contrast of pairs finds it. The tuples are
    those in which the other views are taken from places j, j + r, j + 2r, … of the batch, for all j and r: for three views all that
    there are. Nothing is drawn. A series that lacks a view takes no part: a product with a factor missing says nothing.

    views:       the names of the views, two or more; for two it is symmetric InfoNCE.
    temperature: τ.
    even:        the factor F^{M/2−1}, with which a product of M coordinates is as large as one of two, whatever F and M; False: none,
                 as in the paper, which learns a scale.
    """

    views: tuple[str, ...]
    temperature: float = 0.2
    even: bool = True

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        them = Together.of(embeddings, self.views, gather)
        whole = them.present.all(1)
        kept = torch.nonzero(whole)[:, 0] if bool(whole.any()) else torch.arange(len(whole), device=whole.device)
        place = (torch.searchsorted(kept, them.own)).clamp(max=len(kept) - 1)
        count, features = len(self.views), them.mine.shape[-1]
        scale = (features ** (count / 2 - 1) if self.even else 1.0) / self.temperature
        for anchor in range(count):
            tuples = rolled(them.all[kept][:, [m for m in range(count) if m != anchor]])
            attract = tuples.new_zeros(len(place), len(tuples))
            attract = attract.scatter(1, place[:, None], whole[them.own, None].to(attract.dtype))
            yield Pairs(
                score=them.mine[:, anchor] @ tuples.T * scale,
                attract=attract,
                repel=1.0 - attract,
                weight=them.share(whole) / count,
                row=them.row,
                who=them.who[kept].repeat(len(tuples) // len(kept)),
                points=(them.mine[:, anchor] * scale**0.5, tuples * scale**0.5),
            )


def rolled(others: Tensor) -> Tensor:
    """Products of the views over tuples: (batch, view, feature) -> (roll · batch, feature), the true tuples (roll 0) first.

    In roll r the k-th view is that of the series r·k places further; a single view needs no rolls.
    """
    batch, views, _ = others.shape
    at = torch.arange(batch, device=others.device)
    product = others[:, 0].expand(batch if views > 1 else 1, -1, -1)
    for k in range(1, views):
        product = product * others[(at + k * at[:, None]) % batch, k]
    return product.flatten(0, 1)
