"""Gated recurrence over the steps, both ways: `recurrent`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from tsrep.encoders.patch import justify, restore, span
from tsrep.series import POOLS, Embedding, Series


@dataclass(frozen=True)
class Recurrent:
    """Bidirectional GRU over the steps, for skeletons or any channels. Shah et al. (HaLP), CVPR 2023, arXiv:2304.00387 (its backbone).

    The paper has 3 layers of 1024 units each way and an embedding as wide as both; these are for processors.

    hidden:  units each way.
    layers:  one above the other.
    dropout: between layers, while training.
    pool:    how steps become one embedding: max or mean.
    """

    hidden: Annotated[int, Gt(0)] = 128
    layers: Annotated[int, Gt(0)] = 2
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    pool: Literal["max", "mean"] = "max"

    def build(self, channels: int, length: int) -> nn.Module:
        """An encoder of (batch, channels, any time) series; its embedding has 2 · hidden features."""
        return RecurrentEncoder(channels, self)


class RecurrentEncoder(nn.Module):
    """The backward pass begins at the last step of each series, never in its padding."""

    causal = False

    def __init__(self, channels: int, config: Recurrent) -> None:
        super().__init__()
        self.channels, self.features, self.pool = channels, 2 * config.hidden, config.pool
        widths = [channels] + [self.features] * (config.layers - 1)
        self.ahead = nn.ModuleList(nn.GRU(width, config.hidden, batch_first=True) for width in widths)
        self.back = nn.ModuleList(nn.GRU(width, config.hidden, batch_first=True) for width in widths)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, series: Series) -> Embedding:
        begin, count = span(series.extent)
        width = max(int(count.max()), 1) if len(series) else 1
        count = count.clamp(
            min=1
        )  # a series without any step keeps its first one, so that no pool is taken over nothing
        time = torch.arange(width, device=count.device)
        inside = time < count[:, None]
        turned = torch.where(
            inside, count[:, None] - 1 - time, time
        )  # the steps of each series from its end to its beginning
        out = justify(series.values, begin, count, width).mT
        for layer, (ahead, back) in enumerate(zip(self.ahead, self.back, strict=True)):
            out = out if layer == 0 else self.dropout(out)
            out = torch.cat([ahead(out)[0], _at(back(_at(out, turned))[0], turned)], dim=2)
        steps = out.mT
        return Embedding(restore(steps, begin, series.extent), POOLS[self.pool](steps, inside), series)


def _at(x: Tensor, index: Tensor) -> Tensor:
    """(batch, time, feature) at these steps: (batch, time) int64. Nothing that comes after the end reaches what lies before it: each
    direction reads the padding last."""
    return x.gather(1, index[:, :, None].expand(-1, -1, x.shape[2]))
