"""Origin: where in the data each series that is learned from was cut, so that what is said of a row can be looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tsrep.data.columns import CALENDAR
from tsrep.data.panel import Panel

if TYPE_CHECKING:
    import pandas as pd

NAMED = ("recording", "subject", "channel")


@dataclass(frozen=True)
class Origin:
    """Of n series that a method learns from.

    recording: (n,) str: its name where the data says one, else its number in the data, from zero.
    start:     (n,) int64 step of the recording at which the window begins.
    rate:      samples per second, or None where it is unknown.
    subject:   (n,) str, or None where none is known.
    channel:   (n,) str, or None where a series holds all channels: `data.independent` makes one of each.
    """

    recording: np.ndarray
    start: np.ndarray
    rate: float | None = None
    subject: np.ndarray | None = None
    channel: np.ndarray | None = None

    @staticmethod
    def of(panel: Panel, independent: bool) -> Origin:
        """Of the windows of a panel, or of their channels one after another."""
        panel = numbered(panel)
        own = [name for name in panel.channels if name not in CALENDAR]
        times = len(own) if independent else 1
        names = {name: getattr(panel, name, None) for name in ("recording", "subject")}
        said = {name: None if held is None else np.repeat(_text(held), times) for name, held in names.items()}
        return Origin(
            recording=said["recording"],  # type: ignore[arg-type]
            start=np.repeat(np.asarray(panel.start, np.int64), times),
            rate=panel.rate,
            subject=said["subject"],
            channel=np.tile(_text(np.array(own)), len(panel)) if independent else None,
        )

    def __len__(self) -> int:
        return len(self.recording)

    def table(self) -> pd.DataFrame:
        """recording, subject, channel, start (step) and seconds of all n: those that are known."""
        import pandas as pd

        held = {"recording": self.recording, "subject": self.subject, "channel": self.channel, "start": self.start}
        held["seconds"] = None if self.rate is None else self.start / self.rate
        return pd.DataFrame({name: values for name, values in held.items() if values is not None})

    def called(self, row: int) -> str:
        """One of them in words."""
        words = [f"recording {self.recording[row]}", f"step {self.start[row]}"]
        words[1] += "" if self.rate is None else f" ({self.start[row] / self.rate:.4g} s)"
        named = {"subject": self.subject, "channel": self.channel}
        return ", ".join(words + [f"{name} {of[row]}" for name, of in named.items() if of is not None])

    def stored(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and numbers to save: each name once."""
        tensors = {"start": torch.from_numpy(self.start)}
        numbers: dict[str, Any] = {"rate": self.rate, "names": {}}
        for name in NAMED:
            if (held := getattr(self, name)) is not None:
                known, place = np.unique(held, return_inverse=True)
                numbers["names"][name] = known.tolist()
                tensors[name] = torch.from_numpy(place.reshape(-1))
        return tensors, numbers

    @staticmethod
    def restored(tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> Origin:
        """KeyError, IndexError, TypeError or ValueError where it is no origin."""
        names = {name: np.array(known, str)[tensors[name].numpy()] for name, known in numbers["names"].items()}
        made = Origin(start=tensors["start"].numpy(), rate=numbers["rate"], **names)
        if any(len(held) != len(made.start) for held in names.values()):
            raise ValueError("names and starts are not of one number")
        return made


def numbered(panel: Panel) -> Panel:
    """The panel with its series numbered as recordings, where it names none: their numbers survive a split."""
    return panel if panel.recording is not None else replace(panel, recording=np.arange(len(panel)))


def _text(values: np.ndarray) -> np.ndarray:
    return np.array([str(value) for value in np.asarray(values).tolist()], str)
