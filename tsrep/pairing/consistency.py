"""Consistency: a mask is to be alike in neighbouring steps and unlike in far ones. An objective, for no pair says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from tsrep.pairs import Gather
from tsrep.series import Embedding, Views

BEYOND = 2.0
"""Larger than any value of a mask."""


@dataclass(frozen=True)
class Consistency:
    """λ · mean over series and steps a of (mean_p |h_a − h_p| − mean_n |h_a − h_n|). Zheng et al., ICLR 2024, arXiv:2402.10434, eq. 8.

    p are the steps beside a, n those further away. The paper draws one of each for every anchor; this is the mean over all draws. A
    series of fewer than three steps, and the middle one of three, has no step far from it: zero.

    weight: λ.
    """

    weight: float = 0.01

    def __call__(self, views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
        mask = views["mask"]
        _, total = gather.place(len(mask))
        channels = mask.values.shape[1]
        extent = mask.extent.repeat_interleave(channels, 0)
        return self.weight * triplets(mask.values.flatten(0, 1), extent).sum() / (channels * total)


def triplets(mask: Tensor, extent: Tensor) -> Tensor:
    """Mean over the anchors of each mask: (n, time) in [0, 1], (n, time) bool -> (n,)."""
    side = pad((mask[:, 1:] - mask[:, :-1]).abs() * (extent[:, 1:] & extent[:, :-1]), (1, 1))
    sides = pad((extent[:, 1:] & extent[:, :-1]).to(mask.dtype), (1, 1))
    near, nears = side[:, :-1] + side[:, 1:], sides[:, :-1] + sides[:, 1:]
    length = extent.sum(1, keepdim=True).to(mask.dtype)
    fars = length - 1.0 - nears
    far = _apart(mask, extent) - near
    here = extent & (nears > 0) & (fars > 0)
    value = near / nears.clamp(min=1.0) - far / fars.clamp(min=1.0)
    return torch.where(here, value, 0.0).sum(1) / length.squeeze(1)


def _apart(mask: Tensor, extent: Tensor) -> Tensor:
    """Σ_j |h_i − h_j| over the steps of the extent, for each i: (n, time), without a table of time × time.

    Where l steps are less than h_i and e are not more: Σ_j |h_i − h_j| = h_i (l + e − n) + (Σ of all − Σ of the e least) − Σ of the l
    least. Steps that are alike cancel, so where the mask is clipped the slope is zero, as that of |0| is.
    """
    order = mask.masked_fill(~extent, BEYOND).sort(1).values  # padding comes last and is never added
    sums = pad(order.cumsum(1), (1, 0))
    less = torch.searchsorted(order.detach(), mask.detach().contiguous())
    most = torch.searchsorted(order.detach(), mask.detach().contiguous(), right=True)
    length = extent.sum(1, keepdim=True)
    above = sums.gather(1, length) - sums.gather(1, most)
    return mask * (less + most - length) + above - sums.gather(1, less)
