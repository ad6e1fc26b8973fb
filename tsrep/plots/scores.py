"""Scores: methods side by side with every seed as a point, so that a lead and its spread are seen together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import FAINT, INK, QUIET, canvas, colour, look, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def scores(
    values: Mapping[str, Sequence[float]],
    *,
    metric: str = "accuracy",
    chance: float | None = None,
    highlight: Sequence[str] = (),
    title: str = "Scores",
) -> Figure:
    """One line a method, best mean on top: a point for each seed, a tick at the mean, a bar of one sd either side.

    values: method -> one number a seed. chance draws a dashed line. Methods in `highlight` are in colour, the others,
    the baselines, in grey; without it all are in colour. The axis is not cut to flatter: it ends at 1 where all values
    are within [0, 1].
    """
    if not values or any(not len(v) or not np.isfinite(v).all() for v in values.values()):
        raise InputError("expected at least one method, each with one finite value or more")
    order = sorted(values, key=lambda name: float(np.mean(values[name])))
    everything = np.concatenate([np.asarray(v, float) for v in values.values()])
    with look():
        figure, axes = canvas(8, 1.3 + 0.42 * len(order))
        ax = axes[0, 0]
        for place, name in enumerate(order):
            one = np.asarray(values[name], float)
            tone = colour(0) if not highlight or name in highlight else QUIET
            mean = one.mean()
            if len(one) > 1:
                sd = one.std(ddof=1)
                ax.plot(
                    [mean - sd, mean + sd], [place, place], color=tone, linewidth=7, alpha=0.22, solid_capstyle="butt"
                )
            lift = np.linspace(-0.16, 0.16, len(one)) if len(one) > 1 else np.zeros(1)
            ax.scatter(one, place + lift, s=20, color=tone, alpha=0.8, linewidths=0, zorder=3)
            ax.plot([mean, mean], [place - 0.27, place + 0.27], color=tone, linewidth=2.2, zorder=4)
            text = f"{mean:.3f}" + (f" ± {one.std(ddof=1):.3f}" if len(one) > 1 else "")
            ax.annotate(text, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=INK)
        if chance is not None:
            ax.axvline(chance, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
            ax.annotate(
                "chance",
                (chance, 1),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                fontsize=8.5,
                color=QUIET,
            )
        ax.set_yticks(range(len(order)), [short(name, 30) for name in order])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_ylim(-0.6, len(order) - 0.4)
        ax.grid(axis="x", color=FAINT)
        low = min(everything.min(), chance if chance is not None else np.inf)
        if low >= 0 and everything.max() <= 1:
            ax.set_xlim(max(0.0, low - 0.12 * (1 - low) - 0.02), 1.005)
        ax.set_xlabel(metric)
        seeds = {len(v) for v in values.values()}
        said = (
            f"{min(seeds)} seed{'s' if min(seeds) > 1 else ''}"
            if len(seeds) == 1
            else f"{min(seeds)} to {max(seeds)} seeds"
        )
        ax.set_title(f"{title}  ({said})", pad=16 if chance is not None else 10)
    return figure
