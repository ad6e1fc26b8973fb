"""Mirror: the same action by the other hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator

from tsrep.errors import InputError
from tsrep.series import Series
from tsrep.views.augmentation import check, put, uniform
from tsrep.views.body import mirrored


@dataclass(frozen=True)
class Mirror:
    """With probability p the lateral axis changes its sign and left joints change places with right ones.

    Twice is nothing: a mirrored body has the bones that it had. The channels are joints, x y z of each in turn. Do not take it where
    labels name a side (swipe left, swipe right). A series of one joint, which has no sides, only changes the sign.

    p:     probability that a series is mirrored, from 0 to 1.
    twins: for each joint the one on its other side; a method that knows the names of the channels fills it in (`Mirror.of`). Empty:
           every joint is its own.
    Source: Thoker et al. 2021, arXiv:2108.03656 (as "flip"); Shah et al. 2023, arXiv:2304.00387.
    Raises InputError for series of another number of joints.
    """

    p: float = 0.5
    twins: Sequence[int] = ()

    def __post_init__(self) -> None:
        check("mirror.p", self.p, 0, 1)
        listed = isinstance(self.twins, Sequence) and not isinstance(self.twins, str)
        if not listed or any(type(twin) is not int for twin in self.twins):
            raise InputError(f"expected mirror.twins to be a list of joint numbers, got {self.twins!r}")
        if any(not 0 <= t < len(self.twins) or self.twins[t] != i for i, t in enumerate(self.twins)):
            raise InputError(f"expected mirror.twins that lead back to each joint, got {self.twins!r}")
        object.__setattr__(self, "twins", tuple(self.twins))

    @staticmethod
    def of(names: Sequence[str], p: float = 0.5) -> Mirror:
        """For joints of these names, left_* and right_*."""
        return Mirror(p, mirrored(names))

    def __call__(self, series: Series, generator: Generator) -> Series:
        joints = len(self.twins) or series.channels // 3
        if series.channels != 3 * joints or not joints:
            raise InputError(
                f"expected series of {joints or 'some'} joints, x y z of each in turn, for the view mirror, got "
                f"{series.channels} channels"
            )
        twins = torch.tensor(self.twins or range(joints), device=series.values.device)
        channel = (3 * twins[:, None] + torch.arange(3, device=twins.device)).flatten()
        sign = series.values.new_tensor([-1.0, 1.0, 1.0]).repeat(joints)
        chosen = (uniform((len(series),), series, generator) < self.p)[:, None, None]
        values = torch.where(chosen, series.values[:, channel] * sign[:, None], series.values)
        return put(series, values, torch.where(chosen, series.observed[:, channel], series.observed))
