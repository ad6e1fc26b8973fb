"""Streams: every stream of a batch is a view, as nature made it or a little changed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from tsrep.series import Batch, Series
from tsrep.views.augmentation import Augmentation, apply


@dataclass(frozen=True)
class Streams:
    """One view for each stream, under its name.

    augment: augmentations of each, drawn for every stream on its own, in this order; none: the streams as they are.
    Source: a device or a modality is a view that nature made; Tian et al., ECCV 2020, arXiv:1906.05849.
    """

    augment: tuple[Augmentation, ...] = ()

    def __call__(self, batch: Batch, generator: Generator) -> dict[str, Series]:
        return {name: apply(self.augment, series, generator) for name, series in batch.items()}
