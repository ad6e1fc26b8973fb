"""What the encoders of skeletons share: channels that are joints, differences of frames, and pooling in parts of a series."""

from __future__ import annotations

import torch
from torch import Tensor

from tsrep.errors import InputError

AXES = 3
"""Coordinates of a joint."""


def joints_of(channels: int, encoder: str) -> int:
    """How many joints the channels are: joint by joint, x y z of each. Raises InputError where three do not divide them."""
    if channels < AXES or channels % AXES:
        raise InputError(
            f"expected channels that are joints, x y z of each joint in turn, so a multiple of three, for the encoder {encoder}, got "
            f"{channels}: choose an encoder of plain channels (imu, dilated), or the channels by data.channels"
        )
    return channels // AXES


def motion(values: Tensor, observed: Tensor) -> Tensor:
    """x_t − x_{t−1} where both were observed, zero elsewhere and at the first step: (batch, channel, time) -> the same."""
    both = observed[:, :, 1:] & observed[:, :, :-1]
    moved = (values[:, :, 1:] - values[:, :, :-1]) * both.to(values.dtype)
    return torch.nn.functional.pad(moved, (1, 0))


def parts_mean(steps: Tensor, count: Tensor, parts: int) -> Tensor:
    """Means over equal parts of each series: (batch, feature, time), (batch,) steps that count -> (batch, feature · parts).

    Part p of c steps runs from ⌊pc/P⌋ to ⌈(p+1)c/P⌉, as adaptive pooling has it, so a series of any length has P parts. Those
    steps that count begin at column 0; what lies after them changes nothing.
    """
    if parts == 1:
        inside = torch.arange(steps.shape[2], device=steps.device) < count[:, None]
        return (steps * inside[:, None].to(steps.dtype)).sum(2) / count[:, None].to(steps.dtype)
    place = torch.arange(parts, device=steps.device)
    begin = place * count[:, None] // parts
    end = -(-(place + 1) * count[:, None] // parts)
    time = torch.arange(steps.shape[2], device=steps.device)[:, None]
    share = ((time >= begin[:, None]) & (time < end[:, None])).to(steps.dtype)  # (batch, time, part)
    return (steps @ (share / (end - begin)[:, None].to(steps.dtype))).flatten(1)
