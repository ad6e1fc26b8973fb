"""Benchmark: every method on every data set, a point for each seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from tsrep.errors import InputError
from tsrep.plots.style import FAINT, QUIET, canvas, colour, look, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def benchmark(table: pd.DataFrame, *, title: str = "Benchmark") -> Figure:
    """A panel for each setting (row) and data set (column), in it a line for each method and features: seeds as points, a tick at
    their mean. Grey: what is the same whatever was learned (methods without an encoder) and the random encoder.

    table: tidy rows of one metric. The axes of a column differ, for so do the settings' units.
    """
    if table.empty or table["metric"].nunique() != 1:
        raise InputError(f"expected rows of one metric, got {table['metric'].nunique()}")
    settings, datasets = table["setting"].unique(), table["dataset"].unique()
    lines: dict[str, list[tuple[str, str]]] = {}
    for setting, method, features in zip(table["setting"], table["method"], table["features"], strict=True):
        lines.setdefault(setting, [])
        if (method, features) not in lines[setting]:
            lines[setting].append((method, features))
    with look():
        heights = [0.5 + 0.24 * len(lines[name]) for name in settings]
        figure, axes = canvas(
            3.2 + 2.4 * len(datasets), 0.8 + sum(heights), len(settings), len(datasets),
            sharey="row", gridspec_kw={"height_ratios": heights},
        )  # fmt: skip
        for row, setting in enumerate(settings):
            names = lines[setting][::-1]
            said = [short(name if features == "none" else f"{name} ({features})", 34) for name, features in names]
            for column, dataset in enumerate(datasets):
                ax = axes[row, column]
                if not ((table["setting"] == setting) & (table["dataset"] == dataset)).any():
                    ax.set_xticks([])  # was not run
                for place, (method, read) in enumerate(names):
                    of = (table["setting"] == setting) & (table["dataset"] == dataset)
                    values = table[of & (table["method"] == method) & (table["features"] == read)]["value"]
                    if values.empty:
                        continue
                    learned = method != "random encoder" and read not in ("none", "lags")
                    tone = colour(0) if learned else QUIET
                    ax.scatter(values, [place] * len(values), s=14, color=tone, alpha=0.7, linewidths=0, zorder=3)
                    ax.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=tone, linewidth=2, zorder=4)
                ax.set_yticks(range(len(names)), said)
                ax.set_ylim(-0.6, len(names) - 0.4)
                ax.tick_params(axis="y", length=0)
                ax.grid(color=FAINT)
                if row == 0:
                    ax.set_title(dataset)
                if column == 0:
                    ax.set_ylabel(setting)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure
