"""Tidy: the one table that every evaluation and every benchmark writes, one number a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from tsrep.errors import InputError, nearest

COLUMNS = (
    "dataset",
    "setting",
    "method",
    "encoder",
    "features",
    "horizon",
    "seed",
    "metric",
    "value",
    "seconds",
    "commit",
)
"""dataset, setting (task, split, share of labels), method, encoder, features (which probe stands on the features),
horizon (of a forecast, else empty), seed, metric, value, seconds (to make it, one run), commit."""


def tidy(rows: Iterable[Mapping[str, Any]], **common: Any) -> pd.DataFrame:
    """Rows of numbers -> frame with exactly `COLUMNS`; `common` fills columns that are the same in every row.

    Raises InputError for a column that does not exist.
    """
    filled = [{**dict.fromkeys(COLUMNS, ""), **common, **row} for row in rows]
    for row in filled:
        for name in row.keys() - set(COLUMNS):
            raise InputError(f"expected the columns {', '.join(COLUMNS)}, got '{name}'; {nearest(name, COLUMNS)}")
    return pd.DataFrame(filled, columns=list(COLUMNS))


def check_tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame itself; InputError names the columns that are missing or when there is no row."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise InputError(f"expected a tidy frame with the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}")
    if frame.empty:
        raise InputError("expected a tidy frame with at least one row, got none")
    return frame
