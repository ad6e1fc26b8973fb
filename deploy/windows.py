"""The windows of a request, grouped by length: padded at most to twice its own, so one long window costs the short ones
nothing, and a small body never becomes a large array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .refusal import Refused
from .settings import Settings


@dataclass(frozen=True)
class Block:
    """Windows of like length.

    rows:    (k,) int64, which windows of the request they are.
    values:  (k, channel, time) float32, NaN where nothing was observed and behind the end of shorter windows.
    lengths: (k,) int64, time steps of each window.
    """

    rows: np.ndarray
    values: np.ndarray
    lengths: np.ndarray


def room(length: int) -> int:
    """The power of two, 8 at least, that windows of this length are kept together by."""
    return max(8, 1 << max(0, length - 1).bit_length())


def whole(values: np.ndarray) -> list[Block]:
    """All windows of a request in one array (n, channel, time)."""
    return [Block(np.arange(len(values)), values, np.full(len(values), values.shape[2]))]


def grouped(windows: Sequence[np.ndarray]) -> list[Block]:
    """Arrays (channel, time) of any lengths, in order of appearance within their blocks."""
    rows: dict[tuple[int, int], list[int]] = {}
    for row, window in enumerate(windows):
        rows.setdefault((window.shape[0], room(window.shape[1])), []).append(row)
    return [_block(those, [windows[row] for row in those]) for those in rows.values()]


def padded(windows: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays (…, time) that differ in time alone, one after the other along a new first axis, NaN behind shorter ones."""
    longest = max(window.shape[-1] for window in windows)
    out = np.full((len(windows), *windows[0].shape[:-1], longest), np.nan, windows[0].dtype)
    for row, window in enumerate(windows):
        out[row, ..., : window.shape[-1]] = window
    return out


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
        if not block.lengths.all():
            first = int(block.rows[block.lengths == 0][0])
            raise Refused("shape", f"expected at least one time step, got none in window {first}", expected=1, got=0)
        if long > settings.max_samples:
            first = int(block.rows[block.lengths.argmax()])
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


def _block(rows: list[int], windows: list[np.ndarray]) -> Block:
    lengths = np.array([window.shape[1] for window in windows])
    return Block(np.array(rows), np.stack(windows) if (lengths == lengths[0]).all() else padded(windows), lengths)
