"""Masks: what a learned view keeps of a series, so that one sees what it takes for relevant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import FAINT, QUIET, canvas, channel_names, colour, look, quiet_ticks, time_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WINDOWS = 4
MOST_CHANNELS = 3
"""That are drawn; the title says how many there are."""


def masks(
    series: np.ndarray,
    mask: np.ndarray,
    view: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    channels: Sequence[str] | None = None,
    rate: float | None = None,
    title: str = "What the learned view keeps",
) -> Figure:
    """Two strips a window: above its channels, pale as they are and strong as the view has them; below the mask from 0 to 1.

    series, view: (window, channel, time), NaN where nothing was observed. mask: (window, 1 or channel, time) in [0, 1].
    names: what each window is called, for instance its label.
    """
    series, mask, view = (np.asarray(values, float) for values in (series, mask, view))
    if series.ndim != 3 or not len(series):
        raise InputError(f"expected series of shape (window, channel, time), got {series.shape}")
    if view.shape != series.shape:
        raise InputError(f"expected a view of shape {series.shape}, got {view.shape}")
    windows, width, length = series.shape
    if mask.shape not in ((windows, 1, length), series.shape):
        raise InputError(f"expected a mask of shape ({windows}, 1 or {width}, {length}), got {mask.shape}")
    if names is not None and len(names) != windows:
        raise InputError(f"expected a name for each of the {windows} windows, got {len(names)}")
    count, drawn = min(windows, MOST_WINDOWS), min(width, MOST_CHANNELS)
    with look():
        figure, axes = canvas(
            8, 1.0 + 1.9 * count, 2 * count, sharex=True, gridspec_kw={"height_ratios": [3, 1] * count}
        )
        for window in range(count):
            above, below = axes[2 * window, 0], axes[2 * window + 1, 0]
            step = time_axis(below, length, rate)
            for channel, name in enumerate(channel_names(channels, width)[:drawn]):
                tone = colour(channel)
                above.plot(step, series[window, channel], color=tone, alpha=0.25, linewidth=4, label=f"{name}: series")
                above.plot(step, view[window, channel], color=tone, linewidth=1.3, label="view")
            below.axhline(1, color=FAINT, linewidth=0.8)
            for channel, line in enumerate(mask[window, :drawn]):
                tone = QUIET if len(mask[window]) == 1 else colour(channel)
                below.fill_between(step, line, step="mid", color=tone, alpha=0.3, linewidth=0)
                below.plot(step, line, color=tone, linewidth=1, drawstyle="steps-mid")
            below.set_ylim(0, 1.1)
            below.set_yticks([0, 1])
            below.set_ylabel("mask", rotation=0, ha="right", va="center")
            if names is not None:
                above.set_ylabel(str(names[window]), rotation=0, ha="right", va="center")
            quiet_ticks(above, 3)
            for ax in (above, below) if window < count - 1 else (above,):
                ax.set_xlabel("")
                ax.tick_params(bottom=False)
                ax.spines["bottom"].set_visible(False)
            above.margins(x=0.01)
        said = [
            f"{shown} of {there} {what}"
            for shown, there, what in ((count, windows, "windows"), (drawn, width, "channels"))
            if shown < there
        ]
        axes[0, 0].set_title(title + (f" ({', '.join(said)})" if said else ""))
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=drawn)
    return figure
