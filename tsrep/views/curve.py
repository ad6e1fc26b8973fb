"""Smooth random curves over the extent of a series."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from tsrep.series import Series
from tsrep.views.augmentation import normal
from tsrep.views.moving import span_of


def random_curve(series: Series, knots: int, curves: int, generator: Generator) -> Tensor:
    """(batch, curves, time) float32: curves through standard normal knots, `knots` intervals along the extent.

    Between the knots runs a cubic (the kernel of Keys 1981, a = -1/2), with continuous slope; one knot beyond each end
    spares the ends a rule of their own. Outside the extent the curve keeps the value of the nearest end.
    """
    first, steps = span_of(series.extent)
    column = torch.arange(series.length, device=first.device)
    share = (column - first[:, None]) / (steps - 1).clamp(min=1)[:, None]
    place = torch.arange(-1, knots + 2, device=first.device)
    away = (share.clamp(0, 1)[:, None] * knots - place[:, None]).abs()
    near = (1.5 * away - 2.5) * away * away + 1
    far = ((-0.5 * away + 2.5) * away - 4) * away + 2
    weight = torch.where(away < 1, near, far.masked_fill(away >= 2, 0.0))
    return normal((len(series), curves, knots + 3), series, generator) @ weight
