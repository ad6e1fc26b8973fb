"""Relevance: how far two views are apart as distributions in the encoder's space. Objectives, for no pair says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep.pairs import Gather
from tsrep.series import Embedding, Views, full

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multipliers of the bandwidth: five kernels."""


@dataclass(frozen=True)
class Means:
    """D = ‖mean_B z − mean_B z*‖² over all workers, z = f(x) and z* = f(v*) pooled. Zheng et al., ICLR 2024, arXiv:2402.10434, eq. 6.

    unit:  take z of length one, as the contrast does: D is at most 4, whatever the width and the scale of an encoder's output, and
           what is weighed against it keeps its weight. False: as it is.
    views: the names of the two views.
    """

    unit: bool = True
    views: tuple[str, str] = ("original", "informative")

    def __call__(self, views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
        left, right = (full(embeddings[name].pooled) for name in self.views)
        if self.unit:
            left, right = normalize(left, dim=-1), normalize(right, dim=-1)
        _, total = gather.place(len(left))
        # Every worker works out the whole and owns the share of its rows; the gather sums what the shares send back.
        return gather(left - right).mean(0).square().sum() * (len(left) / total)


@dataclass(frozen=True)
class Kernel:
    """D = mean k(x, x') + mean k(v, v') − 2 mean k(x, v): the squared maximum mean discrepancy, as the released code takes it.

    k(a, b) = Σ_w exp(−‖a − b‖² / (w s)), w ∈ {¼, ½, 1, 2, 4}, s the mean squared distance between two different embeddings of both
    views, a constant to the gradient. The means hold the pairs of an embedding with itself. Gretton et al., JMLR 2012, eq. 5;
    Zheng et al., ICLR 2024, arXiv:2402.10434.

    views: the names of the two views.
    """

    views: tuple[str, str] = ("original", "informative")

    def __call__(self, views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
        left, right = (full(embeddings[name].pooled) for name in self.views)
        n, total = len(left), gather.place(len(left))[1]
        both = torch.cat([gather(left), gather(right)])
        # Not by products of the embeddings: where both views are the same, D is to be zero and not nearly.
        apart = torch.cdist(both, both, compute_mode="donot_use_mm_for_euclid_dist").square()
        scale = apart.detach().sum() / max(1, len(both) * (len(both) - 1))
        scale = scale.clamp(min=torch.finfo(scale.dtype).tiny)
        likeness = torch.stack([torch.exp(-apart / (width * scale)) for width in WIDTHS]).sum(0)
        within, across, beyond = likeness[:total, :total], likeness[:total, total:], likeness[total:, total:]
        return (within.mean() + beyond.mean() - 2.0 * across.mean()) * (n / total)
