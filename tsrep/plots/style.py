"""Style: one look for all pictures. Quiet axes, sizes one can read, colours that the colour-blind can tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#8C6D31")
"""After Okabe and Ito, without black and yellow, which vanish on a dark or a white page; two more at the end."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK = "#222222"
QUIET = "#8A8F98"
FAINT = "#E4E6EA"

LOOK: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "figure.facecolor": "white",
}


@contextmanager
def look() -> Iterator[None]:
    """The look while a picture is made; the user's own settings are as before afterwards."""
    import matplotlib

    with matplotlib.rc_context(dict(LOOK)):  # type: ignore[arg-type]
        yield


def canvas(width: float, height: float, rows: int = 1, columns: int = 1, **kwargs: Any) -> tuple[Figure, np.ndarray]:
    """A figure of this size in inches, and its axes as a (rows, columns) array."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def marker(place: int) -> str:
    """Beyond as many classes as there are colours, the shape tells them apart."""
    return MARKERS[place // len(COLOURS) % len(MARKERS)]


def short(text: object, most: int = 24) -> str:
    """A label that fits."""
    said = str(text)
    return said if len(said) <= most else said[: most - 1] + "…"


def time_axis(axes: Axes, length: int, rate: float | None) -> np.ndarray:
    """Label the time axis and give its values: seconds where the rate (samples per second) is known, else steps."""
    axes.set_xlabel("step" if rate is None else "time (s)")
    return np.arange(length) / (1.0 if rate is None else rate)


def quiet_ticks(axes: Axes, most: int = 4) -> None:
    """A few round numbers on the value axis."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(most))


def channel_names(channels: Sequence[str] | None, count: int) -> list[str]:
    return [short(name, 18) for name in channels] if channels else [f"channel {i}" for i in range(count)]
