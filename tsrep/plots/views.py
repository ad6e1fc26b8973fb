"""Views: a series and what augmentation makes of it, so that one sees what the encoder is asked to ignore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import canvas, channel_names, colour, look, quiet_ticks, time_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 6
"""Channels that are drawn; the title says how many there are."""


def views(
    series: np.ndarray,
    made: Mapping[str, np.ndarray],
    *,
    start: Mapping[str, int] | None = None,
    channels: Sequence[str] | None = None,
    rate: float | None = None,
    title: str = "A series and its views",
) -> Figure:
    """One row a channel: the series in grey, its views in colour on the same axis, the later ones thinner and on top.

    series (channel, time), NaN where nothing was observed; made: view name -> (channel, time), a crop may be shorter
    and begins at step start[name]. Steps that a view masked (NaN) are gaps in its line.
    """
    series = np.asarray(series, float)
    if series.ndim != 2:
        raise InputError(f"expected a series of shape (channel, time), got {series.shape}")
    for name, view in made.items():
        if np.ndim(view) != 2 or len(view) != len(series):
            raise InputError(f"expected view '{name}' of shape ({len(series)}, time), got {np.shape(view)}")
    count = min(len(series), MOST)
    with look():
        figure, axes = canvas(8, 1.0 + 1.15 * count, count, sharex=True)
        for row, name in enumerate(channel_names(channels, len(series))[:count]):
            ax = axes[row, 0]
            step = time_axis(ax, series.shape[1], rate)
            ax.plot(step, series[row], color="#C9CCD2", linewidth=5, label="series", zorder=1)
            for place, (view_name, view) in enumerate(made.items()):
                begin = (start or {}).get(view_name, 0)
                own = (begin + np.arange(np.shape(view)[1])) / (rate or 1.0)
                ax.plot(
                    own,
                    view[row],
                    color=colour(place),
                    linewidth=max(1.1, 2.8 - 1.6 * place),
                    label=view_name,
                    zorder=2 + place,
                )
            ax.set_ylabel(name, rotation=0, ha="right", va="center")
            ax.margins(x=0.01)
            quiet_ticks(ax, 3)
            if row < count - 1:
                ax.set_xlabel("")
                ax.tick_params(bottom=False)
                ax.spines["bottom"].set_visible(False)
        more = f" ({count} of {len(series)} channels)" if len(series) > count else ""
        axes[0, 0].set_title(title + more)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=min(4, 1 + len(made)))
    return figure
