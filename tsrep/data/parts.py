"""The three parts of one long series: to learn from, to choose on, to test on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tsrep.data import catalogue
from tsrep.data.layout import check_channels
from tsrep.data.panel import Panel
from tsrep.data.readers import as_panel
from tsrep.errors import InputError

SHARES = (0.6, 0.2, 0.2)
"""Training, validation and test part of data without parts of its own."""


@dataclass(frozen=True)
class Parts:
    """Parts that follow one another. cut: whether they were cut here, from one series."""

    name: str
    train: Panel
    validation: Panel
    test: Panel
    cut: bool = False


def in_three(data: Any, own: tuple[str, ...]) -> Parts:
    """The parts of a name, a data set with parts of its own, or anything `as_panel` takes, cut by `SHARES`.

    own: channels to be called by, where the data or they have no names.
    """
    name = ""
    if isinstance(data, str | Path):
        name = Path(data).stem
        data = catalogue.load(str(data)) if str(data) in catalogue.names() or not Path(data).suffix else as_panel(data)
    if hasattr(data, "train") and hasattr(data, "test"):
        name = str(getattr(data, "name", ""))
        if getattr(data, "validation", None) is None:
            raise InputError(
                f"expected data with a validation part to choose penalties on, '{name}' has none; give it as one long "
                "series to have it cut in three"
            )
        train, validation, test = (_called(_single(part), own) for part in (data.train, data.validation, data.test))
        return Parts(name, train, validation, test)
    whole = _called(_single(as_panel(data)), own)
    ends = np.cumsum([round(share * whole.length) for share in SHARES[:2]]).tolist()
    train, validation, test = (_cut(whole, *span) for span in ((0, ends[0]), (*ends,), (ends[1], whole.length)))
    return Parts(name, train, validation, test, cut=True)


def _called(panel: Panel, own: tuple[str, ...]) -> Panel:
    """The panel with the channel names of the model where either has none but channel_0, channel_1, …: those fit any."""
    bare = tuple(f"channel_{i}" for i in range(len(own)))
    fits = len(panel.channels) == len(own) and bare in (panel.channels, own)
    return replace(panel, channels=own) if fits else panel


def _single(panel: Panel) -> Panel:
    if len(panel) != 1:
        raise InputError(f"expected one long series to forecast, got {len(panel)}; forecast them one by one")
    return panel


def _cut(panel: Panel, begin: int, end: int) -> Panel:
    """Steps begin to end (exclusive) of one series."""
    stamps = None if panel.timestamps is None else panel.timestamps[:, begin:end]
    return replace(panel, values=panel.values[:, :, begin:end], start=panel.start + begin, timestamps=stamps,
                   label=None, step_label=None, classes=())  # fmt: skip


def joined(*parts: Panel) -> Panel:
    """One series of parts that follow one another. InputError where their clocks or channels say that they do not."""
    for part in parts[1:]:
        check_channels(part, parts[0].channels)
    clocks = [part.timestamps for part in parts if part.timestamps is not None]
    stamps = np.concatenate(clocks, axis=1) if len(clocks) == len(parts) else None
    if stamps is not None and not (np.diff(stamps[0]) > 0).all():
        raise InputError(
            "expected training, validation and test part to follow one another in time, the clock goes back between two steps"
        )
    return Panel(
        np.concatenate([part.values for part in parts], axis=2), parts[0].channels, parts[0].rate, timestamps=stamps
    )
