"""Devices: which of them are alike, and which one each anchor chooses, so that a person can check it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import INK, QUIET, canvas, look, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def devices(
    names: Sequence[str],
    distances: np.ndarray,
    chosen: np.ndarray,
    *,
    title: str = "Which devices are alike",
) -> Figure:
    """Two tables, an anchor in each row and the other devices in the columns: mean distance, and how often chosen as the positive.

    names:     the k devices. distances: (batch, k, k), the maximum mean discrepancy in each batch; infinite or NaN where two share
               no moment.
    chosen:    (batch, k, k) bool or mass, more than zero where the column attracts the anchor of the row.
    Raises InputError where the shapes do not fit.
    """
    distances, chosen = np.asarray(distances, float), np.asarray(chosen, float) > 0
    k = len(names)
    if distances.ndim != 3 or distances.shape[1:] != (k, k) or chosen.shape != distances.shape or not len(distances):
        raise InputError(
            f"expected distances and choices of shape (batch, {k}, {k}), got {distances.shape} and {chosen.shape}"
        )
    known = np.isfinite(distances)
    mean = np.where(known, distances, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    mean = np.where(known.any(0) & ~np.eye(k, dtype=bool), mean, np.nan)
    often = np.where(np.eye(k, dtype=bool), np.nan, chosen.mean(0))
    side = float(np.clip(1.8 + 0.55 * k, 3.6, 8.0))
    with look():
        figure, axes = canvas(2 * side + 1.4, side, 1, 2)
        for ax, values, colours, form, said in (
            (axes[0, 0], mean, "Blues_r", "{:.2f}", "mean distance (MMD)"),
            (axes[0, 1], often, "Blues", "{:.0%}", f"share of {len(chosen)} batches in which it is the positive"),
        ):
            _table(ax, values, names, colours, form)
            ax.set_title(said, fontsize=10, fontweight="normal")
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _table(ax: Axes, values: np.ndarray, names: Sequence[str], colours: str, form: str) -> None:
    """A coloured table with its numbers; the closest or most chosen of each row is printed bold."""
    k = len(names)
    low, high = (0.0, 1.0) if form.endswith("%}") else (np.nanmin(values), np.nanmax(values))
    ax.imshow(values, cmap=colours, vmin=low, vmax=max(high, low + 1e-9))
    said = [short(name, 18) for name in names]
    ax.set_xticks(range(k), said, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(k), said)
    ax.tick_params(length=0, pad=6)
    for edge in ax.spines.values():
        edge.set_visible(False)
    ax.set_ylabel("anchor")
    share = (values - low) / max(high - low, 1e-9)
    dark = share < 0.45 if colours.endswith("_r") else share > 0.55
    best = np.nanmin(values, axis=1) if colours.endswith("_r") else np.nanmax(values, axis=1)
    for i, j in np.ndindex(k, k):
        if np.isfinite(values[i, j]):
            weight = "bold" if values[i, j] == best[i] else "normal"
            ink = "white" if dark[i, j] else INK
            ax.text(j, i, form.format(values[i, j]), ha="center", va="center", color=ink, fontsize=9, fontweight=weight)
        else:
            ax.text(j, i, "·", ha="center", va="center", color=QUIET)
