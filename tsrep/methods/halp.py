"""HaLP for time series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, cast

from annotated_types import Ge, Gt, Le, Lt
from torch import nn

from tsrep.method import DataShape, Method, Term
from tsrep.methods.moco import MoCo
from tsrep.pairing.latent import Latent
from tsrep.pairing.queue import Queue


@dataclass(frozen=True)
class HaLP:
    """MoCo, with further positives made between each key and other prototypes. Shah et al., CVPR 2023, arXiv:2304.00387.

    A key is moved towards another prototype of the queue, as far as its nearest prototype does not change; the query is drawn to what
    is found there, −μ mean (q · z)/τ. What was kept of these latent positives is in the history ("latent/kept"). Miners change the
    pairs of the MoCo term; latent positives are none of pairs.

    temperature: τ of the cosine similarity.
    queue:       as in MoCo. Latent positives begin when more than twice as many keys have come.
    momentum:    as in MoCo.
    projection:  width of the projection head's output; the head is thrown away after training.
    augment:     augmentations of each view, in order: a name, or a name with its parameters.
    mu:          μ, what latent positives count beside MoCo. 0: MoCo. The paper takes 1 and 2, with queues of 16384 against which MoCo's
                 own pull stays strong; a small queue is soon told apart, and then 1 outweighs all else.
    spread:      λ, from the boundary (0: all lie on it) over the whole way back to the key (1).
    positives:   latent positives for each series.
    prototypes:  how many, at most; one for every four keys they are made of in small queues.
    newest:      keys that the prototypes are made of.
    every:       batches between two looks for prototypes.
    seed:        of the draws.
    """

    recommended: ClassVar[Mapping[str, Any]] = MoCo.recommended

    temperature: Annotated[float, Gt(0)] = MoCo.temperature
    queue: Annotated[int, Gt(1)] = MoCo.queue
    momentum: Annotated[float, Ge(0), Lt(1)] = MoCo.momentum
    projection: Annotated[int, Gt(0)] = MoCo.projection
    augment: tuple[str | dict[str, dict[str, Any]], ...] = MoCo.augment
    mu: Annotated[float, Ge(0)] = 0.1
    spread: Annotated[float, Ge(0), Le(1)] = 0.8
    positives: Annotated[int, Gt(0)] = 100
    prototypes: Annotated[int, Gt(1)] = 20
    newest: Annotated[int, Gt(1)] = 256
    every: Annotated[int, Gt(0)] = 10
    seed: int = 0

    def build(self, encoder: nn.Module, data: DataShape) -> Method:
        host = MoCo(self.temperature, self.queue, self.momentum, self.projection, self.augment).build(encoder, data)
        (phase,) = host.phases
        if self.mu > 0:
            latent = Latent(
                cast(Queue, cast(Term, phase.terms["queue"]).pairing),
                mu=self.mu,
                spread=self.spread,
                positives=self.positives,
                prototypes=self.prototypes,
                newest=self.newest,
                every=self.every,
                seed=self.seed,
            )
            phase = replace(phase, terms={**phase.terms, "latent": latent})
        return Method("halp", host.view, encoder, (phase,), host.head, slow=host.slow, keys=host.keys)
