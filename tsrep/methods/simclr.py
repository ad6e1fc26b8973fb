"""SimCLR for time series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, cast

from annotated_types import Gt
from torch import nn

from tsrep.losses import LOSSES
from tsrep.method import DataShape, Method, Phase, Term
from tsrep.pairing.instance import Instance
from tsrep.views import chain
from tsrep.views.two import Two


@dataclass(frozen=True)
class SimCLR:
    """Two augmented views of one window attract; all other windows repel. Chen et al., ICML 2020, arXiv:2002.05709.

    temperature: τ of the cosine similarity.
    projection:  width of the projection head's output; the head is thrown away after training.
    augment:     augmentations of each view, in order: a name, or a name with its parameters.
    loss:        objective over the pairs.
    """

    recommended: ClassVar[Mapping[str, Any]] = {"batch_size": 64, "schedule": "cosine", "warmup": 10}

    temperature: Annotated[float, Gt(0)] = 0.2
    projection: Annotated[int, Gt(0)] = 128
    augment: tuple[str | dict[str, dict[str, Any]], ...] = ("jitter", "scale", "time_warp")
    loss: Literal["info_nce", "decoupled", "debiased"] = "info_nce"

    def build(self, encoder: nn.Module, data: DataShape) -> Method:
        width = cast(int, encoder.features)
        head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, self.projection))
        term = Term(Instance(self.temperature), LOSSES[self.loss])
        phase = Phase("contrast", (encoder, head), {"instance": term})
        return Method("simclr", Two(chain(self.augment)), encoder, (phase,), head)
