"""A name for exactly these data."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from tsrep.data.panel import Panel
from tsrep.data.streams import Streams


def fingerprint(panel: Panel | Streams) -> str:
    """sha256 over shape, channel names and values, 64 hex digits: equal on every machine and in every run.

    Labels are not part of it: pretraining does not see them. Of several streams it is over their names and fingerprints.
    """
    if isinstance(panel, Streams):
        each = [[name, fingerprint(one)] for name, one in panel.items()]
        return hashlib.sha256(json.dumps(each).encode()).hexdigest()
    digest = hashlib.sha256(json.dumps([list(panel.values.shape), list(panel.channels)]).encode())
    for block in np.array_split(panel.values, max(1, panel.values.nbytes >> 24)):  # 16 MiB at a time
        little = np.ascontiguousarray(block, "<f4")
        # One pattern of bits for every NaN, and one zero.
        canonical = np.where(np.isnan(little), np.float32(np.nan), little + np.float32(0))
        digest.update(canonical.astype("<f4").tobytes())
    return digest.hexdigest()
