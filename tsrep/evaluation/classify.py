"""Classification: what probes read off several named feature sets of one split, as one tidy table."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsrep.errors import InputError
from tsrep.evaluation.checks import check_classes, check_features, check_labels
from tsrep.evaluation.probes import probe_named
from tsrep.evaluation.tidy import tidy

Features = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""method -> (training features (n, feature), test features (m, feature)): "ts2vec", "random encoder", "catch22" ..."""


@dataclass(frozen=True)
class Outcome:
    """What one probe said on one feature set: predicted (m,) labels of the test part, and the seconds it took."""

    method: str
    probe: str
    predicted: np.ndarray
    seconds: float


def outcomes(
    features: Features,
    train_labels: np.ndarray,
    *,
    probes: Sequence[str] = ("linear", "knn5", "svm"),
    seed: int = 0,
) -> list[Outcome]:
    """Every probe on every feature set. Test labels are not among the arguments, so nothing can be chosen by them.

    Raises InputError where the training labels hold one class only, shapes do not fit, or a probe is unknown.
    """
    known = [(name, probe_named(name)) for name in probes]
    found = []
    for method, pair in features.items():
        train = check_features(pair[0], f"{method} training features")
        test = check_features(pair[1], f"{method} test features")
        if train.shape[1] != test.shape[1]:
            raise InputError(
                f"expected training and test features of one width, {method} has {train.shape[1]}, {test.shape[1]}"
            )
        labels = check_labels(train_labels, len(train), "training labels")
        check_classes(labels)
        for name, probe in known:
            begin = time.perf_counter()
            predicted = probe(train, labels, test, seed=seed)
            found.append(Outcome(method, name, predicted, time.perf_counter() - begin))
    return found


def scores(
    found: Iterable[Outcome],
    test_labels: np.ndarray,
    *,
    seed: int = 0,
    dataset: str = "",
    setting: str = "classify",
    encoder: str | Mapping[str, str] = "",
    seconds: Mapping[str, float] | None = None,
    commit: str = "",
) -> pd.DataFrame:
    """Accuracy and macro F1 of outcomes: a tidy frame with two rows for each, `features` naming the probe.

    encoder: the name of the encoder, or method -> name. seconds: method -> time that its features took, added to the
    probe's.
    """
    rows = []
    for outcome in found:
        truth = check_labels(test_labels, len(outcome.predicted), "test labels")
        for metric, value in classification(truth, outcome.predicted).items():
            rows.append(
                {
                    "method": outcome.method,
                    "encoder": encoder if isinstance(encoder, str) else encoder.get(outcome.method, ""),
                    "features": outcome.probe,
                    "metric": metric,
                    "value": value,
                    "seconds": outcome.seconds + (seconds or {}).get(outcome.method, 0.0),
                }
            )
    return tidy(rows, dataset=dataset, setting=setting, seed=seed, commit=commit)


def classification(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """{"accuracy", "macro F1"} of (n,) predictions. Macro F1 is the mean over classes that occur on either side."""
    from sklearn.metrics import accuracy_score, f1_score

    f1 = f1_score(truth, predicted, average="macro", zero_division=0)
    return {"accuracy": float(accuracy_score(truth, predicted)), "macro F1": float(f1)}
