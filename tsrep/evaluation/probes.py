"""The probes by name: how a frozen representation is asked for the class."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tsrep.errors import InputError, nearest
from tsrep.evaluation.linear import linear, ridge
from tsrep.evaluation.neighbours import neighbours
from tsrep.evaluation.svm import svm

Probe = Callable[..., np.ndarray]
"""(train (n, feature), labels (n,), test (m, feature), *, seed) -> (m,) predicted labels."""

PROBES: Mapping[str, Probe] = {
    "linear": linear,
    "ridge": ridge,
    "knn1": neighbours(1),
    "knn5": neighbours(5),
    "svm": svm,
}


def probe_named(name: str) -> Probe:
    """The probe of this name, or InputError with the nearest known name."""
    if name not in PROBES:
        raise InputError(f"expected a probe of {', '.join(PROBES)}, got '{name}'; {nearest(name, PROBES)}")
    return PROBES[name]
