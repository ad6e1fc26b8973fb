"""Embeddings of several streams: each by its own scaling and encoder, and one for each row of whatever streams there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tsrep.data.layout import some
from tsrep.data.scaling import Scaler
from tsrep.errors import InputError

Fuse = Literal["mean", "concat"]


@dataclass(frozen=True)
class Stream:
    """What a model knows of one of its streams.

    channels, rate, length: as in `Described`. scaler: fitted on the training part. check: (k, channel, time) a few unscaled training
    windows, the same rows of all streams, NaN where one was absent.
    """

    channels: tuple[str, ...]
    rate: float | None
    length: int
    scaler: Scaler
    check: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the windows."""
        return {
            "channels": list(self.channels),
            "rate": self.rate,
            "length": self.length,
            "scaler": self.scaler.to_dict(),
        }

    @staticmethod
    def from_dict(given: Mapping[str, Any], check: np.ndarray) -> Stream:
        """KeyError or TypeError where it is damaged."""
        rate = None if given["rate"] is None else float(given["rate"])
        return Stream(tuple(given["channels"]), rate, int(given["length"]), Scaler.from_dict(given["scaler"]), check)


def fused(embedded: Mapping[str, np.ndarray], widths: Mapping[str, int], fuse: Fuse) -> np.ndarray:
    """One embedding for each row, (n, feature), of those of its streams; NaN rows are absent.

    mean:   over the streams that a row has; they must be of one width. concat: side by side in the order of the model's streams,
            (n, Σ widths), zeros for what is absent.
    InputError for a row without any stream.
    """
    here = {name: ~np.isnan(part).any(axis=1) for name, part in embedded.items()}
    nothing = np.flatnonzero(~np.any(list(here.values()), axis=0))
    if len(nothing):
        raise InputError(
            f"{len(nothing)} rows have none of the streams {', '.join(embedded)} (rows {some(nothing)}): leave them out"
        )
    if fuse == "concat":
        n = len(next(iter(embedded.values())))
        parts = [
            np.nan_to_num(embedded[s]) if s in embedded else np.zeros((n, w), np.float32) for s, w in widths.items()
        ]
        return np.concatenate(parts, axis=1)
    if len({part.shape[1] for part in embedded.values()}) > 1:
        raise InputError(f"expected embeddings of one width to average, got {dict(widths)}: use fuse='concat'")
    total = np.sum([np.nan_to_num(part) for part in embedded.values()], axis=0)
    count = np.sum(list(here.values()), axis=0)
    return np.asarray(total / count[:, None], np.float32)
