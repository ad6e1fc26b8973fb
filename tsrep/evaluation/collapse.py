"""Collapse: three numbers that tell during training, without labels, whether embeddings still tell series apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep.errors import InputError

MOST = 512
"""Rows of a batch that the meter looks at, so that it stays cheap."""

FLOOR = 1e-3
"""A spread about the mean below this share of the embeddings' length counts as none: what remains is rounding."""


def alignment(left: Tensor, right: Tensor, alpha: float = 2.0) -> Tensor:
    """Mean distance between the two views of a series, to the power alpha: () in [0, 2^alpha], 0 is best.

    left, right (n, feature); rows are normalised. Wang and Isola, ICML 2020, arXiv:2005.10242, equation 5.
    """
    if left.shape != right.shape or left.ndim != 2:
        raise InputError(f"expected two views of shape (n, feature), got {tuple(left.shape)} and {tuple(right.shape)}")
    apart: Tensor = torch.linalg.vector_norm(normalize(left, dim=1) - normalize(right, dim=1), dim=1)
    return apart.pow(alpha).mean()


def uniformity(embeddings: Tensor, t: float = 2.0) -> Tensor:
    """log mean exp(-t |x - y|^2) over distinct pairs of rows: () <= 0; 0 is collapse, about -4 an even sphere.

    embeddings (n >= 2, feature); rows are normalised. Wang and Isola, ICML 2020, arXiv:2005.10242, equation 6.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise InputError(f"expected embeddings of shape (n >= 2, feature), got {tuple(embeddings.shape)}")
    squared = torch.pdist(normalize(embeddings, dim=1)).pow(2)
    return torch.logsumexp(-t * squared, dim=0) - math.log(len(squared))


def effective_rank(embeddings: Tensor) -> Tensor:
    """exp of the entropy of the singular values' shares: () in [1, min(n, feature)], how many directions are in use.

    embeddings (n, feature), not centred here. All zero counts as rank 1. Roy and Vetterli, EUSIPCO 2007.
    """
    values = torch.linalg.svdvals(
        embeddings.float() if embeddings.dtype in (torch.bfloat16, torch.float16) else embeddings
    )
    share = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return torch.exp(torch.special.entr(share).sum())


@dataclass(frozen=True)
class Meter:
    """The three numbers of one batch; features is the width of an embedding, rows how many were looked at."""

    alignment: float
    uniformity: float
    rank: float
    features: int
    rows: int

    def verdict(self) -> str | None:
        return verdict(self.alignment, self.uniformity, self.rank, min(self.features, self.rows))


@torch.no_grad()
def meter(left: Tensor, right: Tensor) -> Meter:
    """Alignment, uniformity and effective rank of two views (n >= 2, feature), about their common mean.

    The mean is taken away first: embeddings that all carry one large constant beside what tells them apart, as a
    maximum over time does, have not collapsed. A spread that is only rounding beside that constant has, and is taken as
    zero. At most 512 rows are looked at.
    """
    left, right = left[:MOST].detach().float(), right[:MOST].detach().float()
    both = torch.cat([left, right])
    middle = both.mean(dim=0)
    floor = FLOOR * both.norm(dim=1).mean()
    left, right = (_about(view, middle, floor) for view in (left, right))
    return Meter(
        alignment=float(alignment(left, right)),
        uniformity=float(uniformity(left)),
        rank=float(effective_rank(left)),
        features=left.shape[1],
        rows=len(left),
    )


def verdict(alignment: float, uniformity: float, rank: float, features: int) -> str | None:
    """A warning in words with what to try, or None where all is well.

    features: the width of the embeddings, or the number of rows where that is smaller: what the rank could be at most.
    A number that is not finite is a warning of its own.
    """
    if not all(map(math.isfinite, (alignment, uniformity, rank))):
        return "embeddings are not finite: try a smaller learning rate, gradient clipping or a larger temperature"
    if uniformity > -0.5:
        return (
            f"embeddings are collapsing: uniformity {uniformity:.2f} (0 is one point, healthy is below -2), "
            f"effective rank {rank:.1f} of {features}; try more negatives (a larger batch), a smaller learning rate, "
            "or weaker masking and augmentation"
        )
    if features >= 4 and rank < max(1.5, 0.02 * features):
        return (
            f"embeddings are collapsing onto few directions: effective rank {rank:.1f} of {features}; "
            "try a projection head, a larger temperature or stronger augmentation"
        )
    if alignment > 1.8:
        return (
            f"two views of a series are no nearer than strangers: alignment {alignment:.2f} (0 is equal, 2 chance); "
            "try weaker augmentation, a larger overlap of crops or more steps"
        )
    return None


def _about(view: Tensor, middle: Tensor, floor: Tensor) -> Tensor:
    rest = view - middle
    return torch.where(rest.norm(dim=1, keepdim=True) > floor, rest, torch.zeros_like(rest))
