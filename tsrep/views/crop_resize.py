"""Crop and resize: a part of the series, stretched to the length of the whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from tsrep.series import Series
from tsrep.views.augmentation import check, uniform
from tsrep.views.moving import resample, span_of


@dataclass(frozen=True)
class CropResize:
    """Cut a random part out of the extent and interpolate it to the length of the extent (window slicing).

    max_cut: largest share of the extent that is cut away, from 0 to 1; each series draws its share uniformly from 0 to this,
             then the place of what is kept.
    Source: Le Guennec et al. 2016, "Data augmentation for time series classification using convolutional neural networks".
    """

    max_cut: float = 0.5

    def __post_init__(self) -> None:
        check("crop_resize.max_cut", self.max_cut, 0, 1)

    def __call__(self, series: Series, generator: Generator) -> Series:
        draw = uniform((len(series), 2), series, generator)
        first, steps = span_of(series.extent)
        column = torch.arange(series.length, device=first.device)
        cut = self.max_cut * draw[:, :1]
        begin = draw[:, 1:] * cut * (steps - 1).clamp(min=0)[:, None]
        return resample(series, column + (begin - (column - first[:, None]) * cut))
