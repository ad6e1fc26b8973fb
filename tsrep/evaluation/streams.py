"""Several streams: probes within and across devices and on all of them, few labels, and retrieval from one modality to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tsrep.errors import InputError
from tsrep.evaluation.classify import classification, outcomes

Features = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""stream -> features of the training and of the test part, (n, feature) and (m, feature); NaN rows lack the stream."""

Row = dict[str, Any]

WITHIN, ACROSS, PAIRS = "within (mean)", "across (mean)", "all pairs (mean)"


def devices(
    features: Features,
    labels: tuple[np.ndarray, np.ndarray],
    *,
    across: bool,
    probe: str = "linear",
    labelled: np.ndarray | None = None,
    seed: int = 0,
) -> list[Row]:
    """A probe trained on one stream and tested on it, and (across) on every other.

    labels:   of the training and the test part. labelled: rows of the training part whose labels are known; None: all.
    across:   whether the streams lie in one space, so that a probe of one can be asked about another.
    Returns rows with place ("wrist", "wrist → hip", and the means over all of either kind), metric and value: accuracy and macro F1.
    """
    known = np.arange(len(labels[0])) if labelled is None else labelled
    rows: list[Row] = []
    for name, (train, _) in features.items():
        asked = [other for other in features if across or other == name]
        tests = [features[other][1] for other in asked]
        here = [~np.isnan(test).any(axis=1) for test in tests]
        own = known[~np.isnan(train[known]).any(axis=1)]
        pair = (train[own], np.concatenate([test[h] for test, h in zip(tests, here, strict=True)]))
        (told,) = outcomes({name: pair}, labels[0][own], probes=(probe,), seed=seed)
        parts = np.split(told.predicted, np.cumsum([h.sum() for h in here])[:-1])
        for other, predicted, h in zip(asked, parts, here, strict=True):
            place = name if other == name else f"{name} → {other}"
            numbers = classification(labels[1][h], predicted)
            rows += [{"place": place, "metric": metric, "value": value} for metric, value in numbers.items()]
    return rows + _means(rows)


def whole(
    features: Features,
    labels: tuple[np.ndarray, np.ndarray],
    *,
    probe: str = "linear",
    labelled: np.ndarray | None = None,
    seed: int = 0,
) -> list[Row]:
    """A probe on features of all streams together ("all", "without hip", ...): rows with place, metric and value."""
    known = np.arange(len(labels[0])) if labelled is None else labelled
    rows = []
    for name, (train, test) in features.items():
        own, here = known[~np.isnan(train[known]).any(axis=1)], ~np.isnan(test).any(axis=1)
        (told,) = outcomes({name: (train[own], test[here])}, labels[0][own], probes=(probe,), seed=seed)
        numbers = classification(labels[1][here], told.predicted)
        rows += [{"place": name, "metric": metric, "value": value} for metric, value in numbers.items()]
    return rows


def crossing(features: Features, *, one_space: bool) -> list[Row]:
    """Retrieval from every stream to every other: of each test row its own, among all test rows that have both, by cosine.

    one_space: the streams lie in one space; otherwise a ridge regression, fitted on the training rows that have both (no labels), says
               where a row of the one would lie in the other.
    Returns rows with place ("wrist → hip", and the mean of all where there are more than two), metric and value: "top-1", the share of
    rows that find their own first, and "mean rank", 1 being the best and (m + 1) / 2 chance.
    """
    rows: list[Row] = []
    for name in features:
        for other in features:
            if other == name:
                continue
            (train, query), (train_to, found) = features[name], features[other]
            both = ~np.isnan(query).any(axis=1) & ~np.isnan(found).any(axis=1)
            if not both.any():
                continue
            asked = query[both]
            if not one_space:
                learned = ~np.isnan(train).any(axis=1) & ~np.isnan(train_to).any(axis=1)
                asked = carried(train[learned], train_to[learned], asked)
                base = train_to[learned].mean(axis=0)
                rank = ranks(asked - base, found[both] - base)
            else:
                rank = ranks(asked, found[both])
            numbers = {"top-1": float((rank == 1).mean()), "mean rank": float(rank.mean())}
            rows += [{"place": f"{name} → {other}", "metric": m, "value": v} for m, v in numbers.items()]
    means = [{**row, "place": PAIRS} for row in _means(rows)]
    return rows + (means if len(rows) > 4 else [])


def ranks(query: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """(n,) place of candidate i among all n by its cosine to query i, (n, feature) each; equals share the middle of their places."""
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (query, candidates))
    score = a @ b.T
    own = np.diagonal(score)[:, None]
    rank: np.ndarray = 1.0 + (score > own).sum(axis=1) + ((score == own).sum(axis=1) - 1) / 2
    return rank


def carried(source: np.ndarray, target: np.ndarray, query: np.ndarray, penalty: float = 1.0) -> np.ndarray:
    """Ridge from one space to another, (n, f) -> (n, g), on standardised features; the penalty counts as so many rows.

    W = (XᵀX + λI)⁻¹ Xᵀ Y = Xᵀ (XXᵀ + λI)⁻¹ Y, by the smaller of the two systems: wide readouts have
    fifty times as many features as rows. W itself, which the Ridge of scikit-learn keeps, would be gigabytes of them.
    """
    if len(source) < 2:
        raise InputError(f"expected at least two training rows that have both streams, got {len(source)}")
    middle, spread = source.mean(axis=0), source.std(axis=0) + 1e-8
    x, asked = (((part - middle) / spread).astype(np.float64) for part in (source, query))
    base, (n, features) = target.mean(axis=0), x.shape
    made: np.ndarray
    if n < features:
        made = asked @ x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(n), target - base) + base
    else:
        made = asked @ np.linalg.solve(x.T @ x + penalty * np.eye(features), x.T @ (target - base)) + base
    return made


def _means(rows: Sequence[Row]) -> list[Row]:
    """Over the devices by themselves, and over all pairs of two."""
    made = []
    for place, crossed in ((WITHIN, False), (ACROSS, True)):
        for metric in dict.fromkeys(row["metric"] for row in rows):
            values = [row["value"] for row in rows if row["metric"] == metric and ("→" in row["place"]) == crossed]
            if values:
                made.append({"place": place, "metric": metric, "value": float(np.mean(values))})
    return made
