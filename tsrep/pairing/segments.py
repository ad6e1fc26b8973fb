"""Segment pairs: within one series a stretch attracts the next one and is repelled by those further away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep.pairs import Gather, Pairs
from tsrep.series import Embedding, full


@dataclass(frozen=True)
class Segments:
    """The local pairs of AutoTCL. Zheng et al., ICLR 2024, arXiv:2402.10434, §3.3 and its code.

    The steps of one view, each of norm one, are cut into k segments and max-pooled over each. Segment i attracts segment i + 1 (the
    last one its left neighbour) and is repelled by the segments of the same series that are no neighbours of it; s_ij is
    their dot product over τ, which has no floor: a maximum of unit vectors may be longer than one. A series of fewer than k steps
    is cut into single steps; one of a single step has no pair. The released code begins to cut at a random step, which changes where
    the seams are, by less than a segment. Here the extent is cut evenly, for a pairing draws nothing.

    segments:    k.
    temperature: τ.
    view:        the name of the view.
    most:        how many series of the joined batch take part, the first ones; None: all. The released code takes one.
    """

    segments: int = 16
    temperature: float = 1.0
    view: str = "original"
    most: int | None = None

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        embedding = embeddings[self.view]
        steps, extent = full(embedding.steps), embedding.series.extent
        pooled, count = pool(normalize(steps, dim=1), extent, self.segments)
        n, k = len(extent), pooled.shape[1]
        first, _ = gather.place(n)
        if self.most is not None:
            count = count * (torch.arange(first, first + n, device=count.device) < self.most)
        place = torch.arange(k, device=steps.device)
        alive = place < count[:, None]
        last = place == count[:, None] - 1
        positive = torch.where(last, place - 1, place + 1)  # (batch, segment)
        both = alive[:, :, None] & alive[:, None, :]
        attract = both & (place == positive[:, :, None])
        repel = both & ((place[:, None] - place).abs() > 1)
        anchors = attract.any(-1)
        everyone = gather(anchors).sum().clamp(min=1)
        moment = place * (extent.sum(dim=1) / count.clamp(min=1))[:, None]
        yield Pairs(
            score=pooled @ pooled.mT / self.temperature,
            attract=attract.to(steps.dtype),
            repel=repel.to(steps.dtype),
            weight=anchors.to(steps.dtype) / everyone,
            row=embedding.series.row[:, None],
            who=embedding.series.row[:, None],
            moment=(moment, moment),
            points=(pooled / self.temperature**0.5,) * 2,
        )


def pool(steps: Tensor, extent: Tensor, segments: int) -> tuple[Tensor, Tensor]:
    """(batch, feature, time), (batch, time) -> maximum over each segment, (batch, segment, feature), and how many there are in
    each series, (batch,) = min(segments, steps of the extent).

    Step t of an extent of n steps lies in segment ⌊t · k / n⌋. What lies beyond the last segment of a series is zero.
    """
    begin, length = extent.to(torch.uint8).argmax(dim=1), extent.sum(dim=1)
    most = min(segments, extent.shape[1])
    count = length.clamp(max=most)
    place = torch.arange(extent.shape[1], device=extent.device) - begin[:, None]
    index = torch.where(extent, place * count[:, None] // length.clamp(min=1)[:, None], most)  # padding: one beyond
    empty = steps.new_full((*steps.shape[:2], most + 1), float("-inf"))
    pooled = empty.scatter_reduce(2, index[:, None].expand_as(steps), steps, "amax")[..., :most]
    alive = torch.arange(most, device=extent.device) < count[:, None]
    return pooled.masked_fill(~alive[:, None], 0.0).mT, count
