"""The stem of a learned view: a small convolutional network that looks at a series and says something of every step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsrep.series import Series

SCALES = (1, 2, 4, 8, 16, 32)
"""Kernels of the causal convolutions. Those of CoST's trend branch (Woo et al., ICLR 2022, arXiv:2202.01575) go on to 128, and then
these few channels cost two fifths of an encoder."""


class Stem(nn.Module):
    """x → Linear per step → (steps where nothing was observed are zeroed) → residual blocks → mean of causal convolutions.

    (batch, channel, time) -> (batch, features, time). Zheng et al., ICLR 2024, arXiv:2402.10434, §3.2. Padding is zeroed before
    every convolution, so that a padded series has the features of the bare one.
    """

    def __init__(self, channels: int, hidden: int, depth: int, features: int) -> None:
        super().__init__()
        self.project = nn.Conv1d(channels, hidden, 1)
        self.blocks = nn.ModuleList(_Block(hidden, 2**i) for i in range(depth))
        scales = [nn.Conv1d(hidden, features, kernel) for kernel in SCALES]  # for their initialisation
        self.scales = nn.ParameterList(scale.weight for scale in scales)
        self.bias = scales[0].bias

    def forward(self, series: Series) -> Tensor:
        hidden: Tensor = self.project(series.values)
        seen = series.observed.any(dim=1)
        if not bool(seen.all()):
            hidden = hidden * seen[:, None].to(hidden.dtype)
        inside = None if bool(series.extent.all()) else series.extent[:, None]
        for block in self.blocks:
            hidden = block(hidden, inside)
        return self._multiscale(_blank(hidden, inside))

    def _multiscale(self, hidden: Tensor) -> Tensor:
        """A mean of causal convolutions is one causal convolution: its kernel is the mean of theirs, the last taps aligned.

        Taps that lie further back than the series is long meet zeros alone and are left out.
        """
        reach = min(SCALES[-1], hidden.shape[-1])
        taps = [functional.pad(weight, (SCALES[-1] - weight.shape[-1], 0)) for weight in self.scales]
        kernel = torch.stack(taps).mean(0)[..., -reach:]
        return functional.conv1d(functional.pad(hidden, (reach - 1, 0)), kernel, self.bias)


class _Block(nn.Module):
    """x + Conv(GELU(Conv(GELU(x)))), as in the dilated encoder."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation) for _ in range(2))

    def forward(self, x: Tensor, inside: Tensor | None) -> Tensor:
        inner = self.first(_blank(functional.gelu(x), inside))
        out: Tensor = x + self.second(_blank(functional.gelu(inner), inside))
        return out


def _blank(x: Tensor, inside: Tensor | None) -> Tensor:
    return x if inside is None else x.masked_fill(~inside, 0.0)
