"""Overlapping crops: two crops of every series that share a part, the views of TS2Vec."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from tsrep.errors import InputError
from tsrep.series import STREAM, Batch, Series
from tsrep.views.augmentation import Augmentation, apply, check, series_of, uniform
from tsrep.views.mask import TimestampMask
from tsrep.views.moving import crop, span_of


@dataclass(frozen=True)
class OverlappingCrops:
    """The views "left" and "right": crops [a1, b1) and [a2, b2) with a1 <= a2 < b1 <= b2, then the augmentations on each.

    The overlap [a2, b1) has between min_length and T steps, drawn uniformly, T being the length of the batch. The crops are
    drawn once for the batch and then shifted for each series by a random number of steps, so that the same column is not the
    same moment for all of them. `start` tells the views apart: `right.start - left.start` is a2 - a1 for every series, and
    the overlap is the last steps of left and the first of right.

    Series that are shorter than the batch: a series draws its shift among those at which the overlap holds as much of its
    extent as it can hold, min(overlap, steps of the extent); so the overlap of a series is never empty. Where no shift
    that keeps both crops inside the batch does that, the crops reach over its edge into padding. For series that fill the
    batch this is TS2Vec's draw.

    min_length: fewest steps of the overlap; TS2Vec takes 2 ** (temporal_unit + 1).
    augment:    what is done to each crop; they must not shift time, or the overlap is no longer the same moments.
    stream:     which stream of the batch; InputError where the batch has none of this name.
    Source: TS2Vec, Yue et al., AAAI 2022, arXiv:2106.10466, section 3.2, and its code (ts2vec.py, fit).
    Raises InputError where the batch is shorter than min_length.
    """

    min_length: int = 2
    augment: tuple[Augmentation, ...] = (TimestampMask(0.5),)
    stream: str = STREAM

    def __post_init__(self) -> None:
        check("overlapping_crops.min_length", self.min_length, 1, whole=True)

    def __call__(self, batch: Batch, generator: Generator) -> dict[str, Series]:
        series = series_of(batch, self.stream)
        if series.length < self.min_length:
            raise InputError(
                f"expected series of at least {self.min_length} steps for overlapping crops, got {series.length}; "
                "take longer windows or a smaller min_length"
            )
        a1, a2, b1, b2 = self.bounds(series.length, generator)
        both = crop(series, self.shift(series, a1, a2, b1, b2, generator) + a1, b2 - a1)
        crops = {"left": both.steps(0, b1 - a1), "right": both.steps(a2 - a1, b2 - a1)}
        return {side: apply(self.augment, view, generator) for side, view in crops.items()}

    def bounds(self, total: int, generator: Generator) -> tuple[int, int, int, int]:
        """(a1, a2, b1, b2) with 0 <= a1 <= a2 < b1 <= b2 <= total, the same for the batch."""
        share = torch.rand(4, generator=generator, device=generator.device).tolist()
        overlap = self.min_length + int(share[0] * (total - self.min_length + 1))
        a2 = int(share[1] * (total - overlap + 1))
        b1 = a2 + overlap
        return int(share[2] * (a2 + 1)), a2, b1, b1 + int(share[3] * (total - b1 + 1))

    def shift(self, series: Series, a1: int, a2: int, b1: int, b2: int, generator: Generator) -> Tensor:
        """(batch,) int64: by how many steps the crops of each series are moved."""
        first, steps = span_of(series.extent)
        # Shifts at which the overlap holds as much of the extent as it can: from edge meeting edge to edge meeting edge.
        begin, end = first - a2, first + steps - b1
        low, high = torch.minimum(begin, end), torch.maximum(begin, end)
        # Of these, those at which both crops stay inside the batch, or else the nearest to them.
        least, most = -a1, series.length - b2
        low, high = torch.minimum(low.clamp(min=least), high), torch.maximum(high.clamp(max=most), low)
        return low + (uniform((len(series),), series, generator) * (high - low + 1)).long()
