"""Modalities: every stream of a batch by its own augmentations, once or twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Generator

from tsrep.series import Batch, Series, view_name
from tsrep.views.augmentation import Augmentation, apply, series_of
from tsrep.views.body import joints, triads
from tsrep.views.mirror import Mirror
from tsrep.views.rotate import Rotate

SIDES = ("left", "right")


@dataclass(frozen=True)
class Modalities:
    """One view of every stream, which has the stream's name; or two, "stream/left" and "stream/right", of independent draws.

    augment: stream -> its augmentations, in order. The streams of other names are left out; InputError where the batch lacks one.
    twice:   two views of each.
    Source: contrastive multiview coding, Tian et al. 2020, arXiv:1906.05849.
    """

    augment: Mapping[str, tuple[Augmentation, ...]]
    twice: bool = False

    def __call__(self, batch: Batch, generator: Generator) -> dict[str, Series]:
        made: dict[str, Series] = {}
        for name, augment in self.augment.items():
            series = series_of(batch, name)
            for view in [view_name(name, side) for side in SIDES] if self.twice else [name]:
                made[view] = apply(augment, series, generator)
        return made


def fitted(augment: Sequence[Augmentation], channels: Sequence[str]) -> tuple[Augmentation, ...]:
    """The augmentations with what they need to know of the channels, by their names: `mirror` which joints are twins, `rotate` which
    channels are the three axes of a sensor. What was said of either stays."""
    names, three = joints(channels), triads(channels)

    def fit(part: Augmentation) -> Augmentation:
        if isinstance(part, Mirror) and not part.twins and names is not None:
            return Mirror.of(names, part.p)
        if isinstance(part, Rotate) and part.triples == Rotate().triples and three:
            return replace(part, triples=three)
        return part

    return tuple(map(fit, augment))
