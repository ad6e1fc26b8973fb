"""Sweep: what one setting of a method does to a number, a line for each way of reading it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import FAINT, canvas, colour, look

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sweep(
    lines: Mapping[str, Mapping[float, Sequence[float]]], *, setting: str, metric: str, title: str = "Sweep"
) -> Figure:
    """name -> {value of the setting: one number for each seed or draw}: a line through the means, the numbers as points.

    setting, metric: what the axes show. Raises InputError where there is nothing to draw.
    """
    if not lines or not all(lines.values()) or not all(len(v) for points in lines.values() for v in points.values()):
        raise InputError("expected numbers for every value of every line, got none")
    with look():
        figure, axes = canvas(7, 4.2, 1, 1)
        ax = axes[0, 0]
        for place, (name, points) in enumerate(lines.items()):
            at = sorted(points)
            ax.plot(at, [np.mean(points[x]) for x in at], color=colour(place), label=name, marker="o", markersize=4)
            for x in at:
                if len(points[x]) > 1:
                    ax.scatter([x] * len(points[x]), points[x], s=9, color=colour(place), alpha=0.4, linewidths=0)
        ax.set_xlabel(setting)
        ax.set_ylabel(metric)
        ax.grid(axis="y", color=FAINT)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        ax.set_title(title)
    return figure
