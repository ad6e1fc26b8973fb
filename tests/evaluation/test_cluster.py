"""Clustering: perfect where classes fall apart, chance where they do not, and finite where nothing differs."""

import numpy as np
import pytest

from tsrep.errors import InputError
from tsrep.evaluation.cluster import cluster


def test_classes_that_fall_apart_are_found_and_the_names_do_not_matter() -> None:
    label = np.arange(60) % 3
    points = 20 * np.eye(3)[label] + np.random.default_rng(0).standard_normal((60, 3))
    found = cluster(points, np.array(["c", "a", "b"])[label])
    assert found["adjusted Rand index"] == 1
    assert found["normalised mutual information"] == pytest.approx(1)
    assert found["silhouette"] > 0.7


def test_labels_that_features_do_not_hold_are_at_chance() -> None:
    rng = np.random.default_rng(0)
    found = cluster(rng.standard_normal((400, 5)), rng.integers(4, size=400))
    assert abs(found["adjusted Rand index"]) < 0.03
    assert found["normalised mutual information"] < 0.05


def test_the_seed_decides_and_equal_rows_are_finite() -> None:
    rng = np.random.default_rng(0)
    points, label = rng.standard_normal((80, 5)), rng.integers(4, size=80)
    assert cluster(points, label, seed=1) == cluster(points, label, seed=1)
    assert cluster(np.ones((20, 3)), np.arange(20) % 2) == {
        "adjusted Rand index": 0.0,
        "normalised mutual information": 0.0,
        "silhouette": 0.0,
    }


def test_one_class_and_too_many_clusters_are_refused() -> None:
    with pytest.raises(InputError, match="at least two classes"):
        cluster(np.zeros((5, 2)), np.zeros(5))
    with pytest.raises(InputError, match="got 9"):
        cluster(np.zeros((5, 2)), np.arange(5), clusters=9)
