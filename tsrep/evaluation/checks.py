"""What every evaluation asks of its arrays, said once."""

from __future__ import annotations

import numpy as np

from tsrep.errors import InputError


def check_features(features: np.ndarray, name: str = "features") -> np.ndarray:
    """(n, feature) float64, finite; InputError otherwise."""
    given = np.asarray(features)
    if given.ndim != 2 or not given.size:
        raise InputError(f"expected {name} of shape (n, feature) with at least one row, got {given.shape}")
    if given.dtype.kind not in "fiub":
        raise InputError(f"expected {name} of numbers, got {given.dtype}")
    given = given.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(given).all(axis=1))
    if len(bad):
        raise InputError(f"expected finite {name}, got NaN or infinity in {len(bad)} rows, the first is row {bad[0]}")
    return given


def check_labels(labels: np.ndarray, n: int, name: str = "labels") -> np.ndarray:
    """(n,) labels of any kind, none of them missing; InputError otherwise."""
    given = np.asarray(labels)
    if given.shape != (n,):
        raise InputError(f"expected one of {name} for each of the {n} rows, got shape {given.shape}")
    missing = np.isnan(given) if given.dtype.kind == "f" else np.array([item is None for item in given])
    if missing.any():
        raise InputError(f"expected {name} without gaps, got {int(missing.sum())} missing; leave these rows out")
    return given


def check_classes(labels: np.ndarray, name: str = "training labels") -> np.ndarray:
    """The classes in order; InputError if there is only one, for then there is nothing to tell apart."""
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InputError(
            f"expected {name} with at least two classes, got only {classes.tolist()[0]!r} in all {len(labels)} rows; "
            "name the label column that tells classes apart"
        )
    return classes
