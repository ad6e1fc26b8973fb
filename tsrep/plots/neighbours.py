"""Neighbours: a window and the windows that lie nearest to it, to see for oneself what the embedding calls alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import INK, QUIET, canvas, channel_names, colour, look, quiet_ticks, short, time_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 6
"""Channels that are drawn."""


def neighbours(
    query: np.ndarray,
    found: np.ndarray,
    *,
    distance: Sequence[float] | None = None,
    labels: Sequence[object] | None = None,
    query_label: object = None,
    channels: Sequence[str] | None = None,
    rate: float | None = None,
    title: str = "Nearest windows",
) -> Figure:
    """The query in colour over each found window in turn, nearest on the left: one column a window, one row a channel.

    query (channel, time), found (k, channel, time), nearest first, NaN where nothing was observed; distance and labels
    (k,). A neighbour whose label differs from the query's is drawn, and named, in red-orange.
    """
    query, found = np.asarray(query, float), np.asarray(found, float)
    if query.ndim != 2 or found.ndim != 3 or found.shape[1] != len(query) or not len(found):
        raise InputError(
            f"expected query (channel, time) and found (k, channel, time), got {query.shape}, {found.shape}"
        )
    for name, given in (("distance", distance), ("labels", labels)):
        if given is not None and len(given) != len(found):
            raise InputError(f"expected one of {name} for each of the {len(found)} windows, got {len(given)}")
    count, k = min(len(query), MOST), len(found)
    with look():
        figure, axes = canvas(1.4 + 1.9 * k, 1.3 + 1.05 * count, count, k, sharex=True, sharey="row")
        for column in range(k):
            strange = labels is not None and query_label is not None and labels[column] != query_label
            tone = colour(1) if strange else "#9AA0A9"
            for row in range(count):
                ax = axes[row, column]
                step = time_axis(ax, found.shape[2], rate)
                ax.plot(step, found[column, row], color=tone, linewidth=2.4, label="neighbour")
                ax.plot(
                    np.arange(query.shape[1]) / (rate or 1.0), query[row], color=colour(0), linewidth=1.1, label="query"
                )
                ax.margins(x=0.02)
                quiet_ticks(ax, 3)
                if row < count - 1:
                    ax.set_xlabel("")
                    ax.tick_params(bottom=False)
                    ax.spines["bottom"].set_visible(False)
                if column:
                    ax.tick_params(left=False)
                    ax.spines["left"].set_visible(False)
            head = f"{column + 1}"
            if labels is not None:
                head += f"  {short(labels[column], 16)}"
            axes[0, column].set_title(head, color=colour(1) if strange else INK, fontsize=10)
            if distance is not None:
                axes[0, column].set_title(
                    f"d = {distance[column]:.3f}", loc="right", color=QUIET, fontweight="normal", fontsize=8.5
                )
        for row, name in enumerate(channel_names(channels, len(query))[:count]):
            axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center")
        said = title if query_label is None else f"{title} of a window of class {short(query_label)}"
        more = f" ({count} of {len(query)} channels)" if len(query) > count else ""
        figure.suptitle(said + more, x=0.01, ha="left", fontsize=11, fontweight="bold")
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower right", ncols=2)
    return figure
