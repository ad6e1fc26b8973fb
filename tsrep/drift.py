"""Whether embeddings still come from where those of the training came from: a sample that a model keeps, and a test of two samples.

The statistic is the unbiased estimate of the squared maximum mean discrepancy (Gretton et al., JMLR 2012, eq. 3),

    MMD² = 1/(m(m−1)) Σ_{i≠j} k(xᵢ, xⱼ) + 1/(n(n−1)) Σ_{i≠j} k(yᵢ, yⱼ) − 2/(mn) Σ_{ij} k(xᵢ, yⱼ),   k(u, v) = exp(−|u − v|² / 2σ²),

x the reference, y what came, σ the median distance within the reference. Its threshold is taken from random splits of both samples
together into parts of m and n: where y is drawn as x was, the test calls it drift once in a hundred, whatever the distribution
(a permutation test is exact). Windows that follow one another are no independent draws, and one person's are not those of all: the
test then sees what is different, which may be no more than that.

numpy alone, for those who serve an export without torch. `mining.device_selection` has a discrepancy too: biased, on signals with
gaps, in torch, and with the twelve widths of its paper, so the two share no more than a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tsrep import folders
from tsrep.errors import InputError

NAME = "reference.safetensors"

MOST = 512
"""Windows that a reference keeps."""
STEPS = 2**18
"""Time steps that are embedded for it, at most, but for `LEAST` windows."""
LEAST = 32
"""Windows that a reference holds where the training has as many, however long they are."""

SPLITS = 499
LEVEL = 0.01
"""Share of comparisons that call drift where there is none."""


@dataclass(frozen=True)
class Drift:
    """value: MMD² of both samples. threshold: what it exceeds once in a hundred without drift."""

    value: float
    threshold: float

    @property
    def drifted(self) -> bool:
        return self.value > self.threshold


@dataclass(frozen=True, eq=False)
class Reference:
    """Embeddings (n, feature) float32 of a sample of the training windows, by the encoder's own pooling.

    least: windows on either side without which nothing is said.
    """

    embeddings: np.ndarray
    least: ClassVar[int] = LEAST

    def __len__(self) -> int:
        return len(self.embeddings)

    def compare(self, recent: np.ndarray, *, splits: int = SPLITS, seed: int = 0) -> Drift:
        """recent: (n, feature). InputError with fewer than `LEAST` windows on a side, or of another width.

        splits: random ones that the threshold is taken from. seed: of their draw.
        """
        x, y = self.embeddings.astype(np.float64), np.asarray(recent, np.float64)
        if y.ndim != 2 or y.shape[1] != x.shape[1]:
            raise InputError(f"expected embeddings (n, {x.shape[1]}) to compare, got shape {y.shape}")
        if min(len(x), len(y)) < self.least:
            raise InputError(f"expected at least {self.least} windows on each side, got {len(x)} and {len(y)}")
        # Centred, so that the difference of squares keeps its digits.
        both = np.concatenate([x, y]) - x.mean(axis=0)
        kernel = np.exp(squares(both) / (-2 * self.width**2)).astype(np.float32)
        np.fill_diagonal(kernel, 0.0)
        m, n = len(x), len(y)
        ours = np.zeros((splits + 1, m + n), np.float32)
        ours[0, :m] = 1
        rng = np.random.default_rng(seed)
        ours[1:] = rng.permuted(np.broadcast_to(ours[0], (splits, m + n)), axis=1)
        sums = kernel.sum(axis=1, dtype=np.float64)
        within = np.einsum("sk,sk->s", ours @ kernel, ours, dtype=np.float64)  # Σ over pairs of the first part
        across = ours @ sums - within
        rest = sums.sum() - within - 2 * across
        found = within / (m * (m - 1)) + rest / (n * (n - 1)) - 2 * across / (m * n)
        # Of splits + 1 equally likely values, the first is among the LEVEL largest in a share of LEVEL: then it exceeds this one.
        rank = max(1, round(LEVEL * (splits + 1)))
        return Drift(float(found[0]), float(np.sort(found[1:])[-rank]))

    @cached_property
    def width(self) -> float:
        """σ: the median distance between two windows of the reference, 1 where all are the same."""
        x = self.embeddings.astype(np.float64)
        apart = np.sqrt(squares(x - x.mean(axis=0))[np.triu_indices(len(x), 1)])
        return float(np.median(apart)) or 1.0

    def save(self, path: Path) -> None:
        import torch

        from tsrep import checkpoint

        checkpoint.save(path, {"embeddings": torch.from_numpy(self.embeddings)}, {"kind": "reference"})


def squares(x: np.ndarray) -> np.ndarray:
    """(n, feature) -> (n, n): |xᵢ − xⱼ|²."""
    size = np.square(x).sum(axis=1)
    return np.asarray(np.maximum(size[:, None] + size - 2 * x @ x.T, 0))


def sample(windows: np.ndarray) -> np.ndarray:
    """Windows (n, channel, time) of the training -> those of the reference, spread over all of them."""
    most = min(MOST, max(LEAST, STEPS // windows.shape[2]))
    rows = np.unique(np.linspace(0, len(windows) - 1, min(most, len(windows))).round().astype(int))
    return np.ascontiguousarray(windows[rows])


def beside(folder: Path, held: Mapping[str, Any], features: int) -> Reference | None:
    """The reference of the model in this folder, None where it has none; `held` is its data.json.

    InputError where the file is not the one that was saved, or of embeddings of another width.
    """
    path = folder / NAME
    if not folders.saved_with(folder, NAME, held.get("reference"), "reference"):
        return None
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = np.asarray(load_file(path)["embeddings"], np.float32)
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise InputError(f"expected a reference in {path}, it is damaged: {error}") from error
    if found.ndim != 2 or found.shape[1] != features or not np.isfinite(found).all():
        raise InputError(f"expected finite embeddings (n, {features}) in {path}, got shape {found.shape}")
    return Reference(found)
