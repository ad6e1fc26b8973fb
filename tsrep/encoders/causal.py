"""The causal twin of the dilated encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from torch import nn

from tsrep.encoders.dilated import DilatedEncoder


@dataclass(frozen=True)
class Causal:
    """Dilated convolutions padded on the left alone: the embedding at step t never sees later than t.

    The blocks are those of `dilated` (Yue et al., AAAI 2022), shifted into the past as in WaveNet (van den Oord et al. 2016,
    arXiv:1609.03499).

    hidden:   width of the blocks.
    depth:    blocks of width `hidden`; block i has dilation 2^i. One more block widens to `features`.
    features: width of the embedding.
    dropout:  share of the output that is dropped in training.
    pool:     how steps become one embedding: last (has seen the whole window), max or mean.
    """

    hidden: Annotated[int, Gt(0)] = 64
    depth: Annotated[int, Gt(0)] = 10
    features: Annotated[int, Gt(0)] = 320
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    pool: Literal["max", "mean", "last"] = "max"

    def build(self, channels: int, length: int) -> nn.Module:
        return DilatedEncoder(channels, self.hidden, self.depth, self.features, self.dropout, self.pool, causal=True)
