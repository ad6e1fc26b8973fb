"""Contrast of two modalities, skeleton and inertial unit, with hard negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Lt
from torch import nn

from tsrep.encoders.streams import Each, width
from tsrep.errors import InputError
from tsrep.losses import debiased, info_nce
from tsrep.method import DataShape, Method, Phase, Term
from tsrep.mining.hard_negatives import harder
from tsrep.pairing.cross_modal import CrossModal
from tsrep.pairing.instance import Instance
from tsrep.series import view_name
from tsrep.views import chain
from tsrep.views.body import joints
from tsrep.views.modalities import SIDES, Modalities, fitted


@dataclass(frozen=True)
class SkeletonImu:
    """What a camera and an inertial unit saw of one action attracts, with hard negatives. Choi et al. 2023, arXiv:2309.01262.

    L = ½ (L_{a→b} + L_{b→a}) + λ (L_{a→a'} + L_{b→b'}) for every two streams a and b: inter-modal pairs, N = B − 1 negatives, and
    intra-modal ones of two augmented views of each stream where λ > 0 (then views left and views right of the streams meet). With
    β = τ⁺ = 0 it is the contrastive multiview coding of CMC-CMKM (Brinzea et al. 2022, arXiv:2205.10071). Heads of two layers, one for
    each stream, are thrown away afterwards. Rows where a stream is missing teach what is there.

    temperature: τ of the cosine similarity.
    beta:        β, how much nearness counts among negatives; 0: not at all.
    tau_plus:    τ⁺, chance that a negative is of the anchor's class, one over the number of classes; 0: no debiasing.
    detach:      the masses of hard negatives are constants. False: the gradient goes through them, as in the released code of HCL.
    gamma:       γ, a negative of the anchor's own subject repels 1 + γ; the data must know its subjects.
    intra:       λ.
    neighbours:  k nearest series of the batch in one stream that become positives in the other (CMKM); 0: none.
    warmup:      steps before neighbours are mined.
    hidden:      width of the middle of a head.
    projection:  width of its output.
    augment:     augmentations of every stream that is no body, in order: a name, or a name with its parameters.
    body:        augmentations of every stream whose channels are the joints of a body (left_wrist_x, …).
    """

    streams: ClassVar[int] = 2
    recommended: ClassVar[Mapping[str, Any]] = {"batch_size": 64, "schedule": "cosine", "warmup": 10}

    temperature: Annotated[float, Gt(0)] = 0.1
    beta: Annotated[float, Ge(0)] = 0.5
    tau_plus: Annotated[float, Ge(0), Lt(1)] = 0.0
    detach: bool = True
    gamma: Annotated[float, Ge(0)] = 0.0
    intra: Annotated[float, Ge(0)] = 0.0
    neighbours: Annotated[int, Ge(0)] = 0
    warmup: Annotated[int, Ge(0)] = 100
    hidden: Annotated[int, Gt(0)] = 256
    projection: Annotated[int, Gt(0)] = 128
    augment: tuple[str | dict[str, dict[str, Any]], ...] = ("jitter", "scale", "time_warp")
    body: tuple[str | dict[str, dict[str, Any]], ...] = ("turn", "jitter", "time_warp")

    def build(self, encoder: nn.Module, data: DataShape) -> Method:
        names = tuple(stream.name for stream in data.streams)
        if len(names) < 2:
            raise InputError(
                f"expected data of at least two streams for skeleton_imu, got {', '.join(names) or 'one'}: name a data set that has "
                "several, or take a method of one stream (simclr)"
            )
        if self.gamma and data.subject is None:
            raise InputError("expected data that knows its subjects for method.gamma, got none: set gamma to 0")
        chains = {
            stream.name: fitted(chain(self.augment if joints(stream.channels) is None else self.body), stream.channels)
            for stream in data.streams
        }
        twice = self.intra > 0
        met = (
            [(view_name(a, side), view_name(b, side)) for a, b in combinations(names, 2) for side in SIDES]
            if twice
            else list(combinations(names, 2))
        )
        across = CrossModal(
            self.temperature,
            met,
            gamma=self.gamma,
            subject=data.subject,
            neighbours=self.neighbours,
            warmup=self.warmup,
        )
        mining = (partial(harder, beta=self.beta, detach=self.detach),) if self.beta else ()
        loss = partial(debiased, prior=self.tau_plus) if self.tau_plus else info_nce
        terms = {"inter": Term(across, loss, mining)}
        if twice:
            views = {name: (view_name(name, SIDES[0]), view_name(name, SIDES[1])) for name in names}
            terms |= {
                f"intra/{name}": Term(Instance(self.temperature, views[name]), loss, mining, share=self.intra)
                for name in names
            }
        head = Each({name: self._head(width(encoder, name)) for name in names})
        phase = Phase("contrast", (encoder, head), terms)
        return Method("skeleton_imu", Modalities(chains, twice), encoder, (phase,), head)

    def _head(self, features: int) -> nn.Module:
        return nn.Sequential(nn.Linear(features, self.hidden), nn.ReLU(), nn.Linear(self.hidden, self.projection))
