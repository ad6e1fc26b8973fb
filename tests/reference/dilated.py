"""The dilated encoder with nothing saved: all three taps of every convolution, one bare series at a time, no masks of padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def steps(encoder: nn.Module, values: Tensor, observed: Tensor) -> Tensor:
    """(channel, time), (channel, time) bool -> (feature, time), with the encoder's own weights. Yue et al., AAAI 2022, §3.

    Per step a linear projection; steps where nothing was observed are zeroed; residual blocks of two convolutions of three taps,
    each after a GELU, the dilation doubling from block to block.
    """
    rows = []
    for t in range(values.shape[1]):
        row = encoder.project.weight @ values[:, t] + encoder.project.bias
        rows.append(row if bool(observed[:, t].any()) else torch.zeros_like(row))
    x = torch.stack(rows, dim=1)
    for number, block in enumerate(encoder.blocks):
        inner = _convolved(block.first, functional.gelu(x), 2**number, encoder.causal)
        inner = _convolved(block.second, functional.gelu(inner), 2**number, encoder.causal)
        x = block.residual(x[None])[0] + inner
    return x


def _convolved(layer: nn.Module, x: Tensor, dilation: int, causal: bool) -> Tensor:
    outputs, inputs, taps = layer.weight.shape
    full = nn.Conv1d(inputs, outputs, taps, dilation=dilation).to(x.dtype)
    full.weight, full.bias = layer.weight, layer.bias
    reach = (taps - 1) * dilation
    sides = (reach, 0) if causal else (reach // 2, reach // 2)
    return full(functional.pad(x[None], sides))[0]
