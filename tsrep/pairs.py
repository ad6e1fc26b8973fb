"""How anchors stand to candidates: masses instead of labels, so that every method is a choice of masses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from tsrep.series import Embedding, Series


@dataclass(frozen=True)
class Pairs:
    """Anchors against candidates, dense.

    score:   (*group, anchor, candidate) similarity, already divided by the temperature.
    attract: (*group, anchor, candidate) >= 0, broadcastable: mass of attraction. 0 none, 1 whole, between is soft.
    repel:   (*group, anchor, candidate) >= 0, broadcastable: mass of repulsion.
    weight:  (*group, anchor), broadcastable: shares that sum to one over all that a pairing yields on all workers, so
             that scales, chunks and workers add up. An anchor without a positive has weight zero.
    row:     (*group, anchor) int64, broadcastable: the series of the data set that the anchor belongs to.

    Miners may ask for more, which a pairing says where it can:

    who:     (*group, candidate) int64, broadcastable: the series that each candidate belongs to.
    moment:  (*group, anchor), (*group, candidate), broadcastable: the steps they lie at, of pairs within one series.
    points:  (*group, anchor, feature), (*group, candidate, feature): what the scores are products of.
    floor:   the least score there can be, −1/τ for cosines over a temperature τ.

    Masses are constants unless a method learns them.
    """

    score: Tensor
    attract: Tensor
    repel: Tensor
    weight: Tensor
    row: Tensor
    who: Tensor | None = None
    moment: tuple[Tensor, Tensor] | None = None
    points: tuple[Tensor, Tensor] | None = None
    floor: float | None = None

    def dense(self) -> Pairs:
        return self

    def detach(self) -> Pairs:
        return _detached(self)


@dataclass(frozen=True)
class Twins:
    """Two views of the same n things, kept as factors instead of a matrix of scores.

    Anchor i of the first view and anchor i of the second attract each other; every other candidate of either view repels; an
    anchor never meets itself. `dense()` says the same as `Pairs`, for mining and for losses that change masses;
    `losses.info_nce` takes the factors as they are and keeps one matrix instead of several.

    pool:   (*group, 2n, feature): the anchors, first view then second, divided by the square root of the temperature.
    others: (*group, 2m, feature): the candidates in the same order, when they are more than the anchors (those of all
            workers). None: the anchors are the candidates.
    first:  where this worker's n things begin among the m.
    alive:  (*group, m) bool: things that exist in both views; the others take no part. None: all do.
    weight, row: (*group, 2n), broadcastable, as in `Pairs`.
    who:    (*group, 2m), broadcastable; moment: (*group, 2m), broadcastable; floor: as in `Pairs`.
    """

    pool: Tensor
    weight: Tensor
    row: Tensor
    others: Tensor | None = None
    first: int = 0
    alive: Tensor | None = None
    who: Tensor | None = None
    moment: Tensor | None = None
    floor: float | None = None

    def detach(self) -> Twins:
        return _detached(self)

    def positions(self) -> tuple[Tensor, Tensor]:
        """For each of the 2n anchors, where itself and its positive stand among the 2m candidates."""
        n = self.pool.shape[-2] // 2
        m = n if self.others is None else self.others.shape[-2] // 2
        here = torch.arange(self.first, self.first + n, device=self.pool.device)
        return torch.cat([here, here + m]), torch.cat([here + m, here])

    def dense(self) -> Pairs:
        candidates = self.pool if self.others is None else self.others
        itself, positive = self.positions()
        attract = self.pool.new_zeros(self.pool.shape[-2], candidates.shape[-2])
        attract = attract.scatter(1, positive[:, None], 1.0)
        repel = (1.0 - attract).scatter(1, itself[:, None], 0.0)
        if self.alive is not None:
            both = torch.cat([self.alive, self.alive], dim=-1)[..., None, :].to(attract.dtype)
            attract, repel = attract * both, repel * both
        moment = None if self.moment is None else (self.moment[..., itself], self.moment)
        return Pairs(
            score=self.pool @ candidates.mT,
            attract=attract,
            repel=repel,
            weight=self.weight,
            row=self.row,
            who=self.who,
            moment=moment,
            points=(self.pool, candidates),
            floor=self.floor,
        )


AnyPairs = Pairs | Twins

P = TypeVar("P", Pairs, Twins)


def _detached(pairs: P) -> P:
    """The same without gradients."""

    def bare(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(bare(part) for part in value)
        return value.detach() if isinstance(value, Tensor) else value

    return replace(pairs, **{f.name: bare(getattr(pairs, f.name)) for f in fields(pairs)})


class Gather(Protocol):
    """The same things of all workers. On one process it is the identity."""

    def __call__(self, mine: Tensor) -> Tensor:
        """(batch, ...) of this worker -> (batch of all workers, ...), differentiable, in the order of the workers."""

    def place(self, n: int) -> tuple[int, int]:
        """Where this worker's n things begin among those of all workers, and how many those are."""


class Alone:
    """Gather of a single process."""

    def __call__(self, mine: Tensor) -> Tensor:
        return mine

    def place(self, n: int) -> tuple[int, int]:
        return 0, n


Pairing = Callable[[Mapping[str, Embedding], Gather], Iterable[AnyPairs]]
"""Embeddings of the views -> pairs. An iterable: scales and chunks need no list."""

Mine = Callable[[Pairs], Pairs]
"""Changes masses before the loss: hard negatives, debiasing, soft assignments, selected devices."""

Loss = Callable[[AnyPairs], Tensor]
"""Pairs -> one value per anchor, (*group, anchor)."""

Reweigh = Callable[[Tensor, Tensor], Tensor]
"""(loss of each series' positive pair (batch,), row (batch,)) -> factor (batch,), detached: bad-pair mining, after the loss."""


@dataclass(frozen=True)
class Mined:
    """What a miner changes in a term; None: nothing.

    mine:    masses.
    loss:    the objective: a function or module, or the name of one of `losses.LOSSES` with its settings.
    reweigh: the weight of each series' pair.
    """

    mine: Mine | None = None
    loss: Loss | tuple[str, Mapping[str, Any]] | None = None
    reweigh: Reweigh | None = None


class Miner(Protocol):
    """Configuration of a miner: one file of the room mining/."""

    def build(self, data: Series) -> Mined:
        """For one term. data: all series that will be learned from; rows of batches are places in it."""
