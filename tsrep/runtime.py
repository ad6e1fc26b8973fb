"""Runtimes: what computes embeddings. Each takes scaled windows as a plain array, so that a model embeds alike whatever computes.

Imports numpy alone: a service whose model was exported runs without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from tsrep.errors import InputError
from tsrep.plugins import plugin

CHUNK = 32
"""Windows that are computed at a time: more do not fit the processor's cache and are slower (measured on two cores)."""

TORCH = "torch"

BF16 = "bf16"
"""A precision that torch computes, without a file of its own."""

NAME = "model.onnx"
"""Of the file in a model's folder that holds its export."""

Run = Callable[[np.ndarray, str | None], np.ndarray]
"""(scaled windows (k, channel, time), NaN for missing; pool) -> (k, feature), or for "steps" (k, feature, time), NaN in padding."""


class Runtime(Protocol):
    """An exported encoder.

    name:      of the package that computes, with its version and its precision where that is not float32.
    precision: float32, int8 or bf16.
    length:    steps of the longest window it takes.
    features:  width of an embedding.
    pools:     what it gives of a window, as `Model.pools`.
    content:   the file itself; empty where there is none.
    """

    name: str
    precision: str
    length: int
    features: int
    pools: tuple[str | None, ...]
    content: bytes

    def __call__(self, values: np.ndarray, pool: str | None) -> np.ndarray: ...


class Bound:
    """An export and the encoder it was made of. It counts for nothing once that encoder was trained further, moved or exchanged.

    report: what was measured when it was made: precision, length, and how far it differs; kept in data.json and told by the card.
    """

    def __init__(self, runtime: Runtime, encoder: Any, report: Mapping[str, Any]) -> None:
        self.runtime, self.report, self._encoder = runtime, report, encoder
        self._tensors = (*encoder.parameters(), *encoder.buffers())
        self._state = self._now()

    def holds(self, encoder: Any) -> bool:
        return encoder is self._encoder and not encoder.training and self._state == self._now()

    def _now(self) -> list[tuple[int, int]]:
        """Where each tensor lies and how often it was written to."""
        return [(0 if t.is_inference() else t._version, t.data_ptr()) for t in self._tensors]


def onnx(content: bytes, threads: int | None = None) -> Runtime | None:
    """The export of a model's folder, ready to run; None where no package that runs it is installed."""
    try:
        session = plugin("runtimes", "onnx")
    except InputError:
        return None
    made: Runtime = session(content, threads)
    return made


def embedded(run: Callable[[int], Run], values: np.ndarray, pool: str | None, batch: int) -> np.ndarray:
    """Embeddings of scaled windows of unequal lengths, those of like length together and without their padding.

    run: chooses what computes windows of so many steps. values: (n, channel, time), NaN for missing.
    """
    n, _, time = values.shape
    first, last = span(values)
    order = np.argsort(last - first, kind="stable")
    whole = bool((first == 0).all() and (last == time).all())
    out: np.ndarray | None = None
    for begin in range(0, n, batch):
        rows = slice(begin, begin + batch) if whole else order[begin : begin + batch]
        low, high = int(first[rows].min()), int(last[rows].max())
        made = run(high - low)(np.ascontiguousarray(values[rows, :, low:high]), pool)
        if out is None:
            shape = (n, made.shape[1], time) if pool == "steps" else (n, made.shape[1])
            out = np.full(shape, np.nan, np.float32)
        if pool == "steps":
            out[rows, :, low:high] = made
        else:
            out[rows] = made
    assert out is not None
    return out


def span(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First observed step and the one after the last, of each series: (n,), (n,)."""
    if not np.isnan(values).any():
        return np.zeros(len(values), np.int64), np.full(len(values), values.shape[2])
    seen = ~np.isnan(values).all(axis=1)
    return seen.argmax(axis=1), values.shape[2] - seen[:, ::-1].argmax(axis=1)
