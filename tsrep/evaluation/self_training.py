"""Self-training: rows without labels take those that a probe gives them, and the probe learns from them too."""

from __future__ import annotations

import numpy as np

from tsrep.errors import InputError
from tsrep.evaluation.checks import check_classes, check_features, check_labels
from tsrep.evaluation.probes import probe_named

MOST = 2000
"""Unlabelled rows that are used. Of more, as many are drawn."""


def pseudo_labelled(
    train: np.ndarray, labels: np.ndarray, unlabelled: np.ndarray, *, probe: str = "ridge", seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """What a probe can be fitted on where few rows have labels: those, then unlabelled ones with the labels that the probe gives them.

    train (n, feature), labels (n,), unlabelled (m, feature) -> rows (n + min(m, `MOST`), feature) and their labels.
    Pseudo-labels of Lee, ICML 2013 workshop, in one round and without a threshold: the probe that is fitted on the few rows says
    ŷ = argmax_c f_c(z) of the others.

        probe("ridge")(*pseudo_labelled(Z[few], y[few], Z[rest]), Z_test)

    It pays where features are many more than labels and most of the labels given are right (UCI-HAR, 1 % of labels: 9 in 10); a probe
    that errs often is led further astray. Never give it what is tested. Raises InputError where shapes do not fit or there is one
    class only.
    """
    train = check_features(train, "labelled features")
    labels = check_labels(labels, len(train))
    check_classes(labels, "labels")
    if not len(unlabelled):
        return train, labels
    others = check_features(unlabelled, "unlabelled features")
    if others.shape[1] != train.shape[1]:
        raise InputError(
            f"expected unlabelled features as wide as the labelled ones, {train.shape[1]}, got {others.shape[1]}"
        )
    if len(others) > MOST:
        others = others[np.sort(np.random.default_rng(seed).choice(len(others), MOST, replace=False))]
    said = probe_named(probe)(train, labels, others, seed=seed)
    return np.concatenate([train, others]), np.concatenate([labels, said])
