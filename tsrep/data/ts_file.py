"""The .ts text format of the UEA and UCR archives (Löning et al., sktime; Bagnall et al., arXiv:1811.00075)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsrep.data.layout import padded
from tsrep.data.panel import Panel
from tsrep.errors import InputError


@dataclass(frozen=True)
class Header:
    """What the @ lines say. classes: None without class labels; target: whether a number to predict ends each line."""

    name: str
    classes: tuple[str, ...] | None
    target: bool
    dimensions: int | None


def read_ts(path: str | Path) -> Panel:
    """Panel of a .ts file: a line a series, channels parted by ':', steps by ',', '?' for missing, the label last.

    Class labels stay text as in the file; targets of regression are float64. What the header says of missing values and
    lengths is not needed and not believed. Files with time stamps in the data are refused.
    """
    path = Path(path)
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    header, first = _header(path, lines)
    numbered = [
        (i, text) for i, raw in enumerate(lines[first:], first + 1) if (text := raw.strip()) and text[0] not in "#%"
    ]
    if not numbered:
        raise InputError(f"{path.name}: expected series after @data, got none: empty data")
    parts = [line.split(":") for _, line in numbered]
    ends = header.classes is not None or header.target
    labels = [row.pop().strip() for row in parts] if ends else []
    dimensions = header.dimensions or len(parts[0])
    for (line, _), row in zip(numbered, parts, strict=True):
        if len(row) != dimensions:
            raise InputError(f"{path.name}, line {line}: expected {dimensions} channels, got {len(row)}")
    values = _values(path, numbered, parts)
    label: np.ndarray | None = None
    if header.classes is not None:
        label = np.array(labels)
        unknown = sorted(set(labels) - set(header.classes)) if header.classes else []
        if unknown:
            raise InputError(
                f"{path.name}: label '{unknown[0]}' is not among {', '.join(header.classes)} of @classLabel"
            )
    elif header.target:
        label = np.array([_number(path, line, text) for (line, _), text in zip(numbered, labels, strict=True)])
    names = ("value",) if dimensions == 1 else ()
    return Panel(values, names, label=label)


def _header(path: Path, lines: list[str]) -> tuple[Header, int]:
    name, target = path.stem, False
    classes: tuple[str, ...] | None = None
    dimensions: int | None = None
    for i, raw in enumerate(lines):
        line = raw.strip()
        if not line.startswith("@"):
            continue
        word, *rest = line[1:].split() or [""]
        key, on = word.lower(), bool(rest) and rest[0].lower() == "true"
        if key == "data":
            return Header(name, classes, target, dimensions), i + 1
        if key == "timestamps" and on:
            raise InputError(
                f"{path.name}: has time stamps in the data; write it as a long table (id, timestamp, channels)"
            )
        if key == "classlabel" and on:
            classes = tuple(rest[1:])
        elif key == "targetlabel":
            target = on
        elif key in ("dimensions", "dimension") and rest:
            dimensions = int(rest[0])
        elif key == "univariate" and on:
            dimensions = 1
        elif key == "problemname" and rest:
            name = rest[0]
    raise InputError(f"{path.name}: expected a line @data after the header, found none: not a .ts file")


def _values(path: Path, numbered: list[tuple[int, str]], parts: list[list[str]]) -> np.ndarray:
    """All numbers in one pass; a search for the bad line only where that pass falls short."""
    cells = [cell.strip().rstrip(",") for row in parts for cell in row]
    count = np.array([cell.count(",") + 1 if cell else 0 for cell in cells]).reshape(len(parts), -1)
    flat = _parse(",".join(cell for cell in cells if cell))
    if flat is None or len(flat) != count.sum():
        for line, row in zip((n for n, _ in numbered), parts, strict=True):
            for cell in row:
                for text in cell.strip().rstrip(",").split(","):
                    _number(path, line, text)
    assert flat is not None
    length = count.max(axis=1)
    if (count == length[:, None]).all():  # all channels of a series are of one length: rows of (channel, time) blocks
        ends = np.cumsum(count.sum(axis=1))
        blocks = np.split(flat, ends[:-1])
        return padded(np.concatenate([b.reshape(count.shape[1], -1).T for b in blocks]), length)
    out = np.full((*count.shape, int(length.max())), np.nan, np.float32)
    out[np.arange(out.shape[2]) < count[:, :, None]] = flat
    return out


def _parse(text: str) -> np.ndarray | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy's way to say that it could not read to the end
        try:
            return np.fromstring(text.replace("?", "nan"), dtype=np.float64, sep=",")
        except (DeprecationWarning, ValueError):
            return None


def _number(path: Path, line: int, text: str) -> float:
    try:
        return float("nan") if text.strip() == "?" else float(text)
    except ValueError:
        raise InputError(f"{path.name}, line {line}: expected a number or '?', got '{text.strip()}'") from None
