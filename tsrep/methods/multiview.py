"""Contrast of all streams at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Gt
from torch import nn

from tsrep.encoders.streams import Each, width
from tsrep.losses import dhel, info_nce, soft
from tsrep.method import DataShape, Method, Phase, Term
from tsrep.pairing.each_pair import EachPair
from tsrep.pairing.gram import Gram
from tsrep.pairing.mv_dhel import MVDHEL
from tsrep.pairing.mv_info_nce import MVInfoNCE
from tsrep.pairing.symile import Symile
from tsrep.views import chain
from tsrep.views.modalities import Modalities, fitted

TERMS: Mapping[str, tuple[float, Callable[[tuple[str, ...], float], Term]]] = {
    "mv_dhel": (0.2, lambda names, tau: Term(MVDHEL(names, tau), dhel)),
    "mv_infonce": (0.2, lambda names, tau: Term(MVInfoNCE(names, tau), info_nce)),
    "symile": (0.2, lambda names, tau: Term(Symile(names, tau), info_nce)),
    "gram": (0.07, lambda names, tau: Term(Gram(names, tau), soft)),
    "pairwise": (0.2, lambda names, tau: Term(EachPair(names, tau), info_nce)),
}
"""Objective -> the temperature it has unless told otherwise, and its term."""


@dataclass(frozen=True)
class MultiView:
    """Two or more streams of one moment attract each other at once, other moments repel. Koromilas et al. 2025, arXiv:2507.06979.

    objective:   mv_dhel, which contrasts within each stream alone; mv_infonce, across all; symile, the multilinear inner product,
                 which finds what only several streams together tell (Saporta et al., NeurIPS 2024, arXiv:2411.01053); gram, the
                 volume that the streams span (Cicchetti et al., ICLR 2025, arXiv:2412.11959); pairwise, every two streams (Tian et
                 al., ECCV 2020, arXiv:1906.05849). Of a moment that a stream lacks, symile and gram learn nothing and the others
                 from the streams left.
    temperature: τ. None: .07 of gram, .2 of the others.
    projection:  width of the projection head's output; the head is thrown away after training. A stream with an encoder of its own has
                 a head of its own.
    augment:     augmentations of every stream, in order: a name, or a name with its parameters; none: the streams as they are.
    """

    recommended: ClassVar[Mapping[str, Any]] = {"batch_size": 64, "schedule": "cosine", "warmup": 10}
    streams: ClassVar[int] = 2

    objective: Literal["mv_dhel", "mv_infonce", "symile", "gram", "pairwise"] = "mv_dhel"
    temperature: Annotated[float, Gt(0)] | None = None
    projection: Annotated[int, Gt(0)] = 128
    augment: tuple[str | dict[str, dict[str, Any]], ...] = ()

    def build(self, encoder: nn.Module, data: DataShape) -> Method:
        names = tuple(stream.name for stream in data.streams)
        usual, term = TERMS[self.objective]
        head: nn.Module
        if isinstance(encoder, Each):
            head = Each({name: self._head(width(encoder, name)) for name in names})
        else:
            head = self._head(width(encoder, names[0]))
        augment = chain(self.augment)
        views = {stream.name: fitted(augment, stream.channels) for stream in data.streams}
        phase = Phase("contrast", (encoder, head), {self.objective: term(names, self.temperature or usual)})
        return Method("multiview", Modalities(views), encoder, (phase,), head)

    def _head(self, features: int) -> nn.Module:
        return nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, self.projection))
