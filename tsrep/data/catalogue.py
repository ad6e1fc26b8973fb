"""One catalogue of all data sets that tsrep knows: facts without loading, and `load`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tsrep.data import archive, bodies, bundled, recordings, wearable
from tsrep.data.entry import Dataset, Entry, StreamSet
from tsrep.data.panel import join
from tsrep.data.splits import by_subject
from tsrep.data.streams import Streams
from tsrep.errors import InputError, nearest

_ENTRIES: dict[str, Entry] = {
    made.name: made
    for module in (bundled, archive, wearable, bodies, recordings)
    for made in module.ENTRIES
}  # fmt: skip


def entries() -> tuple[Entry, ...]:
    """Every data set, here or not. Opens no file and imports nothing."""
    return tuple(_ENTRIES.values())


def names() -> tuple[str, ...]:
    """Every name that `load` takes, streams included."""
    return tuple(name for known in _ENTRIES.values() for name in known.names)


def entry(name: str) -> Entry:
    """The entry of a name, with or without its stream; InputError with the nearest name where there is none."""
    head = name.partition(":")[0]
    if head not in _ENTRIES:
        folded = {known.lower(): known for known in _ENTRIES}
        hint = f"did you mean '{folded[head.lower()]}'?" if head.lower() in folded else nearest(head, _ENTRIES)
        raise InputError(f"no data set '{head}' in the catalogue: {hint}")
    return _ENTRIES[head]


def unit(name: str | None, stream: str | None = None) -> str | None:
    """What the channels of a set, or of one of its streams, are measured in; None where that is not known, or for a file."""
    head, _, tail = (name or "").partition(":")
    if head not in _ENTRIES:
        return None
    known = _ENTRIES[head]
    own = [one.unit for one in known.streams if one.name == (stream or tail)]
    return (own[0] if own else known.unit) or None


def load(name: str, subjects: Sequence[Any] | None = None) -> Dataset:
    """The data set of this name, such as 'BasicMotions' or 'UTD-MHAD:inertial', rows in their original order.

    subjects: who is tested, instead of the split that the catalogue names: all others train (a fold of leave-subjects-out).
    InputError where the name is unknown (with the nearest), where the stream is missing or unknown, and where the data
    is not on this machine (with where its publisher offers it).
    """
    about = entry(name)
    stream = name.partition(":")[2] or None
    known = [s.name for s in about.streams]
    if stream is None and known:
        raise InputError(f"'{name}' has {len(known)} streams: choose one of {', '.join(about.names)}")
    if stream is not None and stream not in known:
        hint = nearest(stream, known) if known else f"it has one stream, call it '{about.name}'"
        raise InputError(f"'{about.name}' has no stream '{stream}': {hint}")
    place = about.where()
    if place is None:
        raise InputError(about.missing())
    train, test, validation = about.read(place, about, stream)
    if subjects is not None:
        split = by_subject(join(*(part for part in (train, test, validation) if part is not None)), test=list(subjects))
        train, test, validation = split.train, split.test, None
    return Dataset(name, train, test, about, validation)


def load_streams(
    name: str, streams: Sequence[str] | None = None, *, subjects: Sequence[Any] | None = None
) -> StreamSet:
    """Several streams of a data set at once: train, test and perhaps validation, of which row i is the same recording in each.

    streams:  which, in this order; None: all. subjects: who is tested, as in `load`.
    """
    about = entry(name)
    if not about.streams:
        raise InputError(
            f"expected a data set of several streams, '{name}' has one: take another set, or a method of one stream"
        )
    wanted = [s.name for s in about.streams] if streams is None else list(streams)
    sets = {stream: load(f"{about.name}:{stream}", subjects) for stream in wanted}
    held = {stream: made.validation for stream, made in sets.items() if made.validation is not None}
    return StreamSet(
        about.name,
        Streams({stream: made.train for stream, made in sets.items()}),
        Streams({stream: made.test for stream, made in sets.items()}),
        about,
        Streams(held) if held else None,
    )
