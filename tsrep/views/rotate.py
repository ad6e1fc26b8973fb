"""Rotate: the sensor worn at another angle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from tsrep.errors import InputError
from tsrep.series import Series
from tsrep.views.augmentation import check, normal, put


@dataclass(frozen=True)
class Rotate:
    """A random rotation in space of the axis triples, one for each series.

    All triples of a series turn together, because the accelerometer and the gyroscope of one device are one rigid body.
    At 180 degrees the rotation is uniform over SO(3); below, its angle is shrunk in proportion about the same uniform axis.
    Where one axis of a triple was not observed the rotated three are unknown, so all three become unobserved.

    max_angle: largest angle in degrees, 0 to 180. Gravity shows the posture: large angles hide it.
    triples:   which channels are the x, y and z of one sensor.
    Source: Um et al. 2017, arXiv:1706.00527.
    Raises InputError where the series lack a channel that a triple names.
    """

    max_angle: float = 30.0
    triples: Sequence[Sequence[int]] = ((0, 1, 2), (3, 4, 5))

    def __post_init__(self) -> None:
        check("rotate.max_angle", self.max_angle, 0, 180)
        listed = isinstance(self.triples, Sequence) and all(isinstance(three, Sequence) for three in self.triples)
        axes = [axis for three in self.triples for axis in three] if listed else []
        whole = all(isinstance(axis, int) and axis >= 0 for axis in axes)
        if not axes or not whole or len(set(axes)) != len(axes) or any(len(three) != 3 for three in self.triples):
            raise InputError(
                "expected rotate.triples to be lists of three channel numbers, no channel twice, "
                f"such as [[0, 1, 2], [3, 4, 5]]; got {self.triples!r}"
            )
        object.__setattr__(self, "triples", tuple(tuple(three) for three in self.triples))

    def __call__(self, series: Series, generator: Generator) -> Series:
        axes = [axis for three in self.triples for axis in three]
        if max(axes) >= series.channels:
            raise InputError(
                f"expected series with at least {max(axes) + 1} channels to rotate the triples {self.triples}, got "
                f"{series.channels}; say with rotate.triples which channels are the three axes of one sensor"
            )
        if self.max_angle == 0:
            return series
        turn = rotations(normal((len(series), 4), series, generator), self.max_angle).to(series.values.dtype)
        shape = (len(series), len(self.triples), 3, series.length)
        values, observed = series.values.clone(), series.observed.clone()
        values[:, axes] = (turn[:, None] @ values[:, axes].view(shape)).to(values.dtype).flatten(1, 2)
        observed[:, axes] = observed[:, axes].view(shape).all(dim=2, keepdim=True).expand(shape).flatten(1, 2)
        return put(series, values, observed)


def rotations(quaternion: Tensor, max_angle: float) -> Tensor:
    """(batch, 4) standard normal draws -> (batch, 3, 3) rotation matrices of at most max_angle degrees.

    A normal quaternion is a uniform rotation; its angle in [0, 180] is multiplied by max_angle / 180. Formula of Rodrigues.
    """
    real, imaginary = quaternion[:, 0], quaternion[:, 1:]
    size = imaginary.norm(dim=1)
    angle = 2 * torch.atan2(size, real.abs()) * (max_angle / 180)
    x, y, z = (imaginary / size.clamp(min=1e-12)[:, None]).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(3, device=x.device) + sine * cross + (1 - cosine) * (cross @ cross)
