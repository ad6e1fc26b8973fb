"""Streams: several panels of the same recordings, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tsrep.data.layout import some
from tsrep.data.panel import Panel
from tsrep.errors import InputError, nearest


@dataclass(frozen=True, eq=False)
class Streams(Mapping[str, Panel]):
    """{stream: Panel}: row i of every panel is the same recording, or the same window of one.

    Each stream has channels, rate and length of its own. A stream that was not recorded for a row is NaN there.

    InputError where the panels differ in their rows, or contradict one another in label, subject or recording, and where a row has
    no stream at all.
    """

    panels: Mapping[str, Panel]

    def __post_init__(self) -> None:
        if not self.panels:
            raise InputError("expected at least one stream, got none")
        for name, panel in self.panels.items():
            if not isinstance(name, str) or not name or "/" in name:
                raise InputError(f"expected a stream to be called by a text without '/', got {name!r}")
            if not isinstance(panel, Panel):
                raise InputError(f"expected a Panel for stream '{name}', got {type(panel).__name__}: use as_streams")
        counts = {name: len(panel) for name, panel in self.panels.items()}
        if len(set(counts.values())) > 1:
            raise InputError(
                f"expected the same rows in every stream, got {counts}: where a row lacks a stream, fill it with NaN"
            )
        for what in ("label", "subject", "recording"):
            self._agreed(what)
        nothing = np.flatnonzero(~np.any(list(self.present.values()), axis=0))
        if len(nothing):
            raise InputError(
                f"{len(nothing)} of {self.count} rows hold no observed value in any stream (rows {some(nothing)}): remove them first"
            )

    def __getitem__(self, name: str) -> Panel:
        return self.panels[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.panels)

    def __len__(self) -> int:
        """Streams, as of any mapping; `count` says rows."""
        return len(self.panels)

    @property
    def count(self) -> int:
        """Rows."""
        return len(next(iter(self.panels.values())))

    @property
    def label(self) -> np.ndarray | None:
        """(n,) class of each row, or None where no stream knows it."""
        return self._agreed("label")

    @property
    def subject(self) -> np.ndarray | None:
        """(n,) who was recorded, or None where no stream knows it."""
        return self._agreed("subject")

    @property
    def recording(self) -> np.ndarray | None:
        """(n,) which recording a row is of, or None where no stream knows it."""
        return self._agreed("recording")

    @property
    def present(self) -> dict[str, np.ndarray]:
        """stream -> (n,) bool: whether anything of it was observed."""
        return {name: panel.lengths > 0 for name, panel in self.panels.items()}

    @property
    def first(self) -> Panel:
        """The first stream, with all that any stream knows of the rows."""
        panel = next(iter(self.panels.values()))
        return replace(panel, label=self.label, subject=self.subject, recording=self.recording)

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return sum(panel.nbytes for panel in self.panels.values())

    def rows(self, index: Any) -> Streams:
        """The same rows of every stream (an index array, a mask or a slice)."""
        return Streams({name: panel.rows(index) for name, panel in self.panels.items()})

    def choose(self, names: Sequence[str] | None) -> Streams:
        """These streams, in this order; None: all. Rows that have none of them are left out."""
        if names is None:
            return self
        if not names or len(set(names)) < len(names):
            raise InputError(f"expected at least one stream, each of them once, got {', '.join(names) or 'none'}")
        for name in names:
            if name not in self.panels:
                raise InputError(f"no stream '{name}' in the data; {nearest(name, list(self.panels))}")
        present = self.present
        here = np.any([present[name] for name in names], axis=0)
        if not here.any():
            raise InputError(f"expected a row with one of the streams {', '.join(names)}, got none")
        return Streams({name: self.panels[name] if here.all() else self.panels[name].rows(here) for name in names})

    def _agreed(self, what: str) -> np.ndarray | None:
        known = {name: getattr(panel, what) for name, panel in self.panels.items() if getattr(panel, what) is not None}
        names = list(known)
        for name in names[1:]:
            other = np.flatnonzero(known[name] != known[names[0]])
            if len(other):
                raise InputError(
                    f"expected row i of every stream to be the same recording; {what} of '{names[0]}' and '{name}' differ in "
                    f"{len(other)} rows (rows {some(other)})"
                )
        return known[names[0]] if names else None
