"""Ranks: the critical-difference picture. Methods on an axis of average ranks, a bar under those that luck may have ordered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import INK, QUIET, canvas, colour, look, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def critical_difference(
    ranks: Mapping[str, float],
    cliques: Sequence[Sequence[str]] = (),
    *,
    highlight: Sequence[str] = (),
    title: str = "Average rank",
) -> Figure:
    """Best on the left (Demšar 2006, JMLR 7). ranks: method -> average rank, 1 is best. cliques: methods joined by a bar.

    The better half is named on the left, the others on the right, the outermost nearest to the axis. Methods in `highlight` are in
    colour.
    """
    if len(ranks) < 2 or not np.isfinite(list(ranks.values())).all():
        raise InputError("expected two methods or more, each with a finite average rank")
    strange = {name for clique in cliques for name in clique} - set(ranks)
    if strange:
        raise InputError(f"expected cliques of methods with a rank, got {', '.join(sorted(strange))}")
    order = sorted(ranks, key=lambda name: ranks[name])
    half = (len(order) + 1) // 2
    below = 0.35 * (len(cliques) + 1)
    with look():
        figure, axes = canvas(8.5, 1.1 + 0.27 * half + 0.22 * len(cliques))
        ax = axes[0, 0]
        low, high = int(np.floor(ranks[order[0]])), int(np.ceil(ranks[order[-1]]))
        high += low == high
        room = 0.06 * (high - low)
        ax.plot([low, high], [0, 0], color=QUIET, linewidth=1)
        for tick in range(low, high + 1):
            ax.plot([tick, tick], [0, 0.18], color=QUIET, linewidth=1)
            ax.annotate(str(tick), (tick, 0.24), ha="center", va="bottom", fontsize=9)
        for place, name in enumerate(order):
            left = place < half
            depth = below + 0.5 * (place if left else len(order) - 1 - place)
            edge = low - room if left else high + room
            tone = colour(0) if name in highlight else INK
            ax.plot([ranks[name], ranks[name], edge], [0, -depth, -depth], color=tone, linewidth=0.9)
            said = f"{short(name, 44)}  {ranks[name]:.2f}" if left else f"{ranks[name]:.2f}  {short(name, 44)}"
            shift = -room / 3 if left else room / 3
            ax.annotate(
                said, (edge + shift, -depth), ha="right" if left else "left", va="center", fontsize=9, color=tone
            )
        for row, clique in enumerate(cliques):
            held = [ranks[name] for name in clique]
            ax.plot([min(held), max(held)], [-0.35 * (row + 0.75)] * 2, color=INK, linewidth=3.5, solid_capstyle="butt")
        ax.set_xlim(low - 0.8 * (high - low), high + 0.8 * (high - low))
        ax.axis("off")
        ax.set_title(title)
    return figure
