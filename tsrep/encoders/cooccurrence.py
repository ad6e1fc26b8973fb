"""Co-occurrence of joints, positions beside motion: `cooccurrence`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn import functional

from tsrep.encoders.joints import AXES, joints_of, motion, parts_mean
from tsrep.encoders.patch import justify, restore, span
from tsrep.errors import InputError
from tsrep.series import Embedding, Series

HALVINGS = 4
"""How often the axis of features is halved."""


@dataclass(frozen=True)
class Cooccurrence:
    """Convolutions over joints and coordinates, with the joints as channels half way. Li et al., IJCAI 2018, arXiv:1804.06055 (HCN).

    The skeleton encoder of CMC-CMKM (Brinzea et al. 2022, arXiv:2205.10071). Two towers, of positions and of differences of frames:
    1×1 over coordinates, 3 steps of each joint alone, then joints become channels, so that every filter sees all of them at once, and
    two convolutions 3×3 over steps and features; joined, two more. Each of the four has a norm of its own step (`StepNorm`, not in the
    paper): without one all series begin with nearly the same embedding, and contrast does not get off the ground. Features are
    max-pooled by two after each of the four, steps after the last ones where `halve` says so. Channels are joints, x y z of each in
    turn; nothing is asked of their order.

    widths:   of the six convolutions: 64, 32, 32, 64, 128, 256 in the paper, halved here for processors.
    features: width of the embedding of a step; the pooled one has `parts` times as many.
    parts:    equal parts of a series whose steps are averaged apart and joined: more know better when something happened.
    halve:    how many of the last three convolutions halve the steps: 3 is the paper, and the fastest.
    dropout:  of what the embedding of a step is made of, while training.
    """

    widths: tuple[int, int, int, int, int, int] = (32, 16, 32, 32, 64, 128)
    features: Annotated[int, Gt(0)] = 64
    parts: Annotated[int, Gt(0)] = 5
    halve: Annotated[int, Ge(0)] = 3
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1

    def build(self, channels: int, length: int) -> nn.Module:
        """An encoder of (batch, 3 · joints, any time) series. Raises InputError for channels that are no joints."""
        if len(self.widths) != 6 or self.widths[1] < 2**HALVINGS:
            raise InputError(f"expected six cooccurrence.widths, the second at least {2**HALVINGS}, got {self.widths}")
        if self.halve > HALVINGS - 1:
            raise InputError(f"expected cooccurrence.halve from 0 to {HALVINGS - 1}, got {self.halve}")
        return CooccurrenceEncoder(channels, self)


class Tower(nn.Module):
    """(batch, coordinate, time, joint) -> (batch, feature, time, what is left of the second width)."""

    def __init__(self, joints: int, widths: tuple[int, ...], halves: tuple[bool, bool]) -> None:
        super().__init__()
        self.point = nn.Conv2d(AXES, widths[0], 1)
        self.line = nn.Conv2d(widths[0], widths[1], (3, 1), padding=(1, 0))
        self.first = Pooled(joints, widths[2], halve=halves[0])
        self.second = Pooled(widths[2], widths[3], halve=halves[1])

    def forward(self, x: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        hidden = _blank(functional.relu(self.point(x)), inside)
        hidden = self.line(hidden).transpose(1, 3)  # (batch, joint, time, feature)
        out: tuple[Tensor, Tensor] = self.second(*self.first(hidden, inside))
        return out


class Pooled(nn.Module):
    """A convolution 3×3 over steps and features, ReLU, then the maximum over two features and, where asked, two steps.

    What is outside is zero before and after: after ReLU no maximum over steps is changed by a zero.
    """

    def __init__(self, inputs: int, outputs: int, *, halve: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = StepNorm(outputs)
        self.halve = halve

    def forward(self, x: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.norm(self.convolution(_blank(x, inside)))
        # The larger of two neighbours first: it commutes with ReLU, which then has half as much to do.
        hidden = _blank(functional.relu(torch.maximum(*_neighbours(hidden, 3))), inside)
        if not self.halve:
            return hidden, inside
        odd = hidden.shape[2] % 2
        hidden, inside = functional.pad(hidden, (0, 0, 0, odd)), functional.pad(inside, (0, odd))
        return torch.maximum(*_neighbours(hidden, 2)), inside.unflatten(1, (-1, 2)).any(2)


class StepNorm(nn.Module):
    """(x − mean) / deviation over all that one step of one series has, then a scale and a shift of each feature: (batch, feature, time,
    any) -> the same. Statistics over the batch would make an embedding depend on its neighbours while it learns."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features, 1, 1))
        self.shift = nn.Parameter(torch.zeros(features, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, features, time, _ = x.shape
        # Every step of every series is one group: fused, and twice as fast as mean, variance and what follows one by one.
        steps = x.transpose(1, 2).reshape(batch * time, features, -1)
        normed = functional.group_norm(steps, 1, self.scale.flatten(), self.shift.flatten(), 1e-5)
        return normed.view(batch, time, features, -1).transpose(1, 2)


class CooccurrenceEncoder(nn.Module):
    causal = False

    def __init__(self, channels: int, config: Cooccurrence) -> None:
        super().__init__()
        self.channels, self.features, self.parts = channels, config.features * config.parts, config.parts
        self.step_features = config.features
        self.joints = joints_of(channels, "cooccurrence")
        w = config.widths
        halves = [i >= HALVINGS - config.halve for i in range(HALVINGS)]
        self.shrink = 2**config.halve
        self.position = Tower(self.joints, w[:4], (halves[0], halves[1]))
        self.motion = Tower(self.joints, w[:4], (halves[0], halves[1]))
        self.third = Pooled(2 * w[3], w[4], halve=halves[2])
        self.fourth = Pooled(w[4], w[5], halve=halves[3])
        wide = w[5] * (w[1] // 2**HALVINGS)
        self.norm, self.dropout = nn.LayerNorm(wide), nn.Dropout(config.dropout)
        self.step = nn.Linear(wide, config.features)

    def forward(self, series: Series) -> Embedding:
        begin, count = span(series.extent)
        width = max(int(count.max()), 1) if len(series) else 1
        count_or_one = count.clamp(min=1)
        inside = torch.arange(width, device=count.device) < count_or_one[:, None]
        moved = motion(series.values, series.observed)
        both = [
            tower(justify(x, begin, count, width).unflatten(1, (self.joints, AXES)).permute(0, 2, 3, 1), inside)
            for tower, x in ((self.position, series.values), (self.motion, moved))
        ]
        joined, left = torch.cat([both[0][0], both[1][0]], dim=1), both[0][1]
        joined, left = self.fourth(*self.third(joined, left))
        tokens = self.norm(joined.transpose(1, 2).flatten(2))  # (batch, time / shrink, feature)
        coarse: Tensor = self.step(self.dropout(tokens)).mT
        pooled = parts_mean(coarse, left.sum(1), self.parts)
        steps = coarse.repeat_interleave(self.shrink, dim=2)[:, :, :width]
        return Embedding(restore(steps, begin, series.extent), pooled, series)


def _neighbours(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """What stands at even and at odd places; the last one of an odd number is left out, as max-pooling does."""
    even = x if x.shape[dim] % 2 == 0 else x.narrow(dim, 0, x.shape[dim] - 1)
    first, second = even.unflatten(dim, (-1, 2)).unbind(dim + 1)
    return first, second


def _blank(x: Tensor, inside: Tensor) -> Tensor:
    """(batch, feature, time, …) with zeros outside; inside: (batch, time). Where all is inside, nothing is to do."""
    return x if bool(inside.all()) else x * inside[:, None, :, None].to(x.dtype)
