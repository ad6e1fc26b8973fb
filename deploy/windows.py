"""The windows of a request, grouped by shape: nothing is padded, so one long window costs the short ones nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .refusal import Refused
from .settings import Settings


@dataclass(frozen=True)
class Block:
    """Windows of one shape.

    rows:   (k,) int64, which windows of the request they are.
    values: (k, channel, time) float32, NaN where nothing was observed.
    """

    rows: np.ndarray
    values: np.ndarray


def whole(values: np.ndarray) -> list[Block]:
    """All windows of a request in one array (n, channel, time)."""
    return [Block(np.arange(len(values)), values)]


def grouped(windows: Sequence[np.ndarray]) -> list[Block]:
    """Arrays (channel, time) of any lengths, one block for each shape in order of appearance."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, window in enumerate(windows):
        rows.setdefault(window.shape, []).append(row)
    return [Block(np.array(those), np.stack([windows[row] for row in those])) for those in rows.values()]


def counted(windows: int, settings: Settings) -> None:
    """Refused where there is no window, or more than a request may hold. Readers ask before they make arrays."""
    if windows == 0:
        raise Refused("no_windows", "expected at least one window, got none", expected=1, got=0)
    if windows > settings.max_windows:
        message = f"expected at most {settings.max_windows} windows in a request, got {windows}: send them in parts"
        raise Refused("windows", message, expected=settings.max_windows, got=windows)


def checked(blocks: list[Block], channels: Sequence[str], settings: Settings) -> list[Block]:
    """The blocks themselves; Refused, with the first window that is wrong, where the model can not embed them."""
    for block in blocks:
        _, wide, long = block.values.shape
        first = int(block.rows[0])
        if wide != len(channels):
            names = ", ".join(channels[:8]) + (", …" if len(channels) > 8 else "")
            message = f"expected {len(channels)} channels ({names}), got {wide} in window {first}"
            raise Refused("channels", message, expected=len(channels), got=wide)
        if long == 0:
            raise Refused("shape", f"expected at least one time step, got none in window {first}", expected=1, got=0)
        if long > settings.max_samples:
            message = f"expected windows of at most {settings.max_samples} time steps, got {long} in window {first}"
            raise Refused("samples", message, expected=settings.max_samples, got=long)
        _observed(block, channels)
    return blocks


def _observed(block: Block, channels: Sequence[str]) -> None:
    """Refused on infinite values and on windows without any value."""
    if np.isfinite(block.values).all():
        return
    infinite = np.argwhere(np.isinf(block.values))
    if len(infinite):
        k, channel, step = (int(i) for i in infinite[0])
        message = (
            f"expected finite numbers (null or NaN is missing), got {len(infinite)} infinite ones, the first in window "
            f"{int(block.rows[k])}, channel {channels[channel]}, step {step}; numbers beyond 3.4e38 count"
        )
        raise Refused("infinite", message, expected="finite", got="infinite")
    nothing = np.isnan(block.values).all(axis=(1, 2))
    if nothing.any():
        row = int(block.rows[nothing][0])
        raise Refused("all_missing", f"expected at least one value in each window, window {row} is missing altogether")
