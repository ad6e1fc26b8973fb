"""The dilated convolution encoder of TS2Vec, and the blocks that its causal twin shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn import functional

from tsrep.series import POOLS, Embedding, Series

KERNEL = 3


@dataclass(frozen=True)
class Dilated:
    """Residual convolutions whose dilation doubles from block to block. Yue et al., AAAI 2022, arXiv:2106.10466, §3.

    The embedding of a step sees both sides of it; `causal` is the twin that sees the past alone.

    hidden:   width of the blocks.
    depth:    blocks of width `hidden`; block i has dilation 2^i. One more block widens to `features`.
    features: width of the embedding.
    dropout:  share of the output that is dropped in training.
    pool:     how steps become one embedding: max (TS2Vec), mean or last.
    """

    hidden: Annotated[int, Gt(0)] = 64
    depth: Annotated[int, Gt(0)] = 10
    features: Annotated[int, Gt(0)] = 320
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    pool: Literal["max", "mean", "last"] = "max"

    def build(self, channels: int, length: int) -> nn.Module:
        return DilatedEncoder(channels, self.hidden, self.depth, self.features, self.dropout, self.pool, causal=False)


class DilatedEncoder(nn.Module):
    """x → Linear per step → (steps where nothing was observed are zeroed) → blocks → dropout.

    Padding is zeroed before every convolution, so that it is to the convolution what lies beyond the end of the array: a padded
    series has the embedding of the bare one.
    """

    def __init__(
        self, channels: int, hidden: int, depth: int, features: int, dropout: float, pool: str, *, causal: bool
    ) -> None:
        super().__init__()
        self.channels, self.features, self.causal, self.pool = channels, features, causal, pool
        self.project = nn.Linear(channels, hidden)
        widths = [hidden] * depth + [features]
        self.blocks = nn.ModuleList(
            Block(hidden, width, dilation=2**i, last=i == depth, causal=causal) for i, width in enumerate(widths)
        )
        self.dropout = nn.Dropout(dropout)

    @property
    def receptive_field(self) -> int:
        """Steps that one step embedding can depend on, itself included."""
        return 1 + 2 * (KERNEL - 1) * ((1 << len(self.blocks)) - 1)

    def forward(self, series: Series) -> Embedding:
        hidden = functional.conv1d(series.values, self.project.weight[:, :, None], self.project.bias)
        seen = series.observed.any(dim=1)
        if not bool(seen.all()):
            hidden = hidden * seen[:, None].to(hidden.dtype)
        inside = None if bool(series.extent.all()) else series.extent[:, None]
        for block in self.blocks:
            hidden = block(hidden, inside)
        steps = self.dropout(hidden)
        if inside is not None:
            steps = steps * inside.to(steps.dtype)
        return Embedding(steps, POOLS[self.pool](steps, series.extent), series)


class Block(nn.Module):
    """res(x) + Conv(GELU(Conv(GELU(x)))); res is a 1×1 convolution where the width changes and in the last block."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int, last: bool, causal: bool) -> None:
        super().__init__()
        self.first = DilatedConv(inputs, outputs, dilation, causal=causal)
        self.second = DilatedConv(outputs, outputs, dilation, causal=causal)
        self.residual = nn.Conv1d(inputs, outputs, 1) if last or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, inside: Tensor | None) -> Tensor:
        inner = self.first(_blank(functional.gelu(x), inside))
        inner = self.second(_blank(functional.gelu(inner), inside))
        if isinstance(self.residual, nn.Conv1d):
            x = convolve(x, self.residual.weight, self.residual.bias)
        out: Tensor = x + inner
        return out


class DilatedConv(nn.Module):
    """A convolution of three taps that keeps the length: at −d, 0, d, or at −2d, −d, 0 when it is causal.

    A tap that lies d or more steps away from every window of d steps or fewer meets nothing but zeros. It is not computed: exact, and
    46 % of the work of ten blocks at 128 steps.
    """

    def __init__(self, inputs: int, outputs: int, dilation: int, *, causal: bool) -> None:
        super().__init__()
        self.dilation, self.causal = dilation, causal
        like = nn.Conv1d(inputs, outputs, KERNEL)  # for its initialisation
        self.weight, self.bias = like.weight, like.bias

    def forward(self, x: Tensor) -> Tensor:
        reach = min(KERNEL - 1 if self.causal else KERNEL // 2, (x.shape[-1] - 1) // self.dilation)
        if self.causal:
            return convolve(x, self.weight[:, :, KERNEL - 1 - reach :], self.bias, self.dilation, before=reach)
        taps = self.weight if reach else self.weight[:, :, 1:2]
        return convolve(x, taps, self.bias, self.dilation, before=reach, after=reach)


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int = 1, *, before: int = 0, after: int = 0
) -> Tensor:
    """y_t = b + Σ_i W_i x_{t + i·dilation} for i from −before to after, x being zero beyond its ends: (batch, inputs, time) ->
    (batch, outputs, time).

    On the CPU it is one matrix product over all taps, with the channels last in memory, and so is the answer: oneDNN compiles
    `conv1d` anew for every length, and crops have another at every step (`pipelines/bench.py convolution`).
    """
    if not x.is_cpu:
        padded = functional.pad(x, (before * dilation, after * dilation)) if before or after else x
        return functional.conv1d(padded, weight, bias, dilation=dilation)
    steps, time = x.mT, x.shape[-1]
    if before or after:
        padded = functional.pad(steps, (0, 0, before * dilation, after * dilation))
        steps = torch.cat([padded[:, i * dilation : i * dilation + time] for i in range(weight.shape[-1])], dim=2)
    return functional.linear(steps, weight.mT.flatten(1), bias).mT


def _blank(x: Tensor, inside: Tensor | None) -> Tensor:
    return x if inside is None else torch.where(inside, x, torch.zeros((), dtype=x.dtype, device=x.device))
