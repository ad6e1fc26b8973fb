"""Readouts: the ways in which a model's step embeddings become one embedding of a window.

Those of `series.POOLS` keep the encoder's width, so an encoder may be built with them. "rich" and "levels" do not: they set several
numbers of each feature side by side for a linear probe, which can weigh each, where a maximum alone has lost how often and how evenly a
pattern occurred.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tsrep.pools import STEPS
from tsrep.series import POOLS, Embedding, max_pool, mean_pool


def read(embedding: Embedding, pool: str | None, levels: Tensor | None = None) -> Tensor:
    """What a pool gives of a batch: (batch, feature · its width), or for "steps" (batch, feature, time), NaN in padding.

    levels: (feature, level), for "levels".
    """
    steps, extent = embedding.steps, embedding.series.extent
    if pool is None:
        return embedding.pooled
    if pool == STEPS:
        return steps.masked_fill(~extent[:, None], float("nan"))
    if pool == "rich":
        return rich_pool(steps, extent)
    if pool == "levels":
        assert levels is not None
        return level_pool(steps, extent, levels)
    return POOLS[pool](steps, extent)


def deviation_pool(steps: Tensor, extent: Tensor) -> Tensor:
    """Standard deviation (divisor n) over the steps inside the extent: (batch, feature, time), (batch, time) -> (batch, feature)."""
    off = torch.where(extent[:, None], steps - mean_pool(steps, extent)[:, :, None], 0.0)
    return (off.square().sum(dim=2) / extent.sum(dim=1, keepdim=True)).sqrt()


def share_pool(steps: Tensor, extent: Tensor, level: Tensor | float = 0.0) -> Tensor:
    """Share of the steps inside the extent at which a feature is above a level, in [0, 1]: (batch, feature, time) -> (batch, feature).

    What ROCKET reads of its convolutions ("proportion of positive values", Dempster et al. 2020, arXiv:1910.13051, §3.2): how much of
    a series looks like the pattern, where the maximum says how well the best place does. level: a number, or (feature, 1).
    """
    above = (steps > level) & extent[:, None]
    return above.sum(dim=2).to(steps.dtype) / extent.sum(dim=1, keepdim=True).to(steps.dtype)


def rich_pool(steps: Tensor, extent: Tensor) -> Tensor:
    """Maximum, mean, deviation and share of positive steps: (batch, feature, time), (batch, time) -> (batch, 4 * feature)."""
    return torch.cat([*_whole(steps, extent), share_pool(steps, extent)], dim=1)


def level_pool(steps: Tensor, extent: Tensor, levels: Tensor) -> Tensor:
    """Maximum, mean, deviation and the share of steps above each level: (batch, feature, time), (batch, time), (feature, level) ->
    (batch, (3 + level) * feature)."""
    shares = (share_pool(steps, extent, level[:, None]) for level in levels.to(steps.dtype).T)
    return torch.cat([*_whole(steps, extent), *shares], dim=1)


def _whole(steps: Tensor, extent: Tensor) -> list[Tensor]:
    return [pool(steps, extent) for pool in (max_pool, mean_pool, deviation_pool)]
