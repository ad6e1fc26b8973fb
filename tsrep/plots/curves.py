"""Curves: loss and collapse meter over the steps of a run, to see whether it learned and whether it still does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import FAINT, canvas, colour, look, quiet_ticks, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEALTH = {
    "alignment": "0: views are equal",
    "uniformity": "0: one point",
    "rank": "directions in use",
}
"""What the numbers of the collapse meter mean, said beside their axes."""


def curves(
    history: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str = "Training", smooth: int = 0
) -> Figure:
    """One panel for each quantity: name -> (steps, values), both (k,).

    Names that begin with "loss" share the first panel ("loss", "loss/validation"); others have their own. With
    `smooth` > 1, a curve of at least three times as many values is drawn faintly under its running median. Values that
    are not finite are gaps.
    """
    if not history:
        raise InputError("expected at least one curve, got none")
    for name, (at, read) in history.items():
        if len(at) != len(read) or not len(at):
            raise InputError(f"expected as many steps as values in '{name}', at least one, got {len(at)}, {len(read)}")
    losses = [name for name in history if name.startswith("loss")]
    panels = ([losses] if losses else []) + [[name] for name in history if name not in losses]
    with look():
        heights = [2.0 if names == losses else 1.0 for names in panels]
        figure, axes = canvas(8, 0.9 + 1.25 * sum(heights), len(panels), sharex=True, height_ratios=heights)
        for row, names in enumerate(panels):
            ax = axes[row, 0]
            for place, name in enumerate(names):
                steps, values = np.asarray(history[name][0], float), np.asarray(history[name][1], float)
                values = np.where(np.isfinite(values), values, np.nan)
                tone = colour(place if names == losses else 2)
                label = name.partition("/")[2] or "training"
                dots = "o" if len(steps) < 3 else None
                if smooth > 1 and 3 * smooth <= len(values):
                    ax.plot(steps, values, color=tone, alpha=0.25, linewidth=0.8)
                    ax.plot(steps, _running_median(values, smooth), color=tone, label=label)
                else:
                    ax.plot(steps, values, color=tone, label=label, marker=dots)
            ax.set_ylabel("loss" if names == losses else short(names[0], 20).replace("/", "\n"))
            ax.grid(axis="y", color=FAINT)
            ax.margins(x=0.01)
            quiet_ticks(ax, 5 if names == losses else 3)
            if len(names) > 1:
                ax.legend(loc="upper right", ncols=len(names))
            said = next((text for key, text in HEALTH.items() if key in names[0]), None)
            if said and names != losses:
                ax.set_title(said, fontsize=8.5, fontweight="normal", color="#6B7078", loc="right", pad=3)
        axes[0, 0].set_title(title)
        axes[-1, 0].set_xlabel("step")
        figure.align_ylabels()
    return figure


def _running_median(values: np.ndarray, width: int) -> np.ndarray:
    """Of `width` values around each, fewer at the ends: (k,) -> (k,)."""
    padded = np.pad(values, (width // 2, (width - 1) // 2), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    out = np.full(len(values), np.nan)
    some = ~np.isnan(windows).all(axis=1)
    out[some] = np.nanmedian(windows[some], axis=1)
    return out
