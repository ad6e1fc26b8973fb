"""A method: which views, which encoder, which pairs, which objective. Everything that moves in training hangs here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from typing import cast

import torch
from torch import Tensor, nn

from tsrep.losses import LOSSES, info_nce
from tsrep.memory import Remembers, Seen, Speaks, Step, places
from tsrep.pairs import Gather, Loss, Mine, Miner, Pairing, Reweigh
from tsrep.series import Batch, Embedding, Series, View, Views, as_batch, embed, side_by_side

Objective = Callable[[Views, Mapping[str, Embedding], Gather], Tensor]
"""A term that pairs do not fit (predictive or variance terms): -> this worker's share of the loss, a scalar."""


@dataclass(frozen=True)
class Term:
    """Pairs, what changes their masses, their loss, and what changes its weight: Σ reweigh · weight · loss.

    pairing: embeddings of the views -> pairs.
    loss:    pairs -> one value per anchor.
    mining:  applied to the pairs in order, before the loss.
    reweigh: (loss of each series' pair, row) -> factor per series, after it, for all anchors of the series alike.
    share:   what the term counts beside the other terms of its phase.
    """

    pairing: Pairing
    loss: Loss = info_nce
    mining: tuple[Mine, ...] = ()
    reweigh: Reweigh | None = None
    share: float = 1.0

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> tuple[Tensor, Seen | None]:
        """This worker's share of the loss (a scalar), and what was seen where a part of the term remembers."""
        parts = []
        for yielded in self.pairing(embeddings, gather):
            pairs = reduce(lambda pairs, mine: mine(pairs), self.mining, yielded.dense()) if self.mining else yielded
            parts.append((pairs, self.loss(pairs)))
        if not parts:
            raise ValueError(f"expected {self.pairing!r} to yield pairs, got none")
        weights = [pairs.weight for pairs, _ in parts]
        seen = None
        remembers = any(hasattr(part, "after_step") for part in (self.loss, *self.mining))
        if self.reweigh is not None or remembers:
            seen = Seen.of(parts, next(iter(embeddings.values())).series.row, keep=remembers)
        if self.reweigh is not None and seen is not None:
            factor = self.reweigh(seen.loss, seen.row)
            weights = [pairs.weight * factor[places(pairs.row, seen.row)] for pairs, _ in parts]
        values = [(loss * weight).sum() for (_, loss), weight in zip(parts, weights, strict=True)]
        return self.share * reduce(torch.add, values), seen

    def modules(self) -> Iterator[nn.Module]:
        for part in (self.pairing, self.loss, *self.mining, self.reweigh):
            if isinstance(part, nn.Module):
                yield part

    def mined(self, miner: Miner, data: Series) -> Term:
        """The term with one more miner, for the series that it will learn from."""
        made = miner.build(data)
        loss = self.loss if made.loss is None else made.loss
        if isinstance(loss, tuple):
            loss = partial(LOSSES[loss[0]], **loss[1])
        if made.reweigh is not None and self.reweigh is not None:
            raise ValueError("expected one miner that reweighs losses, got two")
        if made.loss is not None and self.loss is not info_nce:
            raise ValueError(
                "expected a term with the loss info_nce for a miner that sets another, got one whose loss is set already, by the "
                "method or by another miner: leave one of them out"
            )
        mining = self.mining if made.mine is None else (*self.mining, made.mine)
        return replace(self, loss=loss, mining=mining, reweigh=made.reweigh or self.reweigh)


@dataclass(frozen=True)
class Phase:
    """Whose parameters move, by which terms, how often.

    name:       for logs and errors.
    moves:      the modules whose parameters this phase's optimiser moves; all others stand still.
    terms:      name -> term or objective; the loss is their sum.
    every:      the phase is run in every `every`-th step.
    rate:       its learning rate over that of the training.
    embeds:     names of the views that go through the encoder; None: all. An objective is given the others bare.
    """

    name: str
    moves: tuple[nn.Module, ...]
    terms: Mapping[str, Term | Objective]
    every: int = 1
    rate: float = 1.0
    embeds: tuple[str, ...] | None = None

    def parameters(self) -> list[nn.Parameter]:
        return list(dict.fromkeys(p for module in self.moves for p in module.parameters()))

    def mined(self, miner: Miner, data: Series) -> Phase:
        terms = {name: term.mined(miner, data) if isinstance(term, Term) else term for name, term in self.terms.items()}
        return replace(self, terms=terms)

    def embedded(self, views: Views) -> Views:
        """Those of the views that go through the encoder."""
        return views if self.embeds is None else {name: views[name] for name in self.embeds}


