"""Jitter: noise on every value."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from tsrep.series import Series
from tsrep.views.augmentation import check, normal, put


@dataclass(frozen=True)
class Jitter:
    """x + N(0, sigma^2), independent for every value.

    sigma: standard deviation of the noise, in units of the scaled data (0.05 to 0.3 is weak, 0.8 strong for activities).
    Source: Um et al. 2017, arXiv:1706.00527.
    """

    sigma: float = 0.1

    def __post_init__(self) -> None:
        check("jitter.sigma", self.sigma, 0)

    def __call__(self, series: Series, generator: Generator) -> Series:
        noise = normal(tuple(series.values.shape), series, generator).to(series.values.dtype)
        return put(series, series.values + self.sigma * noise, series.observed)
