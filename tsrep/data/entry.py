"""What the catalogue knows of a data set without opening it, and what loading it gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tsrep.data.panel import Panel
from tsrep.data.streams import Streams
from tsrep.errors import InputError

VARIABLE = "TSREP_DATA"
"""The environment variable that names the folder of data sets that no package ships."""

UNIVARIATE = ("value",)

Parts = tuple[Panel, Panel, Panel | None]
"""train, test, validation"""

Read = Callable[[Path, "Entry", str | None], Parts]
"""(where the data lies, its entry, the stream asked for) -> the parts."""


@dataclass(frozen=True)
class Stream:
    """One stream of a data set that has several: channels, steps of the longest and shortest series, rate, unit."""

    name: str
    channels: tuple[str, ...]
    length: int
    shortest: int
    rate: float | None
    unit: str


@dataclass(frozen=True)
class Entry:
    """One data set of the catalogue. All facts are static: printing them opens no file and imports nothing.

    train, test, validation: number of series (or windows) of each side.
    length, shortest:        steps of the longest and of the shortest series.
    rate:     samples per second, None where unknown or unequal.
    classes:  names of the classes as the labels spell them, empty where there are none.
    split:    who set the split, and how. scaled: every series came z-normalised.
    file:     where it lies under the folder that TSREP_DATA names, or inside the package that ships it.
    note:     what was left out or changed.
    """

    name: str
    task: str
    train: int
    test: int
    channels: tuple[str, ...]
    length: int
    shortest: int
    split: str
    licence: str
    publisher: str
    file: str
    read: Read = field(repr=False, compare=False)
    rate: float | None = None
    validation: int = 0
    unit: str = ""
    classes: tuple[str, ...] = ()
    streams: tuple[Stream, ...] = ()
    scaled: bool = False
    package: str | None = None
    note: str = ""

    @property
    def shape(self) -> str:
        """Series by channels by steps, such as '270 + 370 × 12 × 7..26'; train + validation + test."""
        counts = " + ".join(str(c) for c in (self.train, self.validation, self.test) if c)
        if self.streams:
            alike: dict[str, list[str]] = {}
            for s in self.streams:
                alike.setdefault(f"{len(s.channels)} × {_steps(s.shortest, s.length)}", []).append(s.name)
            return f"{counts} × ({'; '.join(f'{len(names)} of {what}' for what, names in alike.items())})"
        return f"{counts} × {len(self.channels)} × {_steps(self.shortest, self.length)}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names that `load` takes: its own, or one for each stream."""
        return tuple(f"{self.name}:{s.name}" for s in self.streams) or (self.name,)

    @property
    def here(self) -> bool:
        """Whether the data is on this machine. Looks, and imports nothing."""
        return self.where() is not None

    def where(self) -> Path | None:
        """The place of the data, or None where it is not on this machine."""
        if self.package is not None:
            spec = find_spec(self.package)  # a top-level name: found without importing it
            folder = spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else None
            place = Path(folder, self.file) if folder else None
            return place if place and Path(f"{place}_TRAIN.ts").is_file() else None
        root = os.environ.get(VARIABLE)
        return Path(root, self.file) if root and Path(root, self.file).is_file() else None

    def missing(self) -> str:
        """What to do where the data is not on this machine."""
        if self.package is not None:
            return f"'{self.name}' comes with the package {self.package}, which is not installed"
        return (
            f"'{self.name}' is not on this machine: set {VARIABLE} to the folder that holds {self.file}. "
            f"Its publisher offers it: {self.publisher}"
        )


@dataclass(frozen=True)
class Dataset:
    """A data set of the catalogue, loaded. name includes the stream, such as 'UTD-MHAD:inertial'."""

    name: str
    train: Panel
    test: Panel
    entry: Entry
    validation: Panel | None = None


@dataclass(frozen=True)
class StreamSet:
    """A data set of the catalogue with several of its streams, loaded."""

    name: str
    train: Streams
    test: Streams
    entry: Entry
    validation: Streams | None = None


def arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz, never unpickled; InputError where the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # a damaged zip raises a dozen kinds of errors
        raise InputError(f"could not read {path}: {error}; the file is damaged, get it again") from error


def _steps(shortest: int, longest: int) -> str:
    return str(longest) if shortest == longest else f"{shortest}..{longest}"
