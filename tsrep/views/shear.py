"""Shear: a body that leans, and is seen askew."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from tsrep.series import Series
from tsrep.views.augmentation import check, put, uniform
from tsrep.views.body import spatial, transformed


@dataclass(frozen=True)
class Shear:
    """x' = S x for every joint at every step, S = one on the diagonal and U(−amplitude, amplitude) beside it, one S for each series.

    The channels are joints, x y z of each in turn, about an origin in the body (`tsrep.data.skeleton.to_torso`). Where one axis of a
    joint was not observed, the sheared joint is unknown.

    amplitude: largest share of another axis that is added to an axis.
    Source: AimCLR, Guo et al. 2022, arXiv:2112.03590; HaLP, Shah et al. 2023, arXiv:2304.00387.
    """

    amplitude: float = 0.5

    def __post_init__(self) -> None:
        check("shear.amplitude", self.amplitude, 0)

    def __call__(self, series: Series, generator: Generator) -> Series:
        values, observed = spatial(series, "shear")
        if self.amplitude == 0:
            return series
        drawn = self.amplitude * (2 * uniform((len(series), 3, 3), series, generator) - 1)
        one = torch.eye(3, device=drawn.device)
        return put(series, transformed(drawn * (1 - one) + one, values).flatten(1, 2), observed.flatten(1, 2))
