"""Collaborative pairs: what other devices recorded at the same moment attracts, what they recorded at other moments repels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import normalize

from tsrep import randomness
from tsrep.errors import InputError, nearest
from tsrep.memory import Step
from tsrep.pairs import Gather, Pairs
from tsrep.series import Embedding, Series, full

Select = Callable[[Mapping[str, Series], Gather, Generator], tuple[Tensor, Tensor]]
"""Views of all devices -> (device, device) masses of attraction and of repulsion, a row for each anchor device."""


class Collaborative(nn.Module):
    """ColloSSL's pairs. Jain et al., IMWUT 2022, arXiv:2202.00758, §4.2; under `info_nce` its multi-view contrastive loss

    −log Σ_p w_p e^{cos(z_a, z_p)/τ} / (Σ_p w_p e^{cos(z_a, z_p)/τ} + Σ_n w_n e^{cos(z_a, z_n)/τ}).

    z_p is the anchor's moment on a positive device. z_n is another moment on a negative one: the moments of the batch, of all workers,
    are moved on by a number of places that is drawn for each device and is never zero, so that no positive is among the negatives.
    A moment that a device did not record has no mass there; one that the anchor or all its positives lack has no weight.

    The released code takes −cos for cos, which repels the positives. It does so no more here.

    streams:     the devices.
    select:      how heavily each device attracts and repels each anchor device (`mining.device_selection`).
    anchor:      the name of the anchor device; "random", another one in every batch; "all", each of them in every batch.
    temperature: τ.
    negatives:   moments of each negative device that an anchor meets; fewer where the batch has fewer.
    seed:        of the draws.

    batches: how many it has seen, from which the draws follow. In evaluation they do not, and a random anchor is all anchors.
    """

    batches: Tensor

    def __init__(
        self,
        streams: Sequence[str],
        select: Select,
        anchor: str = "random",
        temperature: float = 0.05,
        negatives: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if anchor not in (*streams, "random", "all"):
            raise InputError(f"expected the anchor to be a device, 'random' or 'all', got {nearest(anchor, streams)}")
        self.streams, self.select, self.anchor = tuple(streams), select, anchor
        self.temperature, self.negatives, self.seed = temperature, negatives, seed
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        given = [embeddings[name] for name in self.streams]
        generator = randomness.generator(self.seed, randomness.PAIRING, int(self.batches) if self.training else 0)
        mine = torch.stack([normalize(full(e.pooled), dim=-1) for e in given], dim=1)
        candidates, present = gather(mine), gather(torch.stack([e.series.present for e in given], dim=1))
        first, total = gather.place(len(mine))
        here = slice(first, first + len(mine))
        attracts, repels = (
            mass.to(mine) for mass in self.select({n: embeddings[n].series for n in self.streams}, gather, generator)
        )
        same = torch.eye(total, dtype=mine.dtype, device=mine.device)[here, None] * present.T
        other = moved(present, self.negatives, generator)[here].to(mine.dtype)
        anchors = self._anchors(present, generator)
        alive = {a: present[:, a] & ((attracts[a] > 0) & present).any(1) for a in anchors}
        share = 1.0 / max(1, sum(int(there.sum()) for there in alive.values()))
        who = gather(given[0].series.row).repeat(len(given))
        points = candidates.transpose(0, 1).flatten(0, 1)
        for a in anchors:
            yield Pairs(
                score=mine[:, a] @ points.T / self.temperature,
                attract=(attracts[a][:, None] * same).flatten(1),
                repel=(repels[a][:, None] * other).flatten(1),
                weight=alive[a][here].to(mine.dtype) * share,
                row=given[a].series.row,
                who=who,
                points=(mine[:, a] / self.temperature**0.5, points / self.temperature**0.5),
                floor=-1.0 / self.temperature,
            )

    def _anchors(self, present: Tensor, generator: Generator) -> list[int]:
        if self.anchor in self.streams:
            return [self.streams.index(self.anchor)]
        recording = torch.nonzero(present.any(0))[:, 0].tolist()
        if self.anchor == "all" or not self.training or not recording:
            return recording or [0]
        return [recording[int(torch.randint(len(recording), (1,), generator=generator))]]

    def after_step(self, step: Step) -> None:
        if all(name in step.embeddings for name in self.streams):
            self.batches += 1


def moved(present: Tensor, times: int, generator: Generator) -> Tensor:
    """Which other moments of each device an anchor's moment meets: (batch, device) bool -> (batch, device, batch) bool.

    The moments that a device recorded are rolled by `times` different numbers of places, none of them zero: a derangement, for a random
    permutation leaves one moment where it is on average. Where a device recorded one moment or none, there is no other.
    """
    batch, devices = present.shape
    recorded = present.sum(0)
    drawn = torch.rand(batch, devices, generator=generator, dtype=torch.float64).to(present.device)
    places = torch.arange(batch, device=present.device)[:, None]
    shift = drawn.masked_fill(places >= recorded - 1, torch.inf).argsort(0)[:times] + 1
    rank = present.cumsum(0) - 1
    ordered = (~present).to(torch.uint8).argsort(dim=0, stable=True)
    met = torch.zeros(batch, devices, batch, dtype=torch.bool, device=present.device)
    for k, step in enumerate(shift):
        target = ordered.gather(0, (rank + step) % recorded.clamp(min=1))
        exists = (recorded - 1 > k).expand(batch, devices)
        met.scatter_(2, target[..., None], exists[..., None] | met.gather(2, target[..., None]))
    return met
