"""Readouts: the ways in which a model's step embeddings become one embedding of a window.

Those of `series.POOLS` keep the encoder's width, so an encoder may be built with them. "rich" does not: it sets several of them side by
side for a linear probe, which can weigh each, where a maximum alone has lost how often and how evenly a pattern occurred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tsrep.series import POOLS, max_pool, mean_pool

PARTS = ("max", "mean", "deviation", "positive")
"""What "rich" consists of, in this order, each as wide as the encoder."""


def deviation_pool(steps: Tensor, extent: Tensor) -> Tensor:
    """Standard deviation (divisor n) over the steps inside the extent: (batch, feature, time), (batch, time) -> (batch, feature)."""
    off = torch.where(extent[:, None], steps - mean_pool(steps, extent)[:, :, None], 0.0)
    return (off.square().sum(dim=2) / extent.sum(dim=1, keepdim=True)).sqrt()


def positive_pool(steps: Tensor, extent: Tensor) -> Tensor:
    """Share of the steps inside the extent at which a feature is above zero, in [0, 1]: (batch, feature, time) -> (batch, feature).

    What ROCKET reads of its convolutions ("proportion of positive values", Dempster et al. 2020, arXiv:1910.13051, §3.2): how much of
    a series looks like the pattern, where the maximum says how well the best place does. The threshold is the encoder's last bias.
    """
    above = (steps > 0) & extent[:, None]
    return above.sum(dim=2).to(steps.dtype) / extent.sum(dim=1, keepdim=True).to(steps.dtype)


def rich_pool(steps: Tensor, extent: Tensor) -> Tensor:
    """`PARTS` side by side: (batch, feature, time), (batch, time) -> (batch, 4 * feature)."""
    parts = (pool(steps, extent) for pool in (max_pool, mean_pool, deviation_pool, positive_pool))
    return torch.cat([*parts], dim=1)


READOUTS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {**POOLS, "rich": rich_pool}
