"""TS2Vec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le
from torch import nn

from tsrep.method import DataShape, Method, Phase, Term
from tsrep.pairing.hierarchical import Hierarchical
from tsrep.views.crops import OverlappingCrops
from tsrep.views.mask import TimestampMask


@dataclass(frozen=True)
class TS2Vec:
    """Two overlapping crops agree, step by step and at every scale. Yue et al., AAAI 2022, arXiv:2106.10466.

    alpha:         share of the instance pairs; the rest are temporal pairs.
    temperature:   divides the dot products; the paper has none.
    mask:          share of the steps that each view hides from the encoder.
    temporal_from: scale from which temporal pairs are drawn (0: all).
    """

    recommended: ClassVar[Mapping[str, Any]] = {"batch_size": 8, "average": "mean"}

    alpha: Annotated[float, Ge(0), Le(1)] = 0.5
    temperature: Annotated[float, Gt(0)] = 1.0
    mask: Annotated[float, Ge(0), Le(1)] = 0.5
    temporal_from: Annotated[int, Ge(0)] = 0

    def build(self, encoder: nn.Module, data: DataShape) -> Method:
        view = OverlappingCrops(min_length=2 ** (self.temporal_from + 1), augment=(TimestampMask(self.mask),))
        term = Term(Hierarchical(self.alpha, self.temperature, self.temporal_from))
        return Method("ts2vec", view, encoder, (Phase("contrast", (encoder,), {"hierarchical": term}),))
