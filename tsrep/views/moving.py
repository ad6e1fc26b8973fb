"""Moving the steps of a series about: values and `observed` always move together."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tsrep.series import Series
from tsrep.views.augmentation import put


def span_of(extent: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, time) bool -> first column of the extent and its number of steps, both (batch,) int64."""
    return extent.to(torch.uint8).argmax(dim=1), extent.sum(dim=1)


def take(series: Series, index: Tensor) -> tuple[Tensor, Tensor]:
    """Values and observed at the columns index: (batch, n) int64, both (batch, channel, n)."""
    wide = index[:, None].expand(-1, series.channels, -1)
    return series.values.gather(2, wide), series.observed.gather(2, wide)


def resample(series: Series, at: Tensor) -> Series:
    """Every step of the extent gets the value at the position `at`, linearly interpolated between two columns.

    at: (batch, time) float columns; they are held inside the extent, and steps outside the extent stay as they are.
    A value between two columns is observed only where both are; a value at a whole column needs that column alone.
    """
    first, steps = span_of(series.extent)
    last = (first + steps - 1).clamp(min=0)
    at = torch.minimum(torch.maximum(at, first[:, None]), last[:, None])
    column = torch.arange(series.length, device=at.device)
    at = torch.where(series.extent, at, column.to(at.dtype))
    below = at.floor()
    between = (at - below)[:, None]
    index = below.long()
    left, left_seen = take(series, index)
    right, right_seen = take(series, (index + 1).clamp(max=series.length - 1))
    observed = left_seen & (right_seen | (between == 0))
    return put(series, torch.lerp(left, right, between.to(left.dtype)), observed)


def crop(series: Series, begin: Tensor, size: int) -> Series:
    """A crop of `size` steps that begins at column begin (batch,) of each series.

    Where a crop reaches over the edge of the batch there is padding: outside the extent, zero, without a timestamp (NaN).
    """
    column = begin[:, None] + torch.arange(size, device=begin.device)
    index = column.clamp(0, series.length - 1)
    inside = column == index
    values, observed = take(series, index)
    times = series.timestamps
    moved = replace(
        series,
        extent=series.extent.gather(1, index) & inside,
        start=series.start + begin,
        timestamps=None if times is None else times.gather(1, index).masked_fill(~inside, float("nan")),
    )
    return put(moved, values, observed & inside[:, None])
