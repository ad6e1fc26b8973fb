"""Embeddings at every step of long series, where the embedding of a step has seen nothing later than it.

An encoder that is causal gives them all in one pass. Any other sees the future within its window, so it is shown, for every
step, the window that ends there (Yue et al., AAAI 2022, arXiv:2106.10466, §4.2): as many passes as there are steps.

Both give NaN where there is nothing to embed: before a series has begun and after it has ended, that is, before the first and
after the last step at which any of its channels was observed. A gap between the two has embeddings, made of what was before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tsrep.errors import InputError
from tsrep.series import Series

Read = Literal["last", "pooled"]
"""What is read of a window: the embedding of its last step, or the pooled one."""

CHUNK = 4096
"""Steps that go through the encoder at a time, beside those that are carried over."""

BATCH = 256
"""Windows that go through the encoder at a time."""


def receptive_field(encoder: nn.Module) -> int | None:
    """Steps that the embedding of a step depends on, itself included, all of them in the past; None where an encoder is
    not causal or depends on where a series begins: then only sliding gives embeddings that know no future."""
    field = getattr(encoder, "receptive_field", None)
    return int(field) if field is not None and getattr(encoder, "causal", False) else None


def at_each_step(encoder: nn.Module, values: np.ndarray, window: int, read: Read) -> np.ndarray:
    """(n, channel, time) -> (n, feature, time): one pass where the encoder allows it and the last step is read, and then
    each step has seen all the past that the encoder reaches; otherwise windows of `window` steps, one for every step."""
    if read == "last" and receptive_field(encoder) is not None:
        return one_pass(encoder, values)
    return sliding(encoder, values, window, read=read)


def one_pass(encoder: nn.Module, values: np.ndarray, *, chunk: int = CHUNK) -> np.ndarray:
    """Step embeddings of a causal encoder, with memory that does not grow with the length of a series.

    values: (n, channel, time), scaled, NaN for missing. Gives (n, feature, time) float32, NaN outside each series.
    chunk:  steps at a time; each chunk is led by the receptive_field − 1 steps before it, on which its first step depends.
    """
    field = receptive_field(encoder)
    if field is None:
        raise InputError(
            f"expected a causal encoder with a receptive field to embed in one pass, got {type(encoder).__name__}: "
            "slide a window over the series"
        )
    _at_least_one("chunk", chunk)
    whole = _series(encoder, values)
    n, _, time = values.shape
    rows = max(1, chunk // time)  # short series go together
    out: np.ndarray | None = None
    with _evaluating(encoder):
        for row in range(0, n, rows):
            part = whole.rows(slice(row, row + rows))
            for begin in range(0, time, chunk):
                low, end = max(0, begin - field + 1), min(begin + chunk, time)
                # A slice keeps the extent of the whole: a gap at the border is no beginning, and embeds as it would inside.
                embedded = encoder(_like(encoder, part.steps(low, end))).steps[:, :, begin - low :]
                out = _room(out, embedded, n, time)
                out[row : row + rows, :, begin:end] = embedded.float().cpu().numpy()
    assert out is not None
    out.swapaxes(1, 2)[~whole.extent.numpy()] = np.nan
    return out


def sliding(
    encoder: nn.Module,
    values: np.ndarray,
    window: int,
    *,
    read: Read,
    steps: np.ndarray | None = None,
    batch: int = BATCH,
) -> np.ndarray:
    """For each step t the embedding of the window [t − window + 1, t], of any encoder; it is shorter where the series begins.

    values: (n, channel, time), scaled, NaN for missing. Gives (n, feature, time) float32, NaN outside each series.
    read:   "last", the embedding of step t, or "pooled", that of the window.
    steps:  (number,) int, the steps t that are embedded, in any order: gives (n, feature, number). None: all.
    batch:  windows at a time; no more of them are ever in memory.
    """
    if read not in ("last", "pooled"):
        raise InputError(f'expected read to be "last" or "pooled", got {read!r}')
    _at_least_one("window", window)
    _at_least_one("batch", batch)
    whole = _series(encoder, values)
    n, _, time = values.shape
    chosen = np.arange(time) if steps is None else _checked(steps, time)
    width = min(window, time)
    values_at, observed_at, extent_at = (_windows(t, width) for t in (whole.values, whole.observed, whole.extent))
    row, place = np.nonzero(whole.extent.numpy()[:, chosen])
    if not len(row):
        raise InputError(
            "expected a step inside a series, got none: at the chosen steps, each one has not begun or has ended"
        )
    out: np.ndarray | None = None
    with _evaluating(encoder):
        for begin in range(0, len(row), batch):
            rows, places = row[begin : begin + batch], place[begin : begin + batch]
            # Extent and all end at t: whether a later step was observed is not told.
            at = torch.from_numpy(rows), torch.from_numpy(chosen[places])
            observed, extent = observed_at[at[0], :, at[1]], extent_at[at]
            ends = torch.zeros(len(rows), dtype=torch.int64)
            series = Series(values_at[at[0], :, at[1]], observed, extent, at[0], ends)
            embedding = encoder(_like(encoder, series))
            found = embedding.pooled if read == "pooled" else embedding.steps[:, :, -1]
            out = _room(out, found, n, len(chosen))
            out[rows, :, places] = found.float().cpu().numpy()
    assert out is not None
    return out


def _series(encoder: nn.Module, values: np.ndarray) -> Series:
    """The whole series, on the processor: only what is embedded at the time goes where the encoder is."""
    channels = getattr(encoder, "channels", None)
    if values.ndim != 3 or not values.size or (channels is not None and values.shape[1] != channels):
        raise InputError(
            f"expected an array (n, channel, time) with {channels} channels, as the encoder was built for, got shape {values.shape}"
        )
    if np.isinf(values).any():
        raise InputError("expected finite values, or NaN for missing, got infinite ones")
    whole = Series.of(torch.from_numpy(np.ascontiguousarray(values)))
    if not bool(whole.extent.any(dim=1).all()):
        empty = torch.nonzero(~whole.extent.any(dim=1))[:, 0].tolist()
        raise InputError(f"expected series of which something was observed, got nothing in {_few(empty)}")
    return whole


def _like(encoder: nn.Module, series: Series) -> Series:
    """The series where the encoder is, in its precision."""
    parameter = next(encoder.parameters())
    return series.to(parameter.device).cast(parameter.dtype)


def _windows(x: Tensor, width: int) -> Tensor:
    """(…, time) -> (…, time, width): a view of the window that ends at each step, zeros before the beginning."""
    return functional.pad(x, (width - 1, 0)).unfold(-1, width, 1)


def _room(out: np.ndarray | None, found: Tensor, n: int, count: int) -> np.ndarray:
    """Where all embeddings will be, once it is known how wide they are."""
    return np.full((n, found.shape[1], count), np.nan, np.float32) if out is None else out


def _checked(steps: np.ndarray, time: int) -> np.ndarray:
    chosen = np.asarray(steps)
    whole = chosen.ndim == 1 and np.issubdtype(chosen.dtype, np.integer) and chosen.size > 0
    if not whole or chosen.min() < 0 or chosen.max() >= time:
        raise InputError(
            f"expected steps to be whole numbers from 0 to {time - 1}, got {_few(chosen.ravel().tolist())}"
        )
    return chosen.astype(np.int64)


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise InputError(f"expected {name} to be at least 1, got {value}")


def _few(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")


@contextmanager
def _evaluating(encoder: nn.Module) -> Iterator[None]:
    """Without dropout and gradients; every part is put back as it was."""
    before = {part: part.training for part in encoder.modules()}
    encoder.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, training in before.items():
            part.training = training
