"""Turn: the person stands at another angle to the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from tsrep.errors import InputError
from tsrep.series import Series
from tsrep.views.augmentation import check, normal, put, uniform
from tsrep.views.body import spatial, transformed
from tsrep.views.rotate import rotations


@dataclass(frozen=True)
class Turn:
    """A rotation of the whole body, one for each series: every bone keeps its length and every distance stays.

    The channels are joints, x y z of each in turn. Where one axis of a joint was not observed, the rotated joint is unknown.
    The joints turn about the origin, which `tsrep.data.skeleton.to_torso` puts into the hips; about the middle of the series in
    coordinates of a camera. Values must be in one unit on all axes: scaled channel by channel, a rotation is none.

    max_angle: largest angle in degrees, 0 to 180, drawn evenly from −max_angle to max_angle about the vertical.
    about:     vertical: the y axis. any: a uniform axis in space, the angle shrunk in proportion as in `rotate`.
    pivot:     origin, or middle: the mean of all observed joints at all steps, which stays where it is.
    Source: CMC-CMKM, Brinzea et al. 2022, arXiv:2205.10071; Thoker et al. 2021, arXiv:2108.03656.
    """

    max_angle: float = 30.0
    about: Literal["vertical", "any"] = "vertical"
    pivot: Literal["origin", "middle"] = "origin"

    def __post_init__(self) -> None:
        check("turn.max_angle", self.max_angle, 0, 180)
        for name, known in (("about", ("vertical", "any")), ("pivot", ("origin", "middle"))):
            if getattr(self, name) not in known:
                raise InputError(f"expected turn.{name} to be one of {', '.join(known)}, got {getattr(self, name)!r}")

    def __call__(self, series: Series, generator: Generator) -> Series:
        values, observed = spatial(series, "turn")
        if self.max_angle == 0:
            return series
        if self.about == "any":
            matrix = rotations(normal((len(series), 4), series, generator), self.max_angle)
        else:
            matrix = upright((2 * uniform((len(series),), series, generator) - 1) * self.max_angle)
        middle = mean_joint(values, observed) if self.pivot == "middle" else torch.zeros_like(values[:, :1, :, :1])
        turned = transformed(matrix, values - middle) + middle
        return put(series, turned.flatten(1, 2), observed.flatten(1, 2))


def upright(angle: Tensor) -> Tensor:
    """Rotations about the y axis by angles in degrees: (batch,) -> (batch, 3, 3)."""
    cosine, sine = angle.deg2rad().cos(), angle.deg2rad().sin()
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([cosine, zero, sine, zero, one, zero, -sine, zero, cosine], dim=1).view(-1, 3, 3)


def mean_joint(values: Tensor, observed: Tensor) -> Tensor:
    """The mean over observed joints and steps: (batch, joint, 3, time) twice -> (batch, 1, 3, 1)."""
    seen = observed.to(values.dtype)
    mean: Tensor = (values * seen).sum((1, 3), keepdim=True) / seen.sum((1, 3), keepdim=True).clamp(min=1)
    return mean
