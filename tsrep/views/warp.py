"""Warps: time runs faster and slower, amplitude swells and fades, both smoothly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from tsrep.series import Series
from tsrep.views.augmentation import check, put
from tsrep.views.curve import random_curve
from tsrep.views.moving import resample, span_of


@dataclass(frozen=True)
class TimeWarp:
    """x(w(t)) with a smooth, growing map w of the extent onto itself, the same for all channels of a series.

    The speed of w is exp(sigma * c(t)) up to a factor that holds both ends in place; c is a smooth curve through standard
    normal knots. Values between steps are interpolated linearly.

    sigma: spread of the logarithm of the speed (0.3: mostly between 3/4 and 4/3 of the recorded pace).
    knots: intervals of the curve along the extent; more make the pace change more often.
    Source: Um et al. 2017, arXiv:1706.00527 (there the speed is a spline through N(1, sigma^2), which may run backwards).
    """

    sigma: float = 0.3
    knots: int = 4

    def __post_init__(self) -> None:
        check("time_warp.sigma", self.sigma, 0, 5)
        check("time_warp.knots", self.knots, 1, whole=True)

    def __call__(self, series: Series, generator: Generator) -> Series:
        excess = torch.expm1(self.sigma * random_curve(series, self.knots, 1, generator)[:, 0])
        excess = excess.masked_fill(~series.extent, 0.0)
        first, steps = span_of(series.extent)
        last = (first + steps - 1).clamp(min=0)[:, None]
        # Time gained before each step. Written as a displacement, so that no excess means exactly no displacement.
        gained = excess.cumsum(dim=1) - excess
        total = gained.gather(1, last)
        column = torch.arange(series.length, device=first.device)
        since, whole = column - first[:, None], (steps - 1).clamp(min=0)[:, None]
        moved = (gained * whole - since * total) / (whole + total).clamp(min=1e-6)
        return resample(series, column + moved)


@dataclass(frozen=True)
class MagnitudeWarp:
    """x * (1 + sigma * c(t)) with a smooth curve c through standard normal knots, one for each channel of each series.

    sigma: standard deviation of the factor at a knot.
    knots: intervals of the curve along the extent.
    Source: Um et al. 2017, arXiv:1706.00527.
    """

    sigma: float = 0.2
    knots: int = 4

    def __post_init__(self) -> None:
        check("magnitude_warp.sigma", self.sigma, 0)
        check("magnitude_warp.knots", self.knots, 1, whole=True)

    def __call__(self, series: Series, generator: Generator) -> Series:
        factor = 1 + self.sigma * random_curve(series, self.knots, series.channels, generator)
        return put(series, series.values * factor.to(series.values.dtype), series.observed)
