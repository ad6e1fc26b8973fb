"""Latent positives: points between a key and other prototypes that keep the key's nearest one. An objective: nothing is repelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from tsrep import randomness
from tsrep.memory import Step
from tsrep.pairing.prototypes import spherical_kmeans
from tsrep.pairing.queue import Queue, present, unit
from tsrep.pairs import Gather
from tsrep.series import Embedding, Views

NEAR = 1e-3
"""Radians. A target that is nearer to the key, or nearer to its opposite, gives no arc."""


class Latent(nn.Module):
    """−μ mean (q · z)/τ over the kept latent positives z of all series. Shah et al., CVPR 2023, arXiv:2304.00387 (HaLP).

    From its key k a series is moved along the arc towards a prototype p that is drawn of those that are not nearest to k; see `arcs`.
    Keys, prototypes and so z are constants: a gradient reaches the query alone. Nothing is kept, or no prototypes are known yet:
    zero. The prototypes are found by spherical k-means of the newest keys in the queue, every `every` batches, once more
    than twice the queue's size has entered it. The validation loss is the host's.

    queue:      whose keys, temperature, query and key they are; followed and not held.
    mu:         μ.
    spread:     λ, see `arcs`.
    positives:  z drawn for each series.
    prototypes: how many, at most one for every four keys they are made of, and at least two.
    newest:     keys they are made of.
    every:      batches between two looks for them.
    seed:       of the draws.

    centres: (prototype, feature), zero before there are any. batches: seen by the queue's phase, from which the draws follow.
    kept: share of the z of the last batch that were kept.
    """

    centres: Tensor
    batches: Tensor
    kept: Tensor

    def __init__(
        self,
        queue: Queue,
        *,
        mu: float,
        spread: float = 0.8,
        positives: int = 100,
        prototypes: int = 20,
        newest: int = 256,
        every: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._followed = (queue,)  # in a tuple: no part of this one
        self.mu, self.spread, self.positives, self.newest, self.every = mu, spread, positives, newest, every
        self.seed = seed
        size, features = queue.keys.shape
        self.register_buffer("centres", torch.zeros(max(2, min(prototypes, min(newest, size) // 4)), features))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("kept", torch.zeros((), dtype=torch.float64))

    def forward(self, views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
        (queue,) = self._followed
        queries = unit(embeddings[queue.query])
        if not self.training or not bool(self.centres.any()):
            return 0.0 * queries.sum()
        arcs, target = self.drawn(embeddings, gather)
        keys, centres = unit(embeddings[queue.key]).detach(), self.centres.to(queries.dtype)
        toward = (queries * keys).sum(1, keepdim=True) * arcs.key  # q · z, and z is never made
        toward = toward + (queries @ centres.T).gather(1, target) * arcs.target
        count = gather(arcs.kept.sum(1)).sum().clamp(min=1)
        return -self.mu / queue.temperature * (toward * arcs.kept).sum() / count

    @torch.no_grad()
    def drawn(self, embeddings: Mapping[str, Embedding], gather: Gather) -> tuple[Arcs, Tensor]:
        """Where the latent positives of the batch lie, and to which prototype each was moved: (batch, positive)."""
        (queue,) = self._followed
        keys = unit(embeddings[queue.key])
        centres = self.centres.to(keys.dtype)
        first, total = gather.place(len(keys))
        generator = randomness.generator(self.seed, randomness.PAIRING, int(self.batches), 0)
        # Drawn for the joined batch, so that any number of workers draws alike.
        which, u = (
            torch.rand(total, self.positives, generator=generator, dtype=torch.float64)[first : first + len(keys)].to(
                keys.device
            )
            for _ in range(2)
        )
        cosine = keys @ centres.T
        own = cosine.argmax(1, keepdim=True)
        target = (which * (len(centres) - 1)).long()
        target = target + (target >= own)
        found = arcs(cosine, centres @ centres.T, own, target, (self.spread * u).to(keys.dtype))
        alive = present(embeddings[queue.query], embeddings[queue.key])[:, None]
        return Arcs(found.key, found.target, found.kept & alive), target

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        (queue,) = self._followed
        if step.phase != queue.phase:
            return
        if bool(self.centres.any()):
            kept = self.drawn(step.embeddings, step.gather)[0].kept
            self.kept.copy_(step.gather(kept.double().mean(1)).mean())
        self.batches += 1
        if int(queue.entered) > 2 * len(queue.keys) and int(self.batches) % self.every == 0:
            generator: Generator = randomness.generator(self.seed, randomness.PAIRING, int(self.batches), 1)
            self.centres.copy_(spherical_kmeans(queue.newest(self.newest), len(self.centres), generator))

    def numbers(self) -> dict[str, float]:
        return {"kept": float(self.kept)} if bool(self.centres.any()) else {}


@dataclass(frozen=True)
class Arcs:
    """Points z = key · k + target · p, of length one.

    key, target: (batch, positive) factors of the key and of the prototype that it is moved to.
    kept:        (batch, positive) bool.
    """

    key: Tensor
    target: Tensor
    kept: Tensor


def arcs(cosine: Tensor, between: Tensor, own: Tensor, target: Tensor, u: Tensor) -> Arcs:
    """Keys k, each moved towards prototypes p as far as its nearest one, p₀, allows. HaLP, section 3.

    z(t) = sin((1−t)Ω)/sin Ω k + sin(tΩ)/sin Ω p, Ω = arccos(p·k), stays nearer to p₀ than to p up to
    t_max = atan2(sin Ω, K + cos Ω)/Ω, K = (1 − p·p₀) / (k·(p₀ − p)); z is taken at t = (1 − u) t_max.

    atan2 and not atan: the boundary can lie more than a right angle away from the key. Numerator and denominator are multiplied by
    k·(p₀ − p), which is zero for a key on the boundary, where t_max is zero. Kept is what is nearer to p₀ than to
    all other prototypes, for the boundary to p knows nothing of them; to p it is by t ≤ t_max. A p in the key's own direction or the
    opposite one gives no arc, and nothing is kept.

    cosine:  (batch, prototype) k · p.
    between: (prototype, prototype) cosines.
    own:     (batch, 1) which prototype is p₀. target: (batch, positive) which is p, another one.
    u:       (batch, positive) of [0, 1]: 0 on the boundary, 1 at the key.
    """
    to_target = cosine.gather(1, target).clamp(-1.0, 1.0)
    omega = torch.arccos(to_target)
    apart = (omega > NEAR) & (omega < torch.pi - NEAR)
    omega = torch.where(apart, omega, 0.5 * torch.pi)
    sine = omega.sin()
    reach = boundary(to_target, cosine.gather(1, own), between[own, target], sine)
    angle = (1.0 - u) * reach
    key, toward = (omega - angle).sin() / sine, angle.sin() / sine
    score = key[..., None] * cosine[:, None, :] + toward[..., None] * between[target]
    nearest = score.gather(2, own[:, None, :].expand(-1, score.shape[1], 1))
    rival = score.scatter(2, target[..., None], -torch.inf)
    return Arcs(key, toward, apart & (rival <= nearest).all(2))


def boundary(to_target: Tensor, to_own: Tensor, between: Tensor, sine: Tensor) -> Tensor:
    """Ω t_max, from k·p, k·p₀, p·p₀ and sin Ω; broadcastable."""
    lead = (to_own - to_target).clamp(min=0.0)
    return torch.atan2(sine * lead, (1.0 - between).clamp(min=0.0) + to_target * lead)
