"""Two: two augmented copies of every series."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from tsrep.series import STREAM, Batch, Series
from tsrep.views.augmentation import Augmentation, apply, series_of


@dataclass(frozen=True)
class Two:
    """The views "left" and "right": two independent draws of the same augmentations.

    augment: the augmentations, in this order (`tsrep.views.chain` makes them from names).
    stream:  which stream of the batch; InputError where the batch has none of this name.
    Source: SimCLR, Chen et al., ICML 2020, arXiv:2002.05709.
    """

    augment: tuple[Augmentation, ...]
    stream: str = STREAM

    def __call__(self, batch: Batch, generator: Generator) -> dict[str, Series]:
        series = series_of(batch, self.stream)
        return {side: apply(self.augment, series, generator) for side in ("left", "right")}
