"""What a part that remembers is told after a step: memories, queues and prototypes learn from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tsrep.pairs import AnyPairs, Gather, Pairs
from tsrep.series import Embedding, Views


@dataclass(frozen=True)
class Seen:
    """What a term made of one batch, without gradients.

    row:    (batch,) int64, the series of the batch, those of this worker.
    loss:   (batch,) what the positive pair of each series lost: the mean over all its anchors, at all scales, by their weights.
    weight: (batch,) sum of the weights of its anchors; zero where it had none alive, and then its loss means nothing.
    parts:  the pairs as the loss took them, each with its loss (*group, anchor); empty where neither miner nor loss remembers.
    """

    row: Tensor
    loss: Tensor
    weight: Tensor
    parts: tuple[tuple[AnyPairs, Tensor], ...]

    @staticmethod
    def of(parts: Sequence[tuple[AnyPairs, Tensor]], row: Tensor, *, keep: bool) -> Seen:
        """The losses of the series are the means of their anchors'. keep: the parts too."""
        total, weight = averaged(parts, row)
        # Without their graph, or accumulation would hold the graphs of all its batches.
        kept = tuple((pairs.detach(), loss.detach()) for pairs, loss in parts) if keep else ()
        return Seen(row, total, weight, kept)


@dataclass(frozen=True)
class Step:
    """What happened in one step of a phase.

    seen:  what each term saw, by its name, of those terms that the part which is told belongs to.
    moved: whether the weights have moved since the last step that was told: of the batches that one step accumulates, the first.
    """

    phase: str
    views: Views
    embeddings: Mapping[str, Embedding]
    seen: Mapping[str, Seen]
    gather: Gather
    moved: bool = True

    def mean(self, of: Callable[[Pairs], Tensor]) -> Tensor:
        """Mean over the series of all workers and over the terms of what is said of their anchors (*group, anchor): a scalar, NaN where
        no series has an anchor. Of terms whose pairs were kept."""
        values = []
        for seen in self.seen.values():
            value, weight = averaged([(pairs, of(pairs.dense())) for pairs, _ in seen.parts], seen.row)
            values.append(self.gather(value)[self.gather(weight) > 0])
        return torch.cat(values).mean()


class Remembers(Protocol):
    """A part of a method that holds state between steps. It changes here and nowhere else."""

    def after_step(self, step: Step) -> None: ...

    def after_epoch(self, epoch: int) -> None: ...


class Speaks(Protocol):
    """A part of a term that has something to say of what it remembers."""

    def numbers(self) -> Mapping[str, float]:
        """For the history; none where nothing can be said yet. The same on every worker."""


def averaged(parts: Sequence[tuple[AnyPairs, Tensor]], row: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_a w_a v_a / Σ_a w_a over the anchors a of each series i of a batch, and Σ_a w_a: (batch,), (batch,), without gradients.

    parts: pairs with the values of their anchors (*group, anchor). A mean without a weight means nothing, and is zero.
    """
    total = parts[0][1].detach().new_zeros(len(row))
    weight = torch.zeros_like(total)
    for pairs, value in parts:
        place = places(pairs.row, row).expand_as(value).flatten()
        share = pairs.weight.detach().expand_as(value)
        total.index_add_(0, place, (value.detach() * share).flatten())
        weight.index_add_(0, place, share.flatten())
    return total / torch.where(weight > 0, weight, 1.0), weight


def places(row: Tensor, batch: Tensor) -> Tensor:
    """Where in a batch (batch,) of distinct rows each row stands; any shape. Every row must be in the batch."""
    ordered, order = batch.sort()
    return order[torch.searchsorted(ordered, row)]


def exact(move: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """What a module is moved by (`nn.Module._apply`), without rounding float64: the buffers go along to the device and keep their type.

    `method.to(dtype=float32)` is meant for weights; sums over hundreds of epochs would lose what tells two pairs apart. Apple's
    accelerator knows no float64: there they are rounded.
    """

    def moved(tensor: Tensor) -> Tensor:
        found = move(tensor)
        keeps = tensor.dtype == torch.float64 and found.dtype != torch.float64 and found.device.type != "mps"
        return tensor.to(found.device) if keeps else found

    return moved
