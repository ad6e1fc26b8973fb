"""Bad pairs: what the positive pairs lost on average, where the thresholds lie, and the worst pairs as one can see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import QUIET, canvas, channel_names, colour, look, quiet_ticks, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CHANNELS = 3


def bad_pairs(
    losses: Mapping[str, tuple[np.ndarray, float, float]],
    names: Sequence[str],
    views: Mapping[str, np.ndarray],
    start: Mapping[str, np.ndarray],
    *,
    channels: Sequence[str] | None = None,
    rate: float | None = None,
    title: str = "What the positive pairs lost",
) -> Figure:
    """Above a histogram for each term, with both thresholds; below, a line for each pair: its series and its two views.

    losses: term -> mean losses (n,) with NaN for unseen pairs, threshold of noisy pairs, threshold of faulty ones; thresholds that are
            NaN are not drawn, for nothing was judged by them.
    names:  what each of the k pairs is called, in one or two lines; none: the histograms alone.
    views:  "series" and two views -> (k, channel, time), NaN where nothing is observed.
    start:  name -> (k,) step of the window at which the view begins; the views are drawn where they lie.
    """
    count = len(names)
    for name, values in views.items():
        if values.ndim != 3 or len(values) != count:
            raise InputError(f"expected views of shape ({count}, channel, time), '{name}' has {values.shape}")
    if count and len(views) != 3:
        raise InputError(f"expected a series and two views, got {', '.join(views)}")
    step = 1.0 if rate is None else 1.0 / rate
    width = next(iter(views.values())).shape[1] if count else 0
    drawn = min(width, MOST_CHANNELS)
    title += f" ({drawn} of {width} channels)" if drawn < width else ""
    with look():
        figure, _ = canvas(9, 2.2 * len(losses) + 1.1 * count, 1, 1)
        figure.clear()
        grid = figure.add_gridspec(len(losses) + count, 3, height_ratios=[2] * len(losses) + [1] * count)
        for line, (term, (mean, low, high)) in enumerate(losses.items()):
            axes = figure.add_subplot(grid[line, :])
            seen = mean[np.isfinite(mean)]
            axes.hist(seen, bins=min(60, max(10, len(seen) // 8)), color=QUIET)
            judged = np.isfinite([low, high]).all()
            for place, (threshold, kind) in enumerate(((low, "noisy"), (high, "faulty")) if judged else ()):
                axes.axvline(
                    threshold, color=colour(place), label=f"{kind} {'below' if place == 0 else 'above'} {threshold:.3g}"
                )
            axes.set_xlabel(f"mean loss of a pair, {term}" + ("" if judged else " (nothing was mined yet)"))
            axes.set_ylabel("pairs")
            if judged:
                axes.legend()
            if line == 0:
                axes.set_title(title)
        for pair in range(count):
            shared = None
            for column, (name, values) in enumerate(views.items()):
                axes = figure.add_subplot(grid[len(losses) + pair, column], sharex=shared, sharey=shared)
                shared = axes
                moment = (start[name][pair] + np.arange(values.shape[2])) * step
                for channel, called in enumerate(channel_names(channels, values.shape[1])[:drawn]):
                    axes.plot(moment, values[pair, channel], color=colour(channel), linewidth=1.1, label=called)
                quiet_ticks(axes, 3)
                called = "\n".join(short(line, 60) for line in names[pair].splitlines()) if column == 0 else name
                axes.set_title(called, fontsize=9, fontweight="normal", pad=3)
                if pair == count - 1:
                    axes.set_xlabel("step" if rate is None else "time (s)")
    return figure
