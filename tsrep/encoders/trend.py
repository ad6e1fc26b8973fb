"""The trend encoder of CoST: dilated blocks, then the mean of causal convolutions of many lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn import functional

from tsrep.encoders.dilated import DilatedEncoder
from tsrep.errors import InputError
from tsrep.series import POOLS, Embedding, Series

SHORT = 32
"""Kernels of fewer taps are convolved as they are: transforms cost more than they spare."""


@dataclass(frozen=True)
class Trend:
    """Dilated blocks, then trends of many lengths: the forecasting encoder of AutoTCL. Woo et al. (CoST), ICLR 2022, arXiv:2202.01575.

    CoST without its seasonal branch, as Zheng et al. (AutoTCL, ICLR 2024, arXiv:2402.10434) take it:
    steps = 1/m Σ_j CausalConv_j(blocks(x)), where CausalConv_j has 2^j taps and m = 1 + log2(kernels). The papers have
    depth 10 and width 320 and pool by the maximum for the contrast.

    hidden:   width of the blocks.
    depth:    blocks of width `hidden`; block i has dilation 2^i. One more block goes to `width`.
    width:    of what the trends are taken of.
    features: width of the embedding.
    kernels:  taps of the longest causal convolution, a power of two; the others have 1, 2, 4 and so on.
    dropout:  share of the output that is dropped in training.
    causal:   blocks are padded on the left alone, so that no step sees a later one and a long series is embedded in one
              pass; False: on both sides, as in the papers, whose embedding of a step is therefore of a window that ends there.
    pool:     how steps become one embedding: max, mean or last.
    """

    hidden: Annotated[int, Gt(0)] = 64
    depth: Annotated[int, Gt(0)] = 6
    width: Annotated[int, Gt(0)] = 64
    features: Annotated[int, Gt(0)] = 320
    kernels: Annotated[int, Gt(0)] = 128
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    causal: bool = True
    pool: Literal["max", "mean", "last"] = "max"

    def build(self, channels: int, length: int) -> nn.Module:
        if self.kernels & (self.kernels - 1):
            below = 1 << (self.kernels.bit_length() - 1)
            raise InputError(
                f"expected kernels to be a power of two, got {self.kernels}: take {below} or {2 * below}, "
                "the taps of the longest convolution"
            )
        return TrendEncoder(channels, self)


class TrendEncoder(nn.Module):
    """x → dilated blocks → (padding zeroed) → mean of causal convolutions → dropout."""

    def __init__(self, channels: int, config: Trend) -> None:
        super().__init__()
        self.channels, self.features = channels, config.features
        self.causal, self.pool = config.causal, config.pool
        self.base = DilatedEncoder(
            channels, config.hidden, config.depth, config.width, dropout=0.0, pool="last", causal=config.causal
        )
        self.trends = Trends(config.width, config.features, config.kernels)
        self.dropout = nn.Dropout(config.dropout)

    @property
    def receptive_field(self) -> int:
        """Steps that one step embedding can depend on, itself included."""
        return self.base.receptive_field + self.trends.taps - 1

    def forward(self, series: Series) -> Embedding:
        hidden = self.base(series).steps  # zero outside the extent, as what lies beyond the end of the array
        steps = self.dropout(self.trends(hidden, strict=self.causal and not self.training))
        if not bool(series.extent.all()):
            steps = steps * series.extent[:, None].to(steps.dtype)
        return Embedding(steps, POOLS[self.pool](steps, series.extent), series)


class Trends(nn.Module):
    """Mean of causal convolutions of 1, 2, 4, …, `taps` taps: (batch, inputs, time) -> (batch, outputs, time).

    A mean of convolutions is one convolution by the mean of their kernels, so one is computed, though each has weights of
    its own to learn by, as in the paper.
    """

    def __init__(self, inputs: int, outputs: int, taps: int) -> None:
        super().__init__()
        self.taps = taps
        self.parts = nn.ModuleList(nn.Conv1d(inputs, outputs, 2**j) for j in range(taps.bit_length()))

    def kernel(self) -> tuple[Tensor, Tensor]:
        """Weight (outputs, inputs, taps), the tap of the present last, and bias (outputs,) of the one convolution."""
        first, *longer = (cast(nn.Conv1d, part) for part in self.parts)
        weight, bias = first.weight, cast(Tensor, first.bias)
        for part in longer:
            weight = part.weight + functional.pad(weight, (weight.shape[2], 0))  # each has twice the taps of the last
            bias = bias + cast(Tensor, part.bias)
        return weight / len(self.parts), bias / len(self.parts)

    def forward(self, x: Tensor, *, strict: bool) -> Tensor:
        """strict: nothing that comes after a step touches it, not even in the last bit."""
        weight, bias = self.kernel()
        weight = weight[:, :, -x.shape[2] :]  # older taps meet nothing but zeros
        return causal_convolution(x, weight, strict=strict) + bias.to(x.dtype)[:, None]


def causal_convolution(x: Tensor, weight: Tensor, *, strict: bool) -> Tensor:
    """y[:, :, t] = Σ_k weight[:, :, K − 1 − k] x[:, :, t − k]: (batch, inputs, time), (outputs, inputs, K) ->
    (batch, outputs, time), zeros before the beginning. By Fourier transform where that is cheaper.

    A transform rounds all steps of its block together: a later step moves an earlier one by about 1e-7 of the largest.
    Where `strict`, the newest quarter of the taps is therefore convolved directly, and the transforms take the older ones,
    for which a block of K/4 steps needs what lies before the block alone.
    """
    taps = weight.shape[2]
    # The transform of the weights costs as much as about 4 K steps.
    if taps < SHORT or x.shape[0] * x.shape[2] < 4 * taps:
        return _direct(x, weight)
    if not strict:
        return _by_blocks(x, weight, lag=0, block=taps)
    near = taps // 4
    return _direct(x, weight[:, :, -near:]) + _by_blocks(x, weight[:, :, :-near], lag=near, block=near)


def _direct(x: Tensor, weight: Tensor) -> Tensor:
    return functional.conv1d(functional.pad(x, (weight.shape[2] - 1, 0)), weight)


def _by_blocks(x: Tensor, weight: Tensor, *, lag: int, block: int) -> Tensor:
    """The causal convolution of x moved back by `lag` steps, `block` steps at a time: however long the series, the
    transforms are short (overlap-save: Stockham, 1966). A convolution is one matrix product at every frequency."""
    batch, _, time = x.shape
    past = weight.shape[2] - 1
    size = past + block + (past + block) % 2
    count = -(-time // block)
    before = size - block  # steps of a block's input that lie before its first output
    kind = torch.promote_types(x.dtype, torch.float32)  # there is no transform in half precision
    padded = functional.pad(x.to(kind), (before + lag, count * block - time - lag))
    blocks = padded.unfold(2, size, block).transpose(1, 2).flatten(0, 1)  # (batch * count, inputs, size)
    spectrum = torch.fft.rfft(blocks).permute(2, 1, 0).contiguous()
    response = torch.fft.rfft(weight.to(kind).flip(2), n=size).permute(2, 0, 1).contiguous()
    product = torch.bmm(response, spectrum).permute(2, 1, 0)  # (frequency, outputs, batch * count) until here
    parts = torch.fft.irfft(product, n=size)[:, :, before:].unflatten(0, (batch, count))
    out: Tensor = parts.transpose(1, 2).flatten(2)[:, :, :time]
    return out.to(x.dtype)
