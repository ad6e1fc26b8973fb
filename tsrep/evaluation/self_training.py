"""Self-training: rows without labels take those that a probe gives them, and the probe learns from them too."""

from __future__ import annotations

import numpy as np

from tsrep.errors import InputError
from tsrep.evaluation.checks import check_classes, check_features, check_labels
from tsrep.evaluation.probes import probe_named

ROWS = 2000
"""Unlabelled rows that are used. Of more, as many are drawn."""


def pseudo_labelled(
    train: np.ndarray, labels: np.ndarray, unlabelled: np.ndarray, *, probe: str = "ridge", seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """What a probe can be fitted on where few rows have labels: those, then unlabelled ones with the labels it predicts.

    train (n, feature), labels (n,), unlabelled (m, feature) -> rows (n + min(m, `ROWS`), feature) float64 and their labels.
    Pseudo-labels (Lee, ICML 2013 workshop) in one round and without a threshold: ŷ = argmax_c f_c(z) of the probe f that is
    fitted on the few rows.

        tsrep.probe("ridge")(*tsrep.pseudo_labelled(Z[few], y[few], Z[rest]), Z_test)

    Ridge then chooses its second penalty on labels that are partly its own. It pays where features are many more than labels and
    most predictions are right (UCI-HAR with 1 % of its labels: nine in ten); a probe that errs often is led further astray. Never
    give it what is tested. Raises InputError where shapes do not fit or there is one class only.
    """
    ask = probe_named(probe)
    train = check_features(train, "labelled features")
    labels = check_labels(labels, len(train))
    check_classes(labels, "labels")
    unlabelled = np.asarray(unlabelled)
    if unlabelled.ndim != 2 or unlabelled.shape[1] != train.shape[1]:
        raise InputError(
            f"expected unlabelled features as wide as the labelled ones, (m, {train.shape[1]}), got {unlabelled.shape}"
        )
    if not len(unlabelled):
        return train, labels.copy()
    if len(unlabelled) > ROWS:
        unlabelled = unlabelled[np.sort(np.random.default_rng(seed).choice(len(unlabelled), ROWS, replace=False))]
    others = check_features(unlabelled, "unlabelled features")
    return np.concatenate([train, others]), np.concatenate([labels, ask(train, labels, others, seed=seed)])
