"""Panel: what every reader returns, a set of series of one stream with all that is known about them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from tsrep.errors import InputError


@dataclass(frozen=True)
class Panel:
    """A set of series (or windows of them) of one stream.

    values:     (n, channel, time) float32. NaN where nothing was observed; shorter series end in NaN.
    channels:   names of the channels.
    rate:       samples per second, or None where it is unknown.
    label:      (n,) class of each series, or None.
    subject:    (n,) who or what was recorded, or None: a split by subject keeps each on one side.
    recording:  (n,) which recording a window was cut from, or None where every series is a recording of its own.
    start:      (n,) int64 step of the recording at which the window begins; zero for whole recordings.
    timestamps: (n, time) float64 seconds, NaN in padding, or None where the data has no clock.
    step_label: (n, time) int32 class of every step as an index into `classes`, -1 where a step has none; None where the
                data knows one class a series (or none). `windows` turns it into one label a window.
    classes:    names of the classes that `step_label` counts.
    """

    values: np.ndarray
    channels: tuple[str, ...] = ()
    rate: float | None = None
    label: np.ndarray | None = None
    subject: np.ndarray | None = None
    recording: np.ndarray | None = None
    start: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    timestamps: np.ndarray | None = None
    step_label: np.ndarray | None = None
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 3:
            raise InputError(f"expected values of shape (n, channel, time), got {self.values.shape}")
        n, channels, time = self.values.shape
        fill = object.__setattr__
        if not self.channels:
            fill(self, "channels", tuple(f"channel_{i}" for i in range(channels)))
        if len(self.channels) != channels:
            raise InputError(f"expected {channels} channel names, got {len(self.channels)}: {', '.join(self.channels)}")
        if len(self.start) == 0:
            fill(self, "start", np.zeros(n, np.int64))
        for name in ("label", "subject", "recording", "start"):
            given = getattr(self, name)
            if given is not None and len(given) != n:
                raise InputError(f"expected one {name} for each of the {n} series, got {len(given)}")
        for name in ("timestamps", "step_label"):
            given = getattr(self, name)
            if given is not None and given.shape != (n, time):
                raise InputError(f"expected {name} of shape {(n, time)}, got {given.shape}")

    def __len__(self) -> int:
        return int(self.values.shape[0])

    @property
    def length(self) -> int:
        """Steps of the longest series."""
        return int(self.values.shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return int(self.values.nbytes)

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64: steps of each series up to the last observed one, which counts; 0 where nothing was observed."""
        return last_observed(self.values)

    def rows(self, index: Any) -> Panel:
        """The series at these positions (an index array, a mask or a slice)."""
        kept: dict[str, Any] = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("channels", "rate", "classes")
        }
        picked: dict[str, Any] = {k: None if v is None else v[index] for k, v in kept.items()}
        return replace(self, **picked)


def last_observed(values: np.ndarray) -> np.ndarray:
    """(n, channel, time) with NaN for missing -> (n,) int64: one past the last observed step, 0 where there is none."""
    seen = np.zeros((values.shape[0], values.shape[2]), bool)
    for channel in range(values.shape[1]):  # channel by channel: no mask of the size of the data
        seen |= ~np.isnan(values[:, channel])
    last = values.shape[2] - seen[:, ::-1].argmax(axis=1)
    return np.where(seen.any(axis=1), last, 0).astype(np.int64)


def join(*panels: Panel) -> Panel:
    """One panel of the series of several, in this order; shorter ones are padded with NaN.

    They must have the same channels and rate. What one of them does not know (a label, a clock) the result does not
    know either.
    """
    first = panels[0]
    for other in panels[1:]:
        if (other.channels, other.rate, other.classes) != (first.channels, first.rate, first.classes):
            raise InputError(
                f"expected panels of the same channels, rate and classes, got {first.channels}, {first.rate} "
                f"and {other.channels}, {other.rate}"
            )
    time = max(p.length for p in panels)
    fills = {"values": np.nan, "timestamps": np.nan, "step_label": -1}
    parts: dict[str, Any] = {}
    for f in fields(Panel):
        if f.name in ("channels", "rate", "classes"):
            continue
        given = [getattr(p, f.name) for p in panels]
        if any(g is None for g in given):
            parts[f.name] = None
        elif f.name in fills:
            parts[f.name] = np.concatenate([_widen(g, time, fills[f.name]) for g in given])
        else:
            parts[f.name] = np.concatenate(given)
    return replace(first, **parts)


def _widen(array: np.ndarray, time: int, fill: float) -> np.ndarray:
    more = [(0, 0)] * (array.ndim - 1) + [(0, time - array.shape[-1])]
    return np.pad(array, more, constant_values=array.dtype.type(fill))
