"""Long tables (one row a step): id, timestamp, channels, and where there are any label, subject and stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tsrep.data.clock import rate_of, seconds
from tsrep.data.layout import check, check_finite, column, numbers, padded, padded_steps
from tsrep.data.panel import Panel
from tsrep.errors import InputError, nearest

RESERVED = ("id", "timestamp", "label", "subject", "stream")


@dataclass(frozen=True)
class Columns:
    """Which columns of a long table mean what."""

    channels: tuple[str, ...]
    label: str | None
    subject: str | None


def from_long(
    frame: pd.DataFrame,
    *,
    label: str | None = None,
    subject: str | None = None,
    channels: Sequence[str] | None = None,
    stream: str | None = None,
    step_labels: bool = False,
) -> Panel:
    """Panel of a long table; rows may come in any order, and ids keep the order in which they first appear.

    label, subject: names of the columns where they are not called so.
    channels:       the columns to read as channels; all that are left where not given.
    stream:         which stream to read where the table holds several.
    step_labels:    the label may change along an id; it becomes `Panel.step_label`, for `windows` to sum up.
    Timestamps are seconds, dates, or text that reads as dates. The ids become `Panel.recording`.
    """
    columns = _columns(frame, label, subject, channels)
    if "stream" in frame.columns:
        names = pd.unique(frame["stream"].astype(str))
        if stream is None and len(names) > 1:
            raise InputError(
                f"the table holds {len(names)} streams ({', '.join(names)}): choose one with stream=, "
                "or read them all with read_streams"
            )
        if stream is not None and stream not in names:
            raise InputError(f"the table holds no stream '{stream}': {nearest(stream, names)}")
        if stream is not None:
            frame = frame[(frame["stream"].astype(str) == stream).to_numpy()]
            columns = _seen(frame, columns)
    elif stream is not None:
        raise InputError(f"asked for stream '{stream}', but the table has no column stream")
    codes, names = _ids(frame)
    return check(_panel(frame, columns, codes, np.asarray(names), step_labels))


def streams_of(frame: pd.DataFrame, **options: Any) -> dict[str, Panel]:
    """One panel for each stream of a long table, by the stream's name in order of appearance.

    Row i is the same id in every panel: a stream that an id lacks holds no observed value there. Columns that are empty
    for a stream are not its channels.
    """
    columns = _columns(frame, options.pop("label", None), options.pop("subject", None), options.pop("channels", None))
    if "stream" not in frame.columns:
        raise InputError(f"expected a column stream, got columns {', '.join(map(str, frame.columns))}")
    codes, names = _ids(frame)
    which = frame["stream"].astype(str).to_numpy()
    panels = {}
    for name in pd.unique(which):
        rows = which == name
        part = frame[rows]
        panel = _panel(part, _seen(part, columns), codes[rows], np.asarray(names), **options)
        check_finite(panel)
        panels[str(name)] = panel
    for what in ("label", "subject"):
        column_name = getattr(columns, what)
        if column_name is not None and not options.get("step_labels"):
            shared = _one_each(frame, column_name, codes, np.asarray(names), what)
            panels = {name: _with(panel, what, shared) for name, panel in panels.items()}
    return panels


def _with(panel: Panel, what: str, shared: np.ndarray) -> Panel:
    return replace(panel, label=shared) if what == "label" else replace(panel, subject=shared)


def lay_out(codes: np.ndarray, names: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order that sorts rows by series and time, and the length of each series; InputError on a doubled step.

    codes: (rows,) which series; names: (n,) their names; time: (rows,) anything that sorts.
    """
    length = np.bincount(codes, minlength=len(names))
    if ((codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (time[1:] > time[:-1]))).all():
        return np.arange(len(codes)), length  # in order already, as most tables are
    order = np.lexsort((time, codes))
    code, clock = codes[order], time[order]
    twice = np.flatnonzero((code[1:] == code[:-1]) & (clock[1:] == clock[:-1]))
    if len(twice):
        at = twice[0]
        raise InputError(
            f"{len(twice)} rows repeat the id and timestamp of another (first: id {names[code[at]]}, "
            f"timestamp {clock[at]}): each step of a series needs a time of its own"
        )
    return order, length


def to_table(panel: Panel) -> pd.DataFrame:
    """The panel as a long table, the inverse of `from_long`: one row a step up to the last observed one.

    Without a clock the timestamp is step / rate, or the step where the rate is unknown too.
    """
    length = panel.lengths
    row, step = np.nonzero(np.arange(panel.length) < length[:, None])
    clock = panel.timestamps
    names = panel.recording if panel.recording is not None and len(set(panel.recording)) == len(panel) else None
    data: dict[str, Any] = {
        "id": row if names is None else names[row],
        "timestamp": step / (panel.rate or 1.0) if clock is None else clock[row, step],
    }
    for what in ("label", "subject"):
        given = getattr(panel, what)
        if given is not None:
            data[what] = given[row]
    table = pd.DataFrame(data)
    return pd.concat([table, pd.DataFrame(panel.values[row, :, step], columns=list(panel.channels))], axis=1)


