"""One door for data: whatever a user holds becomes a Panel, or an InputError says what is wrong with it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsrep.data.layout import check, check_finite, column, numbers, padded
from tsrep.data.panel import Panel
from tsrep.data.sktime_panel import from_frames, from_multiindex, from_nested, is_nested
from tsrep.data.streams import Streams
from tsrep.data.table import from_long, streams_of
from tsrep.data.ts_file import read_ts
from tsrep.errors import InputError, nearest

SUFFIXES = (".csv", ".parquet", ".ts", ".npz", ".npy")


def as_panel(
    X: Any,
    *,
    label: Any = None,
    subject: Any = None,
    rate: float | None = None,
    channels: Sequence[str] | None = None,
    stream: str | None = None,
    step_labels: bool = False,
) -> Panel:
    """Panel of an array, a list of arrays, a sktime panel, a long table, a file, or another panel.

    X:        (n, channel, time) numpy array or torch tensor, NaN for missing; a list of (channel, time) arrays of
              unequal length; sktime's numpy3D, pd-multiindex, nested_univ or df-list; a DataFrame with the columns id,
              timestamp and channels (optional label, subject, stream); a Panel; or a path to .csv, .parquet, .ts, .npz
              or .npy.
    label:    (n,) class of each series; for a long table the name of a column.
    subject:  (n,) who was recorded; for a long table the name of a column.
    rate:     samples per second; a long table with a regular clock tells it itself.
    channels: names of the channels; for a long table which columns to read.
    stream:   which stream of a long table that holds several.
    step_labels: the label of a long table changes along its ids: keep it by step, for `windows` to sum up.

    Raises InputError on empty data, object arrays, text, infinite values, series without any observed value, a missing
    or unknown file. Values become float32.
    """
    given = _open(X) if isinstance(X, str | Path) else X
    if isinstance(given, pd.DataFrame) and given.index.nlevels == 1 and not is_nested(given):
        names = {"label": label, "subject": subject}
        by_name = {k: v for k, v in names.items() if isinstance(v, str)}
        panel = from_long(given, channels=channels, stream=stream, step_labels=step_labels, **by_name)
        label, subject = (None if isinstance(v, str) else v for v in names.values())
        channels = None
    else:
        if stream is not None:
            raise InputError(f"stream='{stream}' chooses a stream of a long table, got {_kind(X)}")
        for what, value in (("label", label), ("subject", subject)):
            if isinstance(value, str):
                raise InputError(
                    f"{what}='{value}' names a column of a long table; for {_kind(X)} pass one {what} a series"
                )
        panel = _bare(given)
    if isinstance(channels, str):
        raise InputError(f"expected a list of channel names, got the text '{channels}'")
    if rate is not None and not rate > 0:
        raise InputError(f"expected a positive rate in samples per second, got {rate}")
    changes: dict[str, Any] = {}
    if label is not None:
        changes["label"] = column(label, "label", len(panel))
    if subject is not None:
        changes["subject"] = column(subject, "subject", len(panel))
    if rate is not None:
        changes["rate"] = float(rate)
    if channels is not None:
        changes["channels"] = tuple(channels)
    return check(replace(panel, **changes) if changes else panel)


def as_streams(X: Any, names: Sequence[str] | None = None) -> Streams:
    """Several streams of the same recordings, of whatever a user holds.

    X:     {stream: anything `as_panel` takes, an absent row all NaN}; a long table with a column stream, or a file of one; or Streams.
    names: which streams, in this order; None: all. Rows that have none of them are left out.
    """
    if isinstance(X, Streams):
        return X.choose(names)
    if not isinstance(X, Mapping):
        return read_streams(X).choose(names)
    made = {}
    for name, given in X.items():
        panel = _bare(_open(given)) if isinstance(given, str | Path) else _bare(given)
        if 0 in panel.values.shape:
            raise InputError(
                f"expected at least one series, channel and step in stream '{name}', got shape {panel.values.shape}: empty data"
            )
        check_finite(panel)
        made[name] = panel
    return Streams(made).choose(names)


def read_streams(X: pd.DataFrame | str | Path, **options: Any) -> Streams:
    """The streams of a long table or of a file that holds one: {stream: Panel}, row i the same id in all.

    A stream that an id lacks has no observed value there. Options: label, subject, channels and step_labels, as in
    `as_panel`.
    """
    frame = _open(X) if isinstance(X, str | Path) else X
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"expected a long table (DataFrame, .csv or .parquet) with a column stream, got {_kind(X)}")
    return Streams(streams_of(frame, **options))


def to_npz(panel: Panel, path: str | Path) -> None:
    """Writes the panel as .npz without pickles; `as_panel` reads it back with everything that it knows."""
    known: dict[str, Any] = {k: v for k, v in vars(panel).items() if isinstance(v, np.ndarray)}
    known |= {k: np.array(getattr(panel, k), dtype=str) for k in ("channels", "classes") if getattr(panel, k)}
    known |= {} if panel.rate is None else {"rate": np.array(panel.rate)}
    np.savez_compressed(path, **known)


def _bare(given: Any) -> Panel:
    """Panel of everything that is not a long table."""
    if isinstance(given, Panel):
        return given
    if isinstance(given, pd.DataFrame):
        return from_multiindex(given) if given.index.nlevels > 1 else from_nested(given)
    if isinstance(given, list | tuple):
        return _from_list(given)
    if hasattr(given, "detach"):  # a torch tensor, on whatever device and of whatever precision
        given = given.detach().cpu().float().numpy()
    if not isinstance(given, np.ndarray):
        raise InputError(
            f"expected an array (n, channel, time), a list of arrays, a DataFrame or a path, got {_kind(given)}"
        )
    values = numbers(given, "the array")
    if values.ndim == 2:
        raise InputError(
            f"expected an array of shape (n, channel, time), got {values.shape}: "
            "add a channel axis with X[:, None, :] where each row is a series of one channel"
        )
    if values.ndim != 3:
        raise InputError(f"expected an array of shape (n, channel, time), got {values.shape}")
    return Panel(values)


def _from_list(items: Sequence[Any]) -> Panel:
    if not items:
        raise InputError("expected at least one series, got an empty list: empty data")
    if all(isinstance(item, pd.DataFrame) for item in items):
        return from_frames(items)
    arrays = [
        numbers(x.detach().cpu().float() if hasattr(x, "detach") else x, f"series {i}") for i, x in enumerate(items)
    ]
    for i, array in enumerate(arrays):
        if array.ndim != 2:
            cure = ": add a channel axis with x[None, :]" if array.ndim == 1 else ""
            raise InputError(f"expected series {i} of shape (channel, time), got {array.shape}{cure}")
        if array.shape[0] != arrays[0].shape[0]:
            raise InputError(
                f"expected series {i} to have {arrays[0].shape[0]} channels like series 0, got {array.shape[0]}"
            )
    length = np.array([array.shape[1] for array in arrays])
    return Panel(padded(np.concatenate([array.T for array in arrays]), length))


def _open(path: str | Path) -> Any:
    """What the file holds: a DataFrame, an array or a Panel."""
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.exists():
        raise InputError(f"no file {path}: {_neighbours(path)}")
    if suffix not in SUFFIXES or not path.is_file():
        raise InputError(f"expected a file that ends in {', '.join(SUFFIXES)}, got {path}")
    if suffix == ".ts":
        return read_ts(path)
    try:
        if suffix == ".csv":
            return pd.read_csv(path)
        if suffix == ".parquet":
            return pd.read_parquet(path)
        loaded = np.load(path, allow_pickle=False)
        return loaded if suffix == ".npy" else _from_npz(path, loaded)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path} is an empty file: empty data") from None
    except ImportError as error:
        raise InputError(f"reading {path.name} needs pyarrow, which is not installed ({error})") from None
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        pickled = "pickle" in str(error).lower()
        cause = "holds Python objects, which are never unpickled: save plain number arrays" if pickled else f"({error})"
        raise InputError(f"could not read {path} as {suffix[1:]}: {cause}") from error


def _from_npz(path: Path, loaded: Any) -> Panel:
    """values (or the only array) plus whatever else of a Panel's fields the file names."""
    names = list(loaded.files)
    key = next((k for k in ("values", "X") if k in names), names[0] if len(names) == 1 else None)
    if key is None:
        raise InputError(
            f"{path.name}: expected an array called values of shape (n, channel, time), got {', '.join(names)}"
        )
    panel = _bare(loaded[key])
    n = len(panel)
    more: dict[str, Any] = {}
    for field, alias in (("label", "y"), ("subject", "subject"), ("recording", "recording")):
        found = next((k for k in (field, alias) if k in names), None)
        if found:
            more[field] = column(loaded[found], field, n)
    more |= {k: tuple(map(str, loaded[k])) for k in ("channels", "classes") if k in names}
    more |= {k: loaded[k] for k in ("start", "timestamps", "step_label") if k in names}
    if "rate" in names:
        more["rate"] = float(loaded["rate"])
    return replace(panel, **more)


def _neighbours(path: Path) -> str:
    """The nearest readable name in the folder, for a mistyped path."""
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist"
    here = sorted(p.name for p in path.parent.iterdir() if p.suffix.lower() in SUFFIXES)
    if not here:
        return "its folder holds no data file (a set of the catalogue is read with load)"
    hint = nearest(path.name, here)
    return hint if hint.startswith("did") or len(here) <= 10 else f"its folder holds {', '.join(here[:10])}, …"


def _kind(X: Any) -> str:
    return f"a {type(X).__name__}"
