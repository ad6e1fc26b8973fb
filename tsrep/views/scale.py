"""Scale: every channel louder or quieter."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from tsrep.series import Series
from tsrep.views.augmentation import check, normal, put


@dataclass(frozen=True)
class Scale:
    """x * f with one factor f ~ N(1, sigma^2) for each channel of each series.

    sigma:     standard deviation of the factor.
    keep_sign: take |f|. Without it a factor may be negative, which turns a channel upside down; at sigma >= 1 that happens
               to one channel in six or more.
    Source: Um et al. 2017, arXiv:1706.00527. (TS-TCC's code draws from N(2, 1.1^2): the mean of 2 is not taken over.)
    """

    sigma: float = 0.1
    keep_sign: bool = False

    def __post_init__(self) -> None:
        check("scale.sigma", self.sigma, 0)

    def __call__(self, series: Series, generator: Generator) -> Series:
        factor = 1 + self.sigma * normal((len(series), series.channels, 1), series, generator)
        if self.keep_sign:
            factor = factor.abs()
        return put(series, series.values * factor.to(series.values.dtype), series.observed)
