"""Confusion matrix: which classes are taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import INK, canvas, look, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion(truth: np.ndarray, predicted: np.ndarray, *, title: str = "Confusion matrix") -> Figure:
    """Rows are the true classes, columns the predicted; the colour is the share of the row, the number the count.

    truth, predicted (n,). The order is that of the sorted labels.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 1 or not len(truth):
        raise InputError(
            f"expected as many predictions as labels, at least one, got {truth.shape} and {predicted.shape}"
        )
    classes, counts = matrix(truth, predicted)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    k = len(classes)
    side = float(np.clip(1.9 + 0.52 * k, 3.8, 8.5))
    with look():
        figure, axes = canvas(side + 1.2, side)
        ax = axes[0, 0]
        image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
        names = [short(name, 18) for name in classes]
        slant = max(map(len, names)) > 4 and k > 3
        ax.set_xticks(
            range(k), names, rotation=40 if slant else 0, ha="right" if slant else "center", rotation_mode="anchor"
        )
        ax.set_yticks(range(k), names)
        ax.tick_params(length=0, pad=6)
        for edge in ax.spines.values():
            edge.set_visible(False)
        ax.set_xticks(np.arange(k + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(k + 1) - 0.5, minor=True)
        ax.grid(which="minor", color="white", linewidth=2 if k <= 15 else 0.5)
        ax.tick_params(which="minor", length=0)
        if k <= 25:
            for i, j in zip(*np.nonzero(counts), strict=True):
                ink = "white" if share[i, j] > 0.55 else INK
                ax.text(j, i, str(counts[i, j]), ha="center", va="center", color=ink, fontsize=9.5 if k <= 12 else 6.5)
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        said = f"accuracy {np.trace(counts) / counts.sum():.3f}, n = {len(truth)}"
        ax.annotate(
            said, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", fontsize=9, color="#6B7078"
        )
        ax.set_title(title, pad=22)
        bar = figure.colorbar(image, ax=ax, shrink=0.6, aspect=18, label="share of the true class")
        bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def matrix(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """classes (k,) that occur on either side, counts (k, k): true class in rows, predicted in columns."""
    classes, code = np.unique(np.concatenate([truth, predicted]), return_inverse=True)
    k = len(classes)
    left, right = code[: len(truth)], code[len(truth) :]
    return classes, np.bincount(left * k + right, minlength=k * k).reshape(k, k)
