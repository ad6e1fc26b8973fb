"""Embeddings as a file: one line for each window, with what is known of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tsrep.data.panel import Panel
from tsrep.errors import InputError

ENDINGS = (".parquet", ".csv", ".npy")


def write(path: Path) -> Callable[[Panel, np.ndarray], None]:
    """A function that writes (panel, embeddings (n, feature)) to the path; InputError at once for an ending it does not know.

    Columns: row, label, subject, recording and start where they are known, then e0, e1, ... A .npy file holds the embeddings alone.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"expected a file ending in {', '.join(ENDINGS)}, got '{path}'")
    if not path.parent.is_dir():
        raise InputError(f"expected a folder for the embeddings, found none at {path.parent}")

    def put(panel: Panel, embeddings: np.ndarray) -> None:
        beside = path.with_name(path.name + ".part")
        if ending == ".npy":
            with beside.open("wb") as file:
                np.save(file, embeddings)
        elif ending == ".csv":
            table(panel, embeddings).to_csv(beside, index=False)
        else:
            table(panel, embeddings).to_parquet(beside, index=False)
        os.replace(beside, path)

    return put


def table(panel: Panel, embeddings: np.ndarray) -> pd.DataFrame:
    known = {"row": np.arange(len(panel))}
    for name in ("label", "subject", "recording"):
        if getattr(panel, name) is not None:
            known[name] = getattr(panel, name)
    if panel.recording is not None:
        known["start"] = panel.start
    made = pd.DataFrame(embeddings, columns=[f"e{i}" for i in range(embeddings.shape[1])])
    return pd.concat([pd.DataFrame(known), made], axis=1)
