"""Every two views contrast, both ways, and the pairs of views are averaged: CLIP's objective for more than two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tsrep.pairing.together import Together
from tsrep.pairs import Gather, Pairs
from tsrep.series import Embedding


@dataclass(frozen=True)
class EachPair:
    """s_ij = cos(u_i^l, u_j^m) / τ for every two views l ≠ m: the anchors are of l, the candidates of m, the series' own attracts.

    Under `info_nce` the mean over all pairs of views of the symmetric InfoNCE: full-graph contrastive multiview coding, Tian et al.,
    ECCV 2020, arXiv:1906.05849, eq. 8. A series that lacks m is no candidate there, one that lacks l or m no anchor.

    views:       the names of the views, two or more.
    temperature: τ.
    """

    views: tuple[str, ...]
    temperature: float = 0.2

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        them = Together.of(embeddings, self.views, gather)
        kind, count = them.mine.dtype, len(self.views)
        ways = [(a, c) for a in range(count) for c in range(count) if a != c]
        alive = {(a, c): them.present[:, a] & them.present[:, c] for a, c in ways}
        met = max(1, sum(bool(both.any()) for both in alive.values()))
        root = self.temperature**0.5
        for (a, c), both in alive.items():
            anchors, candidates = them.mine[:, a] / root, them.all[:, c] / root
            yield Pairs(
                score=anchors @ candidates.T,
                attract=(~them.others & both).to(kind),
                repel=(them.others & them.present[:, c]).to(kind),
                weight=them.share(both) / met,
                row=them.row,
                who=them.who,
                points=(anchors, candidates),
                floor=-1.0 / self.temperature,
            )
