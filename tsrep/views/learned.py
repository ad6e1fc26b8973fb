"""The learned view of AutoTCL: a network decides what of a series is kept, and noise takes the place of the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor, nn

from tsrep.series import STREAM, Batch, Series
from tsrep.views.augmentation import series_of, uniform
from tsrep.views.gate import HardConcrete
from tsrep.views.mask import TimestampMask
from tsrep.views.stem import Stem

OPEN = 2.0
"""Log-odds at which gates and factors begin: nearly all of a series is kept, and a third of the gates still have a gradient."""

LIMIT = 4.0
"""Bound of the log-odds: probabilities between 2 and 98 %. A gate that is quite open or shut has no gradient and would stay so."""


def bounded(odds: Tensor) -> Tensor:
    """Log-odds held between −4 and 4. At a bound no gradient pushes further out, and what pulls back in is felt in full: the network
    does not run away from the bound, as it would behind a tanh, and a gate can change its mind."""
    held: Tensor = _Bounded.apply(odds)
    return held


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, odds: Tensor) -> Tensor:
        ctx.save_for_backward(odds)
        return odds.clamp(-LIMIT, LIMIT)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        (odds,) = ctx.saved_tensors
        outward = ((odds >= LIMIT) & (upstream < 0)) | ((odds <= -LIMIT) & (upstream > 0))  # descent goes against it
        return upstream.masked_fill(outward, 0.0)


class Learned(nn.Module):
    """v = η(v*), v* = g ⊙ h ⊙ x: a mask h and a factor g > 0 for every step, both learned. Zheng et al., ICLR 2024, arXiv:2402.10434.

    Gives the views
    original:    x.
    informative: v*. The factor has a floor, so v* / g gives back what the mask lets through.
    view:        η(v*), steps of which are hidden from the encoder.
    mask:        h in [0, 1], (batch, 1 or channel, time), zero outside the extent; observed is the extent.
    gate:        what the mask was drawn from, its log-odds; same shape. `gate` and `mask` are there where a mask is learned.

    In training the mask is drawn with noise from the generator; in evaluation the noise is ½. η always draws, as every view does.

    channels:       of the series.
    gate:           how a mask is drawn from log-odds; None: h = 1.
    floor:          least factor, g = floor + (1 − floor) σ(·); None: g = 1.
    hide:           η.
    hidden, depth, features: of the stem; without gate and factor there is none, and nothing to learn.
    per_channel:    a mask and a factor for every channel instead of one for all.
    feed:           makes the gate's log-odds of what the network says. The released code takes a sigmoid.
    stream:         which stream of the batch.
    """

    def __init__(
        self,
        channels: int,
        *,
        gate: HardConcrete | None,
        floor: float | None,
        hide: TimestampMask,
        hidden: int,
        depth: int,
        features: int,
        per_channel: bool = False,
        feed: Callable[[Tensor], Tensor] = bounded,
        stream: str = STREAM,
    ) -> None:
        super().__init__()
        self.gate, self.floor, self.hide, self.feed, self.stream = gate, floor, hide, feed, stream
        width = channels if per_channel else 1
        learns = gate is not None or floor is not None
        self.stem = Stem(channels, hidden, depth, features) if learns else None
        self.odds = None if gate is None else _head(features, width)
        self.factor = None if floor is None else _head(features, width)

    def forward(self, batch: Batch, generator: Generator) -> dict[str, Series]:
        series = series_of(batch, self.stream)
        odds, mask, informative = self.split(series, generator if self.training else None)
        views = {"original": series, "informative": informative, "view": self.hide(informative, generator)}
        if odds is not None:
            views |= {"gate": _over(series, odds), "mask": _over(series, mask)}
        return views

    def split(self, series: Series, generator: Generator | None) -> tuple[Tensor | None, Tensor, Series]:
        """Log-odds (None without a gate), mask, and v*. Without a generator nothing is drawn."""
        features = None if self.stem is None else self.stem(series)
        odds, values = None, series.values
        mask = torch.ones_like(values[:, :1])
        if self.gate is not None and self.odds is not None:
            odds = self.feed(self.odds(features))
            noise = None if generator is None else uniform(tuple(odds.shape), series, generator)
            mask = self.gate.sample(odds, noise)
            values = values * mask
        if self.floor is not None and self.factor is not None:
            values = values * (self.floor + (1.0 - self.floor) * torch.sigmoid(self.factor(features)))
        return odds, mask, replace(series, values=values)


@torch.no_grad()
def gates(view: Learned, series: Series) -> tuple[Tensor, Tensor]:
    """What a learned view keeps of series: the mask h, (batch, 1 or channel, time), zero outside the extent, and v* = g ⊙ h ⊙ x,
    (batch, channel, time). Nothing is drawn: same series, same result, in whatever mode the view is."""
    _, mask, informative = view.split(series, None)
    return _over(series, mask).values, informative.values


def _head(features: int, width: int) -> nn.Module:
    head = nn.Conv1d(features, width, 1)
    nn.init.constant_(head.bias, OPEN)  # type: ignore[arg-type]
    return head


def _over(series: Series, values: Tensor) -> Series:
    """Values for the steps of the series: said of every step inside the extent, the missing ones too."""
    inside = series.extent[:, None].expand_as(values)
    return replace(series, values=values.masked_fill(~inside, 0.0), observed=inside)