class Method(nn.Module):
    """One encoder in training. `state_dict` holds all that the method remembers: weights, heads, memories, queues.

    name:    for logs and errors.
    view:    batch -> views.
    encoder: what is kept in the end. It, and the head, may hold a part for each stream (`encoders.streams.Each`).
    phases:  run in order in every step.
    head:    pooled -> pooled, between the encoder and the pairing, thrown away afterwards. None: the pairing sees the encoder's.
    slow:    series -> embedding, a slow copy of encoder and head (`encoders.momentum.SlowCopy`), for the views named in `keys`.
    """

    def __init__(
        self,
        name: str,
        view: View,
        encoder: nn.Module,
        phases: tuple[Phase, ...],
        head: nn.Module | None = None,
        *,
        slow: nn.Module | None = None,
        keys: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        if not any(phase.every == 1 for phase in phases):
            raise ValueError(f"expected a phase of method '{name}' that runs in every step, got none")
        self.name, self.view, self.encoder, self.head, self.phases = name, view, encoder, head, phases
        self.slow, self.keys = slow, keys
        parts: list[nn.Module] = []  # a view that is a module is held as `view`, a second name would save it twice
        terms = [term for phase in phases for term in phase.terms.values()]
        parts += [term for term in terms if isinstance(term, nn.Module)]
        # These last: what miners add then leaves the names of all others as they are.
        parts += [m for term in terms if isinstance(term, Term) for m in term.modules()]
        held = [part for part in (view, encoder, head, *parts) if isinstance(part, nn.Module)]
        known = {m for part in held for m in part.modules()}
        parts += [m for phase in phases for m in phase.moves if m not in known]
        self.parts = nn.ModuleList(dict.fromkeys(parts))

    @contextmanager
    def only(self, phase: Phase) -> Iterator[None]:
        """Within, all that the phase does not move stands still.

        No gradient reaches it, and an encoder or head computes as in evaluation: its dropout would be noise to what moves. A view
        keeps its mode, for its randomness is the generator's.
        """
        moving = set(phase.parameters())
        still = [p for p in self.parameters() if p not in moving and p.requires_grad]
        resting = [
            m for m in (self.encoder, self.head) if m is not None and m.training and moving.isdisjoint(m.parameters())
        ]
        for module in resting:
            module.eval()
        for parameter in still:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in still:
                parameter.requires_grad_(True)
            for module in resting:
                module.train()

    def mined(self, miners: Iterable[Miner], data: Series | Batch) -> Method:
        """The method with miners in every term of pairs by which its encoder learns, for the series that it will learn from. Of several
        streams a miner is shown all channels side by side.

        Raises ValueError where the encoder learns from no pairs.
        """
        learned = set(self.encoder.parameters())
        phases = list(self.phases)
        own = [i for i, phase in enumerate(phases) if not learned.isdisjoint(phase.parameters())]
        if not any(isinstance(term, Term) for i in own for term in phases[i].terms.values()):
            raise ValueError(f"expected a method that learns from pairs, '{self.name}' has none to mine")
        shown = side_by_side(as_batch(data))
        for miner in miners:
            for i in own:
                phases[i] = phases[i].mined(miner, shown)
        return Method(self.name, self.view, self.encoder, tuple(phases), self.head, slow=self.slow, keys=self.keys)

    def embed(self, views: Views) -> dict[str, Embedding]:
        """Views -> embeddings, each by the encoder and head of its stream, or by the slow copy."""
        if self.slow is not None and any(name in self.keys for name in views):
            slow = {name: self.slow(view) for name, view in views.items() if name in self.keys}
            return self.embed({name: view for name, view in views.items() if name not in slow}) | slow
        return embed(views, self.encoder, self.head)

    def loss(
        self, phase: Phase, views: Views, embeddings: Mapping[str, Embedding], gather: Gather
    ) -> tuple[Tensor, dict[str, Tensor], Step]:
        """This worker's share of the phase's loss, the same term by term (detached), and what memories need to know."""
        total: Tensor | None = None
        values: dict[str, Tensor] = {}
        seen: dict[str, Seen] = {}
        for name, term in phase.terms.items():
            if isinstance(term, Term):
                value, told = term(embeddings, gather)
                seen |= {} if told is None else {name: told}
            else:
                value = term(views, embeddings, gather)
            values[name] = value.detach()
            total = value if total is None else total + value
        if total is None:
            raise ValueError(f"expected phase '{phase.name}' of method '{self.name}' to have a term, got none")
        return total, values, Step(phase.name, views, _detached(embeddings), seen, gather)

    def after_step(self, step: Step) -> None:
        terms = next(phase.terms for phase in self.phases if phase.name == step.phase)
        for part in self.modules():
            if part is not self and hasattr(part, "after_step"):
                own = {name for name, term in terms.items() if isinstance(term, Term) and part in term.modules()}
                told = replace(step, seen={name: seen for name, seen in step.seen.items() if name in own})
                cast(Remembers, part).after_step(told)

    def after_epoch(self, epoch: int) -> None:
        for part in self.modules():
            if part is not self and hasattr(part, "after_epoch"):
                cast(Remembers, part).after_epoch(epoch)

    def numbers(self) -> dict[str, float]:
        """What the parts of the terms say of what they remember, for the history: "latent/kept"."""
        said: dict[str, float] = {}
        for name, term in ((name, term) for phase in self.phases for name, term in phase.terms.items()):
            for part in term.modules() if isinstance(term, Term) else (term,):
                if hasattr(part, "numbers"):
                    said |= {f"{name}/{what}": value for what, value in cast(Speaks, part).numbers().items()}
        return said


@dataclass(frozen=True)
class StreamShape:
    """What a method may know of one stream. length: steps of its longest series. rate: samples per second, None: unknown."""

    name: str
    channels: tuple[str, ...]
    length: int
    rate: float | None = None


@dataclass(frozen=True)
class DataShape:
    """What a method may know of the data it will be trained on.

    streams: one for each stream, in the order of every batch; empty where there is one alone. channels, length and rate are then those
             of the first, but the length is that of the longest.
    subject: (rows,) int64, who was recorded, counted from zero; None where that is not known. -1: of this row it is not.
    """

    rows: int
    channels: tuple[str, ...]
    length: int
    rate: float | None = None
    streams: tuple[StreamShape, ...] = ()
    subject: Tensor | None = field(default=None, compare=False)


def _detached(embeddings: Mapping[str, Embedding]) -> dict[str, Embedding]:
    return {name: Embedding(e.steps.detach(), e.pooled.detach(), e.series) for name, e in embeddings.items()}
