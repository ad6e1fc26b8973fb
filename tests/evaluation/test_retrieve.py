"""Retrieval: exact, in blocks, with ties that mean nothing."""

import numpy as np
import pytest

from tsrep.errors import InputError
from tsrep.evaluation.retrieve import nearest, retrieve


def rows(n: int, seed: int, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_equal_a_slow_loop(metric: str) -> None:
    query, reference = rows(9, 0), rows(40, 1)
    distance, index = nearest(query, reference, 7, metric)
    for i, one in enumerate(query):
        if metric == "euclidean":
            slow = np.array([np.sqrt(((one - other) ** 2).sum()) for other in reference])
        else:
            slow = np.array([1 - one @ o / np.sqrt((one @ one) * (o @ o)) for o in reference])
        assert index[i].tolist() == np.argsort(slow)[:7].tolist()
        np.testing.assert_allclose(distance[i], np.sort(slow)[:7], atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_blocks_of_any_size_give_the_same(metric: str) -> None:
    query = rows(50, 0)
    whole = nearest(query, query, 3, metric, leave_self_out=True)
    pieces = nearest(query, query, 3, metric, leave_self_out=True, memory=1)
    assert (whole[1] == pieces[1]).all()
    np.testing.assert_allclose(whole[0], pieces[0], atol=1e-9)
    assert (whole[1] != np.arange(50)[:, None]).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("value", [0.0, 0.1, -3.7])
def test_equal_rows_are_found_in_order_at_distance_zero(metric: str, value: float) -> None:
    distance, index = nearest(np.full((3, 5), value), np.full((20, 5), value), 4, metric)
    assert index.tolist() == [[0, 1, 2, 3]] * 3
    assert (distance == (1 if metric == "cosine" and value == 0 else 0)).all()


def test_among_equals_beyond_the_last_place_the_first_are_taken() -> None:
    reference = np.array([[5.0], [2.0], [2.0], [1.0], [2.0]])
    _, index = nearest(np.array([[1.0]]), reference, 3, "euclidean")
    assert index.tolist() == [[3, 1, 2]]


def test_classes_far_apart_are_retrieved_perfectly() -> None:
    label = np.arange(40) % 4
    points = np.eye(4)[label] * 10 + 0.1 * rows(40, 0, 4)
    assert retrieve(points, label, points, label, leave_self_out=True) == {"precision@5": 1.0, "map": 1.0}


def test_equal_rows_are_retrieved_at_chance_even_if_the_data_lie_in_order_of_class() -> None:
    label = np.repeat(np.arange(4), 50)
    found = [retrieve(np.ones((200, 3)), label, np.ones((200, 3)), label, k=50, seed=seed) for seed in range(20)]
    assert np.mean([f["precision@50"] for f in found]) == pytest.approx(0.25, abs=0.03)
    assert np.mean([f["map"] for f in found]) == pytest.approx(0.27, abs=0.03)


def test_average_precision_equals_a_slow_loop() -> None:
    query, reference = rows(6, 0), rows(30, 1)
    asked, label = np.arange(6) % 3, np.random.default_rng(2).integers(3, size=30)
    slow_map, slow_at = [], []
    for one, wanted in zip(query, asked, strict=True):
        order = np.argsort(((one - reference) ** 2).sum(axis=1))
        hit = label[order] == wanted
        slow_map.append(np.mean([hit[: i + 1].mean() for i in np.flatnonzero(hit)]))
        slow_at.append(hit[:4].mean())
    found = retrieve(query, asked, reference, label, k=4, metric="euclidean", memory=500)
    assert found == {"precision@4": pytest.approx(np.mean(slow_at)), "map": pytest.approx(np.mean(slow_map))}


def test_queries_of_a_class_that_is_not_there_are_left_out() -> None:
    reference, label = rows(10, 0), np.arange(10) % 2
    some = retrieve(reference[:4], np.array([0, 1, 0, 1]), reference, label)
    assert retrieve(reference[[0, 1, 2, 3, 3]], np.array([0, 1, 0, 1, 7]), reference, label) == some
    with pytest.raises(InputError, match="at least one query whose label occurs"):
        retrieve(reference, np.full(10, 9), reference, label)


def test_requests_that_cannot_be_met_are_refused() -> None:
    points = rows(5, 0)
    with pytest.raises(InputError, match="between 1 and the 4 rows"):
        nearest(points, points, 5, leave_self_out=True)
    with pytest.raises(InputError, match="did you mean 'euclidean'"):
        nearest(points, points, 2, "euclidian")
    with pytest.raises(InputError, match="of one width, got 6 and 3"):
        nearest(points, points[:, :3], 2)
