"""Permute: the pieces of a series in another order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from tsrep.series import Series
from tsrep.views.augmentation import check, put, uniform
from tsrep.views.moving import span_of, take


@dataclass(frozen=True)
class Permute:
    """Cut the extent into random segments and shuffle them.

    Each series draws how many, from 1 to max_segments, then where to cut and in what order to join; two cuts at one place
    make one segment fewer. All channels move together. Order in time is lost: not for forecasting.

    max_segments: the most segments; 0 and 1 leave the series whole.
    Source: Um et al. 2017, arXiv:1706.00527; up to 8 for activities in TS-TCC, arXiv:2106.14112.
    """

    max_segments: int = 8

    def __post_init__(self) -> None:
        check("permute.max_segments", self.max_segments, 0, whole=True)

    def __call__(self, series: Series, generator: Generator) -> Series:
        most = self.max_segments
        if most < 2:
            return series
        draw = uniform((len(series), 2 * most), series, generator)
        rank, cut_at, many = draw[:, :most], draw[:, most:-1], draw[:, -1:]
        first, steps = span_of(series.extent)
        column = torch.arange(series.length, device=first.device)
        cut = (first + 1)[:, None] + (cut_at * (steps - 1).clamp(min=0)[:, None]).long()
        used = torch.arange(most - 1, device=first.device) < (many * most).long()
        cut = cut.masked_fill(~used, series.length).sort(dim=1).values
        segment = torch.searchsorted(cut, column.expand(len(series), -1).contiguous(), right=True)
        # A stable sort by the rank of the segment keeps the order within segments; padding sorts to where it was.
        before = column < first[:, None]
        key = rank.gather(1, segment).masked_fill(~series.extent, 2.0).masked_fill(before, -1.0)
        return put(series, *take(series, key.argsort(dim=1, stable=True)))
