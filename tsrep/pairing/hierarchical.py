"""Hierarchical pairs of TS2Vec: instances against instances and steps against steps, at every scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d

from tsrep.pairs import Gather, Twins
from tsrep.series import Embedding, full


@dataclass(frozen=True)
class Hierarchical:
    """Instance and temporal pairs at scales 1, 2, 4, … Yue et al., AAAI 2022, arXiv:2106.10466, eqs. 1 to 3, algorithm 1.

    L = (1/d) Σ_scales [α L_instance + (1 − α) L_temporal], d scales with the coarsest (one step) included, where L_temporal is
    zero. Raw dot products: no normalisation, no temperature unless one is given. Between scales the steps are max-pooled by two.
    Only the steps that both views have in common take part, and of these only those inside both extents.

    alpha:         share of the instance pairs; the rest are temporal pairs.
    temperature:   divides the dot products.
    temporal_from: scale from which temporal pairs are drawn (0: all). What is not drawn is missing from the sum of weights.
    views:         the names of the two views.
    """

    alpha: float = 0.5
    temperature: float = 1.0
    temporal_from: int = 0
    views: tuple[str, str] = ("left", "right")

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Twins]:
        left, right, alive = common_steps(*(embeddings[name] for name in self.views))
        row = embeddings[self.views[0]].series.row
        if alive is None and gather.place(len(row))[1] != len(row):
            alive = torch.ones(left.shape[0], left.shape[-1], dtype=torch.bool, device=left.device)  # all workers alike
        root = self.temperature**0.5
        if self.temperature != 1.0:
            left, right = left / root, right / root
        who = gather(row).repeat(2)
        scales = left.shape[-1].bit_length()
        for scale in range(scales):
            if self.alpha > 0:
                yield self._instances(left, right, alive, row, who, gather, self.alpha / scales)
            if self.alpha < 1 and scale >= self.temporal_from:
                yield self._moments(left, right, alive, row, scale, gather, (1.0 - self.alpha) / scales)
            if left.shape[-1] > 1:
                left, right, alive = _halve(left, right, alive)

    def _instances(
        self,
        left: Tensor,
        right: Tensor,
        alive: Tensor | None,
        row: Tensor,
        who: Tensor,
        gather: Gather,
        share: float,
    ) -> Twins:
        """At each step, every series against every series: group is time, (time, 2·batch, feature)."""
        n, steps = left.shape[0], left.shape[-1]
        first, total = gather.place(n)
        pool = torch.cat([left, right]).permute(2, 0, 1).contiguous()
        everyone, others = alive, None
        if total != n:
            others = torch.cat([gather(left), gather(right)]).permute(2, 0, 1)
            everyone = None if alive is None else gather(alive)
        weight = _weights(alive, everyone, share, pool, count=2 * total * steps)
        return Twins(
            pool=pool,
            weight=weight if alive is None else weight.mT.repeat(1, 2),
            row=row.repeat(2),
            others=others,
            first=first,
            alive=None if everyone is None else everyone.mT,
            who=who,
        )

    def _moments(
        self,
        left: Tensor,
        right: Tensor,
        alive: Tensor | None,
        row: Tensor,
        scale: int,
        gather: Gather,
        share: float,
    ) -> Twins:
        """In each series, every step against every step: group is the batch, (batch, 2·time, feature)."""
        _, total = gather.place(left.shape[0])
        everyone = None if alive is None or total == left.shape[0] else gather(alive)
        pool = torch.cat([left, right], dim=-1).mT.contiguous()  # a third faster to multiply than as it lies
        weight = _weights(alive, alive if everyone is None else everyone, share, pool, count=2 * total * left.shape[-1])
        return Twins(
            pool=pool,
            weight=weight if alive is None else weight.repeat(1, 2),
            row=row[:, None],
            alive=alive,
            who=row[:, None],
            moment=torch.arange(left.shape[-1], device=row.device).repeat(2) * 2**scale,
        )


def common_steps(left: Embedding, right: Embedding) -> tuple[Tensor, Tensor, Tensor | None]:
    """The steps of two crops that are the same moments: (batch, feature, time) of each, and which are inside both extents,
    (batch, time) or None for all.

    The crops may begin at a different step in every series, but the distance between the two must be the same for all.
    """
    shift = right.series.start - left.series.start
    ahead = int(shift[0])
    if not bool((shift == ahead).all()):
        raise ValueError("expected the same distance between the two crops of every series of the batch")
    skip_left, skip_right = max(ahead, 0), max(-ahead, 0)
    steps = min(left.series.length - skip_left, right.series.length - skip_right)
    if steps < 1:
        raise ValueError(f"expected two crops that overlap, got none: the second begins {ahead} steps after the first")
    alive = (
        left.series.extent[:, skip_left : skip_left + steps] & right.series.extent[:, skip_right : skip_right + steps]
    )
    return (
        full(left.steps[:, :, skip_left : skip_left + steps]),
        full(right.steps[:, :, skip_right : skip_right + steps]),
        None if bool(alive.all()) else alive,
    )


def _halve(left: Tensor, right: Tensor, alive: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Max-pooling by two; a step that is not alive gives way to its neighbour."""
    if alive is None:
        return max_pool1d(left, 2), max_pool1d(right, 2), None
    dead = ~alive[:, None]
    after = max_pool1d(alive[:, None].to(left.dtype), 2)[:, 0] > 0
    left, right = (max_pool1d(view.masked_fill(dead, float("-inf")), 2) for view in (left, right))
    return left.masked_fill(~after[:, None], 0.0), right.masked_fill(~after[:, None], 0.0), after


def _weights(mine: Tensor | None, everyone: Tensor | None, share: float, like: Tensor, count: int) -> Tensor:
    """Equal shares of all living anchors of all workers, two for each step that is alive."""
    if mine is None or everyone is None:
        return like.new_full((1,), share / count)
    return mine.to(like.dtype) * (share / (2 * everyone.sum().to(like.dtype)).clamp(min=1))
