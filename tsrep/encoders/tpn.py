"""The convolutions that ColloSSL learns with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn import functional

from tsrep.series import POOLS, Embedding, Series

KERNELS = (24, 16, 8)
"""Taps of the three convolutions, in steps: half a second, a third and a sixth of one at the 50 Hz of its authors."""


@dataclass(frozen=True)
class TPN:
    """Three plain convolutions, wide ones first, and the maximum over time. Saeed et al., IMWUT 2019, arXiv:1907.11879.

    x → (Conv → ReLU → dropout) with 24, 16 and 8 taps → maximum over time. ColloSSL's encoder (Jain et al., IMWUT 2022,
    arXiv:2202.00758). Beyond the paper: a convolution keeps the length, zeros lie beyond the ends, so that every step has an
    embedding and a window shorter than the taps has one too.

    hidden:   widths of the first two convolutions.
    features: width of the last one, and of the embedding.
    dropout:  share that is dropped after each convolution in training.
    pool:     how steps become one embedding: max (ColloSSL), mean or last.
    """

    hidden: tuple[Annotated[int, Gt(0)], Annotated[int, Gt(0)]] = (32, 64)
    features: Annotated[int, Gt(0)] = 96
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    pool: Literal["max", "mean", "last"] = "max"

    def build(self, channels: int, length: int) -> nn.Module:
        return TPNEncoder(channels, (*self.hidden, self.features), self.dropout, self.pool)


class TPNEncoder(nn.Module):
    """(batch, channel, time) -> (batch, feature, time). What lies outside the extent is zero before every convolution."""

    causal = False

    def __init__(self, channels: int, widths: tuple[int, ...], dropout: float, pool: str) -> None:
        super().__init__()
        self.channels, self.features, self.pool = channels, widths[-1], pool
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs, outputs, taps)
            for inputs, outputs, taps in zip((channels, *widths[:-1]), widths, KERNELS, strict=True)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, series: Series) -> Embedding:
        steps: Tensor = series.values
        inside = None if bool(series.extent.all()) else series.extent[:, None].to(steps.dtype)
        for convolution, taps in zip(self.convolutions, KERNELS, strict=True):
            around = functional.pad(steps, ((taps - 1) // 2, taps // 2))
            steps = self.dropout(functional.relu(convolution(around)))
            if inside is not None:
                steps = steps * inside
        return Embedding(steps, POOLS[self.pool](steps, series.extent), series)
