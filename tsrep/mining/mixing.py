"""Mixing of hard negatives (MoCHi)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.functional import normalize

from tsrep import randomness
from tsrep.errors import InputError
from tsrep.memory import Step
from tsrep.mining.cosine import temperature
from tsrep.pairs import Mined, Pairs
from tsrep.series import Series, full


@dataclass(frozen=True)
class Mixing:
    """Negatives that are harder than any in the batch are mixed of the hardest ones. Kalantidis et al., NeurIPS 2020, arXiv:2010.01028.

    Of the hardest negatives n of each anchor q, h = norm(a n_i + (1 − a) n_j) with a ~ U(0, 1), and h' = norm(b q + (1 − b) n_k) with
    b ~ U(0, ½) join the candidates, each with mass 1. They are constants: a gradient reaches the anchor through its scores with
    them, and no candidate. Slot m mixes the same ranks in the same shares for every anchor of a batch, so any number of workers mixes
    alike. Only for scores that are cosines over a temperature; InputError for others. The validation loss is the host's.

    hardest: how many of the nearest negatives are mixed from; fewer where there are fewer. The paper's 1024 are 1/16 of its queue.
    between: how many h each anchor gets.
    toward:  how many h' each anchor gets.
    warmup:  batches before anything is mixed, for what is near means nothing yet.
    seed:    of the draws.
    """

    hardest: Annotated[int, Gt(0)] = 16
    between: Annotated[int, Ge(0)] = 16
    toward: Annotated[int, Ge(0)] = 4
    warmup: Annotated[int, Ge(0)] = 20
    seed: int = 0

    def build(self, data: Series) -> Mined:
        return Mined(mine=Mixer(self))


class Mixer(nn.Module):
    """Appends mixed negatives to pairs. batches: how many it has seen, from which the draws follow."""

    batches: Tensor

    def __init__(self, settings: Mixing) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, pairs: Pairs) -> Pairs:
        root = temperature(pairs, "mixing") ** 0.5
        if pairs.points is None:
            raise InputError(
                "mining.mixing: expected pairs that say of which points their scores are products, got none; name mixing once"
            )
        if not self.training or int(self.batches) < self.settings.warmup:
            return pairs
        anchors, candidates = (full(points) for points in pairs.points)
        negative = (pairs.repel > 0).expand_as(pairs.score)
        with torch.no_grad():
            mixed = self.mixed(anchors, candidates, pairs.score.masked_fill(~negative, -torch.inf), negative.sum(-1))
        return appended(pairs, (anchors[..., None, :] * mixed / root).sum(-1), negative.any(-1))

    def mixed(self, anchors: Tensor, candidates: Tensor, score: Tensor, count: Tensor) -> Tensor:
        """(*group, anchor, between + toward, feature), of length one. count: (*group, anchor) negatives of each anchor; the scores of
        all other candidates are −∞."""
        s = self.settings
        generator = randomness.generator(s.seed, randomness.MINING, int(self.batches))
        drawn = [torch.rand(n, generator=generator, dtype=torch.float64) for n in (s.between,) * 3 + (s.toward,) * 2]
        a, i, j, b, k = (draw.to(anchors.device) for draw in drawn)
        a, b = a[:, None].to(anchors.dtype), 0.5 * b[:, None].to(anchors.dtype)
        ranked = score.topk(min(s.hardest, score.shape[-1]), dim=-1).indices
        some = count.clamp(min=1, max=ranked.shape[-1])[..., None]

        def at(rank: Tensor) -> Tensor:
            """The negative at these shares of each anchor's list: (*group, anchor, slot, feature)."""
            index = ranked.gather(-1, (rank * some).long())
            return torch.take_along_dim(candidates[..., None, :, :], index[..., None], dim=-2)

        between = a * at(i) + (1.0 - a) * at(j)
        toward = b * anchors[..., None, :] + (1.0 - b) * at(k)
        return normalize(torch.cat([between, toward], dim=-2), dim=-1)

    def after_step(self, step: Step) -> None:
        if step.seen:
            self.batches += 1


def appended(pairs: Pairs, score: Tensor, alive: Tensor) -> Pairs:
    """The pairs with more candidates that repel. score: (*group, anchor, more); alive: (*group, anchor), who is repelled by them.

    They belong to no series (−1) and lie at no moment (infinitely far); as each anchor has its own, no points can say them.
    """
    more = score.shape[-1]
    n = pairs.score.shape[-1]
    who, moment = pairs.who, pairs.moment
    if who is not None:
        who = who.expand(*who.shape[:-1], n)
        who = torch.cat([who, torch.full_like(who[..., :1], -1).expand(*who.shape[:-1], more)], dim=-1)
    if moment is not None:
        there = moment[1].to(score.dtype).expand(*moment[1].shape[:-1], n)
        moment = moment[0], torch.cat([there, there.new_full((*there.shape[:-1], more), torch.inf)], dim=-1)
    return replace(
        pairs,
        score=torch.cat([pairs.score, score], dim=-1),
        attract=torch.cat([pairs.attract.expand_as(pairs.score), torch.zeros_like(score)], dim=-1),
        repel=torch.cat(
            [pairs.repel.expand_as(pairs.score), alive[..., None].to(score.dtype).expand_as(score)], dim=-1
        ),
        who=who,
        moment=moment,
        points=None,
    )
