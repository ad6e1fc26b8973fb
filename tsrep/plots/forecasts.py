"""Forecasts: a few windows with what was, what came and what each method said; and how errors grow with the horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import COLOURS, FAINT, INK, MARKERS, QUIET, canvas, colour, look, marker, quiet_ticks, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 4
"""Windows that are drawn; the title says how many there are."""


def forecasts(
    past: np.ndarray,
    future: np.ndarray,
    told: Mapping[str, np.ndarray],
    *,
    highlight: Sequence[str] = (),
    title: str = "Forecasts",
) -> Figure:
    """One panel a window: the end of its past and what came in ink, the forecasts in colour; step 0 is the last known one.

    past (window, steps), of which at most as many are drawn as are forecast; future (window, horizon); told: method -> forecasts
    (window, horizon). Methods in `highlight` are in full lines, the others, the baselines, dotted; without it all are in full lines.
    """
    past, future = np.asarray(past, float), np.asarray(future, float)
    if past.ndim != 2 or future.ndim != 2 or len(past) != len(future) or not past.size or not future.size:
        raise InputError(f"expected a past and a future of as many windows, got shapes {past.shape} and {future.shape}")
    for name, said in told.items():
        if np.shape(said) != future.shape:
            raise InputError(f"expected forecasts of shape {future.shape} of '{name}', got {np.shape(said)}")
    count, horizon = min(len(past), MOST), future.shape[1]
    past = past[:, -horizon:]
    ahead = np.arange(1, horizon + 1)
    with look():
        figure, axes = canvas(9, 1.0 + 1.7 * count, count, sharex=True)
        for row in range(count):
            ax = axes[row, 0]
            # One line, so that there is no hole between the last known step and the first unknown one.
            known = np.concatenate([past[row], future[row]])
            ax.plot(
                np.arange(1 - past.shape[1], horizon + 1),
                known,
                color=INK,
                linewidth=1.1,
                label="past and what came",
                zorder=2,
            )
            for place, (name, said) in enumerate(told.items()):
                ours = not highlight or name in highlight
                style, width = ("-", 1.5) if ours else ((0, (1, 1.2)), 1.3)
                ax.plot(
                    ahead,
                    said[row],
                    color=colour(place),
                    linestyle=style,
                    linewidth=width,
                    label=short(name, 40),
                    zorder=3,
                )
            ax.axvline(0, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
            ax.grid(axis="y", color=FAINT)
            ax.margins(x=0.01)
            quiet_ticks(ax)
        more = f" ({count} of {len(past)} windows)" if len(past) > count else ""
        axes[0, 0].set_title(title + more)
        axes[-1, 0].set_xlabel("steps ahead")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def horizons(
    errors: Mapping[str, Mapping[int, Sequence[float]]],
    *,
    metric: str = "MSE",
    highlight: Sequence[str] = (),
    title: str = "Error by horizon",
) -> Figure:
    """One line a method, best mean below: the mean over seeds, with a bar from the best seed to the worst where there are several.

    errors: method -> horizon -> one number a seed. Horizons stand side by side at equal distances, for they about double from one to
    the next. Methods in `highlight` are in colour, the others, the baselines, in grey with a marker each; without it all are in colour.
    """
    if not errors or not all(
        one and all(len(v) and np.isfinite(v).all() for v in one.values()) for one in errors.values()
    ):
        raise InputError("expected at least one method, each with at least one horizon and one finite value there")
    every = sorted({horizon for one in errors.values() for horizon in one})
    means = {name: np.mean([np.mean(values) for values in one.values()]) for name, one in errors.items()}
    order = sorted(errors, key=lambda name: -means[name])  # as the lines lie: the worst on top
    coloured = [name for name in errors if not highlight or name in highlight]
    with look():
        figure, axes = canvas(9, 4.4)
        ax = axes[0, 0]
        for place, name in enumerate(order):
            at = [every.index(h) for h in sorted(errors[name])]
            values = [np.asarray(errors[name][h], float) for h in sorted(errors[name])]
            mean = np.array([one.mean() for one in values])
            ours = name in coloured
            tone = colour(coloured.index(name)) if ours else QUIET
            mark = "o" if ours else marker(len(COLOURS) * (1 + place % (len(MARKERS) - 1)))
            label = f"{means[name]:.3f}  {short(name, 40)}"
            ax.plot(at, mean, color=tone, marker=mark, markersize=5, label=label, zorder=3 if ours else 2)
            if max(map(len, values)) > 1:
                reach = [mean - [one.min() for one in values], [one.max() for one in values] - mean]
                ax.errorbar(at, mean, yerr=np.array(reach), color=tone, linestyle="none", capsize=3, zorder=2)
        ax.set_xticks(range(len(every)), [str(horizon) for horizon in every])
        ax.set_xlabel("horizon (steps ahead)")
        ax.set_ylabel(metric)
        ax.set_ylim(bottom=0)
        ax.grid(axis="y", color=FAINT)
        figure.legend(
            *ax.get_legend_handles_labels(),
            loc="outside right upper", title="mean over horizons", alignment="left", title_fontsize=9,
        )  # fmt: skip
        seeds = max(len(values) for one in errors.values() for values in one.values())
        ax.set_title(f"{title}  ({seeds} seed{'s' if seeds > 1 else ''})")
    return figure
