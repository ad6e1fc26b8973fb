"""Retrieval: exact nearest neighbours in bounded memory, and how often they are of the same class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tsrep.errors import InputError
from tsrep.errors import nearest as hint
from tsrep.evaluation.checks import check_features, check_labels

METRICS = ("cosine", "euclidean")
MEMORY = 64 * 2**20
"""Bytes that one block of distances may take."""


def nearest(
    query: np.ndarray,
    reference: np.ndarray,
    k: int = 5,
    metric: str = "cosine",
    *,
    leave_self_out: bool = False,
    memory: int = MEMORY,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of `reference` for each row of `query`, nearest first.

    query (n, feature), reference (m, feature) -> distance (n, k) float64, index (n, k) int64. Cosine distance is 1 -
    cosine, in [0, 2], and 1 where a row is zero; euclidean is not squared. Equal distances are ordered by index. With
    `leave_self_out` query and reference are the same rows, and none finds itself.
    """
    query, reference = check_features(query, "query"), check_features(reference, "reference")
    there = len(reference) - int(leave_self_out)
    if not 1 <= k <= there:
        raise InputError(f"expected k between 1 and the {there} rows that can be found, got {k}")
    distance, index = np.empty((len(query), k)), np.empty((len(query), k), np.int64)
    for begin, block in blocks(query, reference, metric, leave_self_out, memory):
        rows = slice(begin, begin + len(block))
        index[rows] = _smallest(block, k)
        distance[rows] = np.take_along_axis(block, index[rows], axis=1)
    return distance, index


def retrieve(
    query: np.ndarray,
    query_labels: np.ndarray,
    reference: np.ndarray,
    reference_labels: np.ndarray,
    *,
    k: int = 5,
    metric: str = "cosine",
    leave_self_out: bool = False,
    seed: int = 0,
    memory: int = MEMORY,
) -> dict[str, float]:
    """Precision at k and mean average precision of the ranking of `reference` by distance; relevant is the same label.

    query (n, feature) with (n,) labels, reference (m, feature) with (m,) labels. Returns {"precision@k", "map"} in [0,
    1]. Queries whose label the reference lacks are left out. Ties are broken at random by the seed, so that equal rows
    give chance and not the order in which the data lie.
    """
    query, reference = check_features(query, "query"), check_features(reference, "reference")
    query_labels = check_labels(query_labels, len(query), "query labels")
    reference_labels = check_labels(reference_labels, len(reference), "reference labels")
    there = len(reference) - int(leave_self_out)
    if not 1 <= k <= there:
        raise InputError(f"expected k between 1 and the {there} rows that can be found, got {k}")
    shuffled = np.random.default_rng(seed).permutation(len(reference))
    at_k: list[np.ndarray] = []
    average: list[np.ndarray] = []
    for begin, block in blocks(query, reference, metric, leave_self_out, memory):
        order = shuffled[np.argsort(block[:, shuffled], axis=1, kind="stable")][:, :there]
        hit = reference_labels[order] == query_labels[begin : begin + len(block), None]
        relevant = hit.sum(axis=1)
        hit, relevant = hit[relevant > 0], relevant[relevant > 0]
        precision = hit.cumsum(axis=1) / np.arange(1, there + 1)
        at_k.append(precision[:, k - 1])
        average.append((precision * hit).sum(axis=1) / relevant)
    if not sum(map(len, at_k)):
        raise InputError("expected at least one query whose label occurs in the reference, got none")
    return {f"precision@{k}": float(np.concatenate(at_k).mean()), "map": float(np.concatenate(average).mean())}


def blocks(
    query: np.ndarray, reference: np.ndarray, metric: str, leave_self_out: bool, memory: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Distances (rows, m) of a few queries at a time, with the position of the first."""
    if metric not in METRICS:
        raise InputError(f"expected a metric of {', '.join(METRICS)}, got '{metric}'; {hint(metric, METRICS)}")
    if query.shape[1] != reference.shape[1]:
        raise InputError(
            f"expected query and reference of one width, got {query.shape[1]} and {reference.shape[1]} features"
        )
    if leave_self_out and len(query) != len(reference):
        raise InputError(
            f"leave_self_out expects query and reference to be the same rows, got {len(query)} and {len(reference)}"
        )
    if metric == "cosine":
        query, reference = _unit(query), _unit(reference)
    else:
        middle = reference.mean(axis=0)  # distances do not change, and what cancels below is smaller
        query, reference = query - middle, reference - middle
    squares = (reference**2).sum(axis=1)
    rows = max(1, memory // (8 * len(reference)))
    for begin in range(0, len(query), rows):
        part = query[begin : begin + rows]
        product = part @ reference.T
        if metric == "cosine":
            distance = np.clip(1 - product, 0, 2)
            distance = np.round(distance, 12)  # equal rows tie, whatever the order of summation
        else:
            own = (part**2).sum(axis=1, keepdims=True)
            scale = float(max(own.max(), squares.max())) or 1.0
            distance = np.sqrt(np.round(np.maximum(own + squares - 2 * product, 0) / scale, 12) * scale)
        if leave_self_out:
            here = np.arange(len(part))
            distance[here, begin + here] = np.inf
        yield begin, distance


def _smallest(distance: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k smallest of each row in order; equal values by column, also where the k-th has equals beyond."""
    chosen = np.sort(np.argpartition(distance, k - 1, axis=1)[:, :k], axis=1)
    value = np.take_along_axis(distance, chosen, axis=1)
    order = np.argsort(value, axis=1, kind="stable")
    chosen = np.take_along_axis(chosen, order, axis=1)
    crowded = (distance <= value.max(axis=1, keepdims=True)).sum(axis=1) > k
    if crowded.any():
        chosen[crowded] = np.argsort(distance[crowded], axis=1, kind="stable")[:, :k]
    return chosen


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)
