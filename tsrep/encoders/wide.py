"""Deep and wide: the dilated encoder beside a bank of single convolutions of many receptive fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt, MultipleOf
from torch import Tensor, nn
from torch.nn import functional

from tsrep.encoders.dilated import DilatedEncoder
from tsrep.series import POOLS, Embedding, Series

TAPS = 9
RIVALS = 8
"""Kernels of a group that compete: Hydra's number."""


@dataclass(frozen=True)
class Wide:
    """The dilated encoder beside a bank of single convolutions, each of one receptive field. Dempster et al. 2020, arXiv:1910.13051.

    The bank is ROCKET's idea as part of an encoder that learns: kernels of nine taps that begin random, with mean zero, at every
    dilation that fits, over the series and over its first difference (as in MultiRocket, Tan et al. 2022, arXiv:2102.00457). It has no
    bias: the share of steps above zero asks how often a pattern meets the series rather than its opposite. In a second bank kernels
    compete in groups of eight, and at each step only the one that meets the series best answers (Hydra, Dempster et al. 2023,
    arXiv:2203.13652): the share of steps then asks which pattern it is. Made for ridge on the readout "levels", whose thresholds
    are what a bias would be, or on "rich".

    hidden, depth, features, dropout: of the dilated encoder.
    kernels:   that answer at every step, half over the series and half over its difference.
    competing: kernels that compete, likewise; the embedding has features + kernels + competing numbers.
    pool:      how steps become one embedding: max, mean or last.
    """

    hidden: Annotated[int, Gt(0)] = 64
    depth: Annotated[int, Gt(0)] = 10
    features: Annotated[int, Gt(0)] = 320
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    kernels: Annotated[int, Gt(1)] = 1024
    competing: Annotated[int, Ge(0), MultipleOf(2 * RIVALS)] = 1024
    pool: Literal["max", "mean", "last"] = "max"

    def build(self, channels: int, length: int) -> nn.Module:
        return WideEncoder(channels, length, self)


class WideEncoder(nn.Module):
    """steps = [dilated(x), bank(x), bank(Δx), won(rivals(x)), won(rivals(Δx))], the banks over √(their kernels), where
    Δx_t = x_t − x_{t−1} if both were observed, else 0."""

    def __init__(self, channels: int, length: int, made: Wide) -> None:
        super().__init__()
        self.channels, self.pool = channels, made.pool
        self.features = made.features + made.kernels + made.competing
        self.deep = DilatedEncoder(
            channels, made.hidden, made.depth, made.features, made.dropout, made.pool, causal=False
        )
        self.level = Bank(channels, length, made.kernels - made.kernels // 2)
        self.change = Bank(channels, length, made.kernels // 2)
        self.level_rivals, self.change_rivals = (Bank(channels, length, made.competing // 2) for _ in range(2))
        # All kernels of a bank together weigh in a dot product of embeddings what one feature would.
        self.scales = made.kernels**-0.5, max(1, made.competing) ** -0.5

    def forward(self, series: Series) -> Embedding:
        x = series.values
        both = series.observed[:, :, 1:] & series.observed[:, :, :-1]
        change = functional.pad((x[:, :, 1:] - x[:, :, :-1]) * both.to(x.dtype), (1, 0))
        every = torch.cat([self.level(x), self.change(change)], dim=1) * self.scales[0]
        best = won(torch.cat([self.level_rivals(x), self.change_rivals(change)], dim=1)) * self.scales[1]
        inside = series.extent[:, None].to(x.dtype)
        steps = torch.cat([self.deep(series).steps, every * inside, best * inside], dim=1)
        return Embedding(steps, POOLS[self.pool](steps, series.extent), series)


def won(answers: Tensor) -> Tensor:
    """a_k where a_k is the largest of its group of `RIVALS`, else 0: (batch, kernels, time) -> the same."""
    groups = answers.unflatten(1, (-1, RIVALS))
    return torch.where(groups == groups.amax(dim=2, keepdim=True), groups, 0.0).flatten(1, 2)


class Bank(nn.Module):
    """(batch, channel, time) -> (batch, kernels, time): convolutions of nine taps, as many at each dilation 1, 2, 4, … that spans no
    more than `length` steps.

    Weights are normal, made to mean zero over the taps of a channel and to norm one over all; each kernel begins with 2^u channels,
    u ~ U(0, log2(channels + 1)) (ROCKET, §3.1).
    """

    def __init__(self, channels: int, length: int, kernels: int) -> None:
        super().__init__()
        spans = int(math.log2(max(1.0, (length - 1) / (TAPS - 1)))) + 1
        counts = [kernels // spans + (i < kernels % spans) for i in range(spans)]
        self.weights = nn.ParameterList(_drawn(count, channels) for count in counts if count)

    def forward(self, x: Tensor) -> Tensor:
        reach = TAPS // 2
        if not len(self.weights):
            return x[:, :0]
        return torch.cat(
            [functional.conv1d(x, w, padding=reach * 2**i, dilation=2**i) for i, w in enumerate(self.weights)], dim=1
        )


def _drawn(kernels: int, channels: int) -> nn.Parameter:
    weight = torch.randn(kernels, channels, TAPS)
    weight = weight - weight.mean(dim=2, keepdim=True)
    some = torch.ceil(2 ** (torch.rand(kernels, 1) * math.log2(channels + 1))).clamp(max=channels)
    chosen = torch.rand(kernels, channels).argsort(dim=1).argsort(dim=1) < some
    weight = weight * chosen[:, :, None]
    return nn.Parameter(weight / weight.flatten(1).norm(dim=1)[:, None, None])
