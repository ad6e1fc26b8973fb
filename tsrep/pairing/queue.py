"""Pairs against a queue: what a slow copy made of earlier batches repels, so that a small batch has many negatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tsrep.memory import Step
from tsrep.pairs import Gather, Pairs
from tsrep.series import Embedding, full


class Queue(nn.Module):
    """s_ij = q_i · k_j / τ: a query attracts the key of its own series and is repelled by the K keys of a queue, the newest ones.

    MoCo, He et al., CVPR 2020, arXiv:1911.05722, eq. 1 and algorithm 1: keys enter after the loss, and the oldest leave. All are of
    length one. While the queue fills, what is not there has no mass and what is there counts for all, K over how many there are; so
    losses of early and late batches can be compared. Earlier keys of the anchor's own series do not repel it: in small data sets
    they are many. A series of which one of the views shows nothing takes no part.

    size:        K.
    features:    of queries and keys.
    temperature: τ.
    query, key:  the names of the two views.
    phase:       the phase whose keys enter.

    keys: (K, feature). who: (K,) the series of each, −1 where there is none yet. entered: keys that ever entered, from which
    follows the place of the next one.
    """

    keys: Tensor
    who: Tensor
    entered: Tensor

    def __init__(
        self,
        size: int,
        features: int,
        temperature: float,
        *,
        query: str = "left",
        key: str = "right",
        phase: str = "contrast",
    ) -> None:
        super().__init__()
        self.temperature, self.query, self.key, self.phase = temperature, query, key, phase
        self.register_buffer("keys", torch.zeros(size, features))
        self.register_buffer("who", torch.full((size,), -1))
        self.register_buffer("entered", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        queries, own = unit(embeddings[self.query]), unit(embeddings[self.key]).detach()
        row, n = embeddings[self.query].series.row, len(queries)
        # Keys of other workers are no candidates before they are in the queue, where every worker has them.
        candidates = torch.cat([own, self.keys.to(own.dtype)])
        alive = present(embeddings[self.query], embeddings[self.key])
        attract = torch.eye(n, len(candidates), dtype=queries.dtype, device=queries.device)
        other = (self.who >= 0).expand(n, -1)
        if self.training:  # series of validation have other rows, and no keys here
            other = other & (self.who != row[:, None])
        mass = len(self.keys) / self.entered.clamp(min=1, max=len(self.keys)).to(queries.dtype)
        repel = torch.cat([torch.zeros_like(attract[:, :n]), other * mass], dim=1)
        counts = alive & other.any(dim=1)  # the loss of a query that nothing repels is zero and tells nothing
        yield Pairs(
            score=queries @ candidates.mT / self.temperature,
            attract=attract,
            repel=repel,
            weight=counts.to(queries.dtype) / gather(alive).sum().clamp(min=1),
            row=row,
            who=torch.cat([row, self.who]),
            points=(queries / self.temperature**0.5, candidates / self.temperature**0.5),
            floor=-1.0 / self.temperature,
        )

    def newest(self, most: int) -> Tensor:
        """Up to `most` keys, the newest first: (key, feature)."""
        count = min(most, len(self.keys), int(self.entered))
        places = self.entered - 1 - torch.arange(count, device=self.keys.device)
        return self.keys[places % len(self.keys)]

    def after_step(self, step: Step) -> None:
        if step.phase != self.phase:
            return
        here = step.gather(present(step.embeddings[self.query], step.embeddings[self.key]))
        keys = step.gather(unit(step.embeddings[self.key]))[here]
        who = step.gather(step.embeddings[self.key].series.row)[here]
        places = (self.entered + torch.arange(len(keys), device=keys.device))[-len(self.keys) :] % len(self.keys)
        self.keys[places] = keys[-len(self.keys) :].to(self.keys.dtype)
        self.who[places] = who[-len(self.keys) :]
        self.entered += len(keys)


def unit(embedding: Embedding) -> Tensor:
    """Pooled embeddings of length one, (batch, feature)."""
    direction: Tensor = normalize(full(embedding.pooled), dim=-1)
    return direction


def present(query: Embedding, key: Embedding) -> Tensor:
    """(batch,) bool: series of which both views show something."""
    return query.series.present & key.series.present
