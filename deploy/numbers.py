"""In which numbers embeddings are sent: float32 as the model gives them, half of each, or one byte of each beside a scale.

int8 is symmetric, with a scale of its own for each vector x: scale = max|x| / 127, q = round(x / scale), and scale * q differs from x
by at most scale / 2. The scales are sent along. `dimensions` = k sends the first k numbers of each embedding, before they are
quantised. No method here trains the first numbers to stand for all of them (as Matryoshka learning does), so this saves bytes and
loses what the other numbers know: measure it on the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .refusal import Refused

DTYPES = ("float32", "float16", "int8")


@dataclass(frozen=True)
class Sent:
    """Embeddings as they are sent.

    values: (n, feature), or for steps (feature, time) of each window in turn; of one of `DTYPES`.
    scale:  (n,) float32 of int8, else None.
    """

    values: np.ndarray | Sequence[np.ndarray]
    scale: np.ndarray | None = None

    @property
    def dtype(self) -> str:
        return str(self.values.dtype if isinstance(self.values, np.ndarray) else self.values[0].dtype)

    @property
    def features(self) -> int:
        return int(self.values[0].shape[0])


def dtype_of(asked: str | None, known: Sequence[str] = DTYPES) -> str:
    """What the query says, float32 where it says nothing. Refused where it is none of the known."""
    if asked is None or asked in known:
        return asked or known[0]
    raise Refused(
        "dtype", f"expected dtype to be one of {', '.join(known)}, got '{asked[:50]}'", list(known), asked[:50]
    )


def dimensions_of(asked: str | None, features: int) -> int:
    """How many of the features are sent. Refused where it is no number from 1 to as many as there are."""
    if asked is None:
        return features
    if not (asked.isascii() and asked.isdecimal() and 1 <= int(asked[:9]) <= features and len(asked) < 9):
        message = f"expected dimensions to be a whole number from 1 to {features}, got '{asked[:50]}'"
        raise Refused("dimensions", message, features, asked[:50])
    return int(asked)


def sent(embeddings: np.ndarray | Sequence[np.ndarray], dtype: str, dimensions: int) -> Sent:
    """(n, feature) float32, or (feature, time) of each window -> the first `dimensions` features in this dtype."""
    if isinstance(embeddings, np.ndarray):
        few = np.ascontiguousarray(embeddings[:, :dimensions])
        return _bytes(few) if dtype == "int8" else Sent(_halved(few) if dtype == "float16" else few)
    steps = [one[:dimensions] for one in embeddings]
    return Sent([_halved(one) for one in steps] if dtype == "float16" else steps)


def restored(values: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """float32 again, whatever they were sent in."""
    out = np.asarray(values, np.float32)
    return out if scale is None else out * np.asarray(scale, np.float32)[:, None]


def _bytes(x: np.ndarray) -> Sent:
    scale = np.abs(x).max(axis=1) / np.float32(127)
    q = np.rint(x / np.where(scale > 0, scale, 1)[:, None])
    return Sent(np.clip(q, -127, 127).astype(np.int8), scale.astype(np.float32))


def _halved(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        half = x.astype(np.float16)
    if np.isinf(half).any():
        raise Refused(
            "dtype",
            "expected embeddings within ±65504, beyond which float16 holds no number; ask for float32",
            "float32",
            "float16",
        )
    return half


MOST_SIZE = 1e37
"""Squared length of an embedding, float32: of two such the difference is finite too; the cosine also needs one that is not nothing."""


def comparable(embeddings: Any, metric: str) -> np.ndarray:
    """(n, feature) float32, such as have a distance. Refused where one is too large for it, or has no direction for the cosine."""
    made = np.ascontiguousarray(embeddings, np.float32)
    with np.errstate(over="ignore"):
        size = np.einsum("nf,nf->n", made, made)
    least = 1 / MOST_SIZE if metric == "cosine" else 0.0
    bad = np.flatnonzero(~((size >= least) & (size <= MOST_SIZE)))
    if len(bad):
        message = (
            f"expected numbers of the size that the model was trained on, the embedding of window {bad[0]} has a squared length of "
            f"{size[bad[0]]:.3g}, which does not compare: from {least:.3g} to {MOST_SIZE:.3g} do"
        )
        raise Refused("overflow", message)
    return made
