"""Pairs across modalities, both ways: what two streams recorded of one moment attracts, all other moments repel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tsrep.memory import Step
from tsrep.pairs import Gather, Pairs
from tsrep.series import Embedding, full


class CrossModal(nn.Module):
    """L = ½ (L_{a→b} + L_{b→a}): rows of the matrix of cosines of stream a against stream b, and of b against a, N = B − 1 negatives.

    s_ij = cos(a_i, b_j) / τ; a_i is attracted by b_i. Choi, Beedu, Essa 2023, arXiv:2309.01262, and contrastive multiview coding, Tian
    et al. 2020, arXiv:1906.05849; hard negatives and debiasing are what the miners of the same names make of these pairs.

    Same subject: a negative of the anchor's own subject repels 1 + γ, so that who moves tells less and what is done more (after SICL,
    Choi et al. 2025). The validation loss is the plain one: rows of the validation part have no subject here.

    Mined neighbours (CMKM, Brinzea et al. 2022, arXiv:2205.10071): the k series of the batch that are most like i in stream b become
    positives of a_i in stream a, of mass 1, and the other series of stream a join its negatives, of mass 1; and the other way round.
    What differs from the paper: likeness is by the current embeddings without gradient, after a warm-up, not by encoders that were
    trained for it before; a neighbour is no negative in stream b either; and all scores are over τ (the released code takes none within
    a stream). The validation loss is the plain one.

    A series without one of the two streams is no anchor; where a stream is absent it is nobody's candidate.

    temperature: τ.
    pairs:       names of the views that are contrasted, two by two, each pair both ways.
    gamma:       γ.
    subject:     (rows,) int64, who every row of the data is of, -1 where that is not known; γ needs it.
    neighbours:  k; 0: none are mined.
    warmup:      steps before any are.
    """

    steps: Tensor
    subject: Tensor | None

    def __init__(
        self,
        temperature: float = 0.1,
        pairs: Sequence[tuple[str, str]] = (("inertial", "skeleton"),),
        *,
        gamma: float = 0.0,
        subject: Tensor | None = None,
        neighbours: int = 0,
        warmup: int = 0,
    ) -> None:
        super().__init__()
        if gamma and subject is None:
            raise ValueError(
                "expected the subject of every row for a weight of the same subject, got none: set gamma to 0"
            )
        self.temperature, self.pairs, self.gamma = temperature, tuple(pairs), gamma
        self.neighbours, self.warmup = neighbours, warmup
        self.register_buffer("subject", subject if gamma else None, persistent=False)  # of the data, not learned
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        sides = [tuple(_side(embeddings[name], gather) for name in names) for names in self.pairs]
        total = sum((2 * (left.everywhere & right.everywhere).sum() for left, right in sides), torch.zeros(()))
        for left, right in sides:
            yield self._one_way(left, right, gather, total)
            yield self._one_way(right, left, gather, total)

    def after_step(self, step: Step) -> None:
        self.steps += 1

    def _one_way(self, own: Side, other: Side, gather: Gather, total: Tensor) -> Pairs:
        n = len(own.unit)
        first, m = gather.place(n)
        here = torch.arange(first, first + n, device=own.unit.device)
        alive = own.here & other.here
        itself = own.unit.new_zeros(n, m).scatter(1, here[:, None], 1.0)
        attract = itself * alive[:, None]
        repel = (1.0 - itself) * alive[:, None] * other.everywhere
        repel = repel * self._same_subject(own.row, gather).to(repel.dtype)
        candidates, who = other.all, own.who
        if self.training and self.neighbours and int(self.steps) >= self.warmup:
            near = self._near(other, itself, alive, own.everywhere & other.everywhere)
            among = (1.0 - itself) * alive[:, None] * own.everywhere
            among = among * self._same_subject(own.row, gather).to(among.dtype)
            attract = torch.cat([attract, near], dim=1)
            repel = torch.cat([repel * (1.0 - near), among * (1.0 - near)], dim=1)
            candidates, who = torch.cat([other.all, own.all]), who.repeat(2)
        root = self.temperature**0.5
        return Pairs(
            score=own.unit @ candidates.mT / self.temperature,
            attract=attract,
            repel=repel,
            weight=alive.to(attract.dtype) / total.clamp(min=1).to(attract),
            row=own.row,
            who=who,
            points=(own.unit / root, candidates / root),
            floor=-1.0 / self.temperature,
        )

    def _same_subject(self, row: Tensor, gather: Gather) -> Tensor:
        """1 + γ where anchor and candidate are of one subject, else 1: (n, m), or a plain one."""
        if self.subject is None or not self.training:
            return torch.ones((), device=row.device)
        mine = self.subject[row]
        return 1.0 + self.gamma * ((mine[:, None] == gather(mine)) & (mine[:, None] >= 0)).float()

    @torch.no_grad()
    def _near(self, judge: Side, itself: Tensor, alive: Tensor, candidates: Tensor) -> Tensor:
        """1 for the k candidates that are most like each anchor in the stream that judges: (n, m)."""
        out = candidates & (itself == 0) & alive[:, None]
        like = (judge.unit @ judge.all.mT).masked_fill(~out, -torch.inf)
        nearest = like.topk(min(self.neighbours, like.shape[1]), dim=1).indices
        return torch.zeros_like(itself).scatter(1, nearest, 1.0) * out


@dataclass(frozen=True)
class Side:
    """One stream of a batch. unit: (n, feature) of length one; all: those of all workers; here, everywhere: (n,), (m,) bool, whether it
    was recorded; row, who: (n,), (m,) int64."""

    unit: Tensor
    all: Tensor
    here: Tensor
    everywhere: Tensor
    row: Tensor
    who: Tensor


def _side(embedding: Embedding, gather: Gather) -> Side:
    unit: Tensor = normalize(full(embedding.pooled), dim=-1)
    here, row = embedding.series.present, embedding.series.row
    return Side(unit, gather(unit), here, gather(here), row, gather(row))
