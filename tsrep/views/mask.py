"""Masks: steps that the encoder does not see, though they belong to the series and are embedded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from tsrep.series import Series
from tsrep.views.augmentation import check, put, uniform
from tsrep.views.moving import span_of


@dataclass(frozen=True)
class TimestampMask:
    """Hide each step, with all its channels, with probability p.

    TS2Vec masks the hidden vectors after the input projection, not the input; the encoder zeroes unobserved steps at that
    place, so marking them unobserved here is the same. The extent does not change. By chance all steps may be hidden.

    p: probability that a step is hidden, from 0 to 1.
    Source: TS2Vec, Yue et al., AAAI 2022, arXiv:2106.10466, section 3.2 (p = 0.5).
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check("timestamp_mask.p", self.p, 0, 1)

    def __call__(self, series: Series, generator: Generator) -> Series:
        kept = uniform((len(series), series.length), series, generator) >= self.p
        return put(series, series.values, series.observed & kept[:, None])


@dataclass(frozen=True)
class SpanMask:
    """Hide one contiguous span of steps of each series (cut-out), at a random place of its extent.

    fraction: share of the extent that is hidden, from 0 to 1, rounded up to whole steps; at least one step is kept.
    Source: cutout of DeVries and Taylor 2017, arXiv:1708.04552, along time.
    """

    fraction: float = 0.1

    def __post_init__(self) -> None:
        check("span_mask.fraction", self.fraction, 0, 1)

    def __call__(self, series: Series, generator: Generator) -> Series:
        first, steps = span_of(series.extent)
        # A tenth of 30 steps is 3, though 30 * 0.1 is a little more in floating point.
        share = (steps * self.fraction - 1e-4).ceil().long()
        hidden = torch.minimum(share, steps - 1).clamp(min=0)
        places = steps - hidden + 1
        begin = first + (uniform((len(series),), series, generator) * places).long()
        column = torch.arange(series.length, device=first.device)
        kept = (column < begin[:, None]) | (column >= (begin + hidden)[:, None])
        return put(series, series.values, series.observed & kept[:, None])
