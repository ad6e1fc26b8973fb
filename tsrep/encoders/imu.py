"""Convolutions and a transformer for inertial units: `imu`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn import functional

from tsrep.encoders.joints import parts_mean
from tsrep.encoders.patch import Layer, Patch, justify, positions, restore, span
from tsrep.errors import InputError
from tsrep.series import Embedding, Series

KERNEL = 5


@dataclass(frozen=True)
class Imu:
    """Three convolutions, then attention over the steps. Brinzea et al., IJCNN 2022, arXiv:2205.10071 (that of CMC-CMKM).

    Conv1d 5 taps, a norm of each step and ReLU, widths 32, 64, 128 → sinusoidal positions → transformer layers (they normalise first)
    → a linear map of each step → means over equal parts of the series, joined. The paper flattens its fifty resampled steps instead,
    which only series of one length can: it is as many parts as steps. The norms after convolutions are not in the paper: without
    them positions outweigh the values, and all series begin with nearly the same embedding.

    widths:   of the convolutions, the last one is the width of a token.
    layers:   of the transformer; the hidden units of a layer are 4 times the token.
    heads:    of the attention in each layer.
    features: width of the embedding of a step; the pooled one has `parts` times as many.
    parts:    equal parts of a series whose steps are averaged apart and joined: more know better when something happened.
    dropout:  of tokens, attention weights and layers, while training.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    layers: Annotated[int, Ge(0)] = 2
    heads: Annotated[int, Gt(0)] = 2
    features: Annotated[int, Gt(0)] = 64
    parts: Annotated[int, Gt(0)] = 5
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1

    def build(self, channels: int, length: int) -> nn.Module:
        """An encoder of (batch, channels, any time) series."""
        if not self.widths or self.widths[-1] % self.heads or self.widths[-1] % 2:
            raise InputError(
                f"expected imu.widths to end with an even width that {self.heads} heads divide, got {self.widths}"
            )
        return ImuEncoder(channels, self)


class ImuEncoder(nn.Module):
    """What lies outside the extent is zeroed before every convolution and not attended to."""

    causal = False

    def __init__(self, channels: int, config: Imu) -> None:
        super().__init__()
        self.channels, self.features, self.parts = channels, config.features * config.parts, config.parts
        self.step_features = config.features
        wide = config.widths[-1]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, KERNEL, padding=KERNEL // 2)
            for a, b in zip((channels, *config.widths[:-1]), config.widths, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(w) for w in config.widths)
        self.dropout = nn.Dropout(config.dropout)
        layer = Patch(hidden=wide, heads=config.heads, dropout=config.dropout)
        self.layers = nn.ModuleList(Layer(layer) for _ in range(config.layers))
        self.norm = nn.LayerNorm(wide)
        self.step = nn.Linear(wide, config.features)

    def forward(self, series: Series) -> Embedding:
        begin, count = span(series.extent)
        width = max(int(count.max()), 1) if len(series) else 1
        count_or_one = count.clamp(
            min=1
        )  # a series without any step keeps its first one, so that no mean is over nothing
        inside = torch.arange(width, device=count.device) < count_or_one[:, None]
        whole = bool(inside.all())
        hidden = justify(series.values, begin, count, width)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = functional.relu(norm(convolution(hidden).mT).mT)
            hidden = hidden if whole else hidden * inside[:, None].to(hidden.dtype)
        tokens = hidden.mT + positions(width, hidden.shape[1], hidden.device).to(hidden.dtype)
        tokens = self.dropout(tokens)
        mask = None if whole else inside[:, None, None, :]
        for layer in self.layers:
            tokens = layer(tokens, mask)
        steps: Tensor = self.step(self.norm(tokens)).mT
        return Embedding(restore(steps, begin, series.extent), parts_mean(steps, count_or_one, self.parts), series)