def _columns(frame: pd.DataFrame, label: str | None, subject: str | None, channels: Sequence[str] | None) -> Columns:
    names = [str(c) for c in frame.columns]
    if len(frame) == 0:
        raise InputError("expected at least one row, got an empty table: empty data")
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise InputError(f"the table has several columns called {', '.join(repeated)}")
    for needed in ("id", "timestamp"):
        if needed not in names:
            raise InputError(
                f"expected a long table with the columns id, timestamp and the channels; it has no column {needed} "
                f"({nearest(needed, names)})"
            )
    for what, given in (("label", label), ("subject", subject)):
        if given is not None and given not in names:
            raise InputError(f"the table has no column '{given}' for {what}: {nearest(given, names)}")
    label = label or ("label" if "label" in names else None)
    subject = subject or ("subject" if "subject" in names else None)
    taken = {*RESERVED, label, subject}
    wanted = tuple(n for n in names if n not in taken) if channels is None else tuple(channels)
    for name in wanted:
        if name not in names:
            raise InputError(f"the table has no column '{name}': {nearest(name, names)}")
    if not wanted:
        raise InputError(f"expected at least one channel beside {', '.join(names)}, got none")
    for name in wanted:
        _check_numbers(frame[name], name)
    return Columns(wanted, label, subject)


def _check_numbers(values: pd.Series, name: str) -> None:
    if pd.api.types.is_numeric_dtype(values) and values.dtype.kind != "c":
        return
    text = (
        pd.to_numeric(values, errors="coerce").isna() & values.notna() if values.dtype.kind == "O" else values.notna()
    )
    at = int(text.to_numpy().argmax())
    raise InputError(
        f"expected column {name} to hold numbers, got {values.dtype} such as '{values.iloc[at]}' in row {at}: "
        "choose the channels with channels=, and leave missing cells empty"
    )


def _ids(frame: pd.DataFrame) -> tuple[np.ndarray, Any]:
    codes, names = pd.factorize(frame["id"])
    if (codes < 0).any():
        raise InputError(f"id is missing in {int((codes < 0).sum())} rows (first: row {int((codes < 0).argmax())})")
    return codes, names


def _seen(frame: pd.DataFrame, columns: Columns) -> Columns:
    """Without the channels that are empty in these rows, which are other streams' (all of them where none is left)."""
    kept = tuple(name for name in columns.channels if frame[name].notna().any())
    return Columns(kept or columns.channels, columns.label, columns.subject)


def _panel(
    frame: pd.DataFrame, columns: Columns, codes: np.ndarray, names: np.ndarray, step_labels: bool = False
) -> Panel:
    clock = seconds(frame["timestamp"])
    order, length = lay_out(codes, names, clock)
    table = frame[list(columns.channels)]
    with np.errstate(over="ignore"):
        flat = numbers(table.to_numpy(dtype=np.float32, na_value=np.nan), "the channels")
    timestamps = padded_steps(clock[order], length, np.nan)
    label, step_label = None, None
    classes: tuple[str, ...] = ()
    if columns.label is not None and step_labels:
        found, kinds = pd.factorize(frame[columns.label], sort=True)
        step_label, classes = padded_steps(found[order].astype(np.int32), length, -1), tuple(map(str, kinds))
    present = length > 0
    whole = bool(present.all())
    if columns.label is not None and not step_labels and whole:
        label = _one_each(frame, columns.label, codes, names, "label")
    subject = _one_each(frame, columns.subject, codes, names, "subject") if columns.subject and whole else None
    return Panel(
        values=padded(flat[order], length),
        channels=columns.channels,
        rate=rate_of(timestamps),
        label=label,
        subject=subject,
        recording=names if names.dtype.kind != "O" else column(names, "id", len(names)),
        timestamps=timestamps,
        step_label=step_label,
        classes=classes,
    )


def _one_each(frame: pd.DataFrame, name: str, codes: np.ndarray, names: np.ndarray, what: str) -> np.ndarray:
    """The one value that the column holds for each id; InputError where it changes along an id."""
    first = np.full(len(names), -1)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    kind = pd.factorize(frame[name])[0]
    changes = np.flatnonzero(kind != kind[first][codes])
    if len(changes):
        at = codes[changes[0]]
        held = [str(v) for v in pd.unique(frame[name].to_numpy()[codes == at])[:3]]
        cure = (
            "read the table with step_labels=True and cut it into windows"
            if what == "label"
            else "give each person's recordings ids of their own"
        )
        raise InputError(
            f"{what} changes along id {names[at]} ({', '.join(held)}) and along {len(set(codes[changes])) - 1} "
            f"other ids; expected one {what} for each id: {cure}"
        )
    return column(frame[name].iloc[first], what, len(names))
