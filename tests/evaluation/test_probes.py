"""Probes: what is easy is read off perfectly, what is not there is not found, and protocols are kept to the letter."""

import warnings

import numpy as np
import pytest

from tsrep.errors import InputError
from tsrep.evaluation import linear
from tsrep.evaluation.classify import classification, outcomes, scores
from tsrep.evaluation.linear import ridge, stratified
from tsrep.evaluation.neighbours import neighbours
from tsrep.evaluation.probes import PROBES, probe_named
from tsrep.evaluation.svm import GRID, searched, svm
from tsrep.evaluation.tidy import COLUMNS


def blobs(n: int, classes: int, seed: int, apart: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """n rows of 8 features around one far centre for each class; the centres are the same for every seed."""
    centres = apart * np.random.default_rng(99).standard_normal((classes, 8))
    label = np.arange(n) % classes
    return centres[label] + np.random.default_rng(seed).standard_normal((n, 8)), label


@pytest.mark.parametrize("name", PROBES)
def test_classes_far_apart_are_read_without_an_error(name: str) -> None:
    train, labels = blobs(60, 3, seed=0)
    test, truth = blobs(45, 3, seed=1)
    assert (PROBES[name](train, labels, test, seed=0) == truth).all()


@pytest.mark.parametrize("name", PROBES)
def test_labels_that_features_do_not_hold_are_read_at_chance(name: str) -> None:
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((200, 8)), rng.standard_normal((800, 8))
    labels, truth = rng.integers(4, size=200), rng.integers(4, size=800)
    right = (PROBES[name](train, labels, test, seed=0) == truth).mean()
    assert 0.25 - 5 * np.sqrt(0.25 * 0.75 / 800) < right < 0.25 + 5 * np.sqrt(0.25 * 0.75 / 800)


@pytest.mark.parametrize("name", PROBES)
def test_a_test_row_is_classified_alike_alone_and_among_others(name: str) -> None:
    train, labels = blobs(60, 3, seed=0, apart=0.7)
    test, _ = blobs(30, 3, seed=1, apart=0.7)
    together = PROBES[name](train, labels, test, seed=0)
    alone = [PROBES[name](train, labels, test[i : i + 1], seed=0)[0] for i in (0, 7, 29)]
    assert alone == together[[0, 7, 29]].tolist()
    assert len(np.unique(together)) == 3  # not one class for all


@pytest.mark.parametrize("name", PROBES)
def test_the_same_seed_gives_the_same_answer_and_labels_may_be_words(name: str) -> None:
    train, labels = blobs(60, 3, seed=0, apart=0.7)
    test, _ = blobs(60, 3, seed=1, apart=0.7)
    words = np.array(["run", "sit", "walk"])
    first = PROBES[name](train, words[labels], test, seed=3)
    assert (first == PROBES[name](train, words[labels], test, seed=3)).all()
    assert (first == words[PROBES[name](train, labels, test, seed=3)]).all()


@pytest.mark.parametrize("name", PROBES)
def test_one_row_a_class_is_enough_to_answer(name: str) -> None:
    train, labels = blobs(3, 3, seed=0)
    test, truth = blobs(9, 3, seed=1)
    assert (PROBES[name](train, labels, test, seed=0) == truth).all()


def lifted(rows: np.ndarray, seed: int, noise: float = 1.0) -> np.ndarray:
    """(n, 8) -> (n, 200): the same in many noisy features."""
    up = np.random.default_rng(7).standard_normal((8, 200)) / np.sqrt(8)
    return np.asarray(rows @ up + noise * np.random.default_rng(seed).standard_normal((len(rows), 200)))


def read_by_ridge(many: int, noise: float = 1.0) -> float:
    """Accuracy of eight classes from so many training rows, mean of 20 draws."""
    right = []
    for seed in range(20):
        train, labels = blobs(many, 8, seed=seed, apart=1.5)
        test, truth = blobs(400, 8, seed=1000 + seed, apart=1.5)
        right.append((ridge(lifted(train, seed, noise), labels, lifted(test, 500 + seed, noise)) == truth).mean())
    return float(np.mean(right))


def test_ridge_is_not_misled_by_rows_that_are_alone_in_their_class() -> None:
    one, some, all_but_one, two = (read_by_ridge(many) for many in (8, 10, 15, 16))
    assert one > 0.55
    assert some > one - 0.03  # leave-one-out over all rows took .2 here
    assert some + 0.05 < all_but_one < two + 0.02


def test_one_row_of_a_rare_class_leaves_the_choice_of_the_penalty_to_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, labels = blobs(200, 2, seed=0, apart=0.3)
    test, truth = blobs(400, 2, seed=1, apart=0.3)
    left, right = lifted(train, 0, 3.0), lifted(test, 1, 3.0)
    rare, named = np.concatenate([left, left[:1] + 5]), np.concatenate([labels, [2]])
    chosen = (ridge(rare, named, right) == truth).mean()
    assert chosen > (ridge(left, labels, right) == truth).mean() - 0.02
    monkeypatch.setattr(linear, "PENALTIES", [1.0])
    assert chosen > (ridge(rare, named, right) == truth).mean() + 0.02


def test_many_classes_of_one_row_are_read_without_a_warning() -> None:
    train, labels = blobs(30, 30, seed=0)
    train = lifted(train, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (ridge(train, labels, train) == labels).all()


def test_the_svm_skips_the_search_where_the_protocol_does() -> None:
    assert searched(50, 10)
    assert not searched(49, 2)  # under 50 rows
    assert not searched(54, 11)  # under 5 rows a class
    assert searched(55, 11)
    assert GRID == (1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e8)


def test_the_svm_chooses_what_the_mean_of_five_unshuffled_folds_chooses() -> None:
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC

    train, labels = blobs(90, 3, seed=0, apart=0.5)
    test, _ = blobs(200, 3, seed=1, apart=0.5)
    right = np.zeros(len(GRID))
    for inside, outside in StratifiedKFold(5).split(train, labels):
        for i, c in enumerate(GRID):
            right[i] += (SVC(C=c).fit(train[inside], labels[inside]).predict(train[outside]) == labels[outside]).mean()
    expected = {c: SVC(C=c).fit(train, labels).predict(test) for c in GRID}
    assert (svm(train, labels, test) == expected[GRID[int(right.argmax())]]).all()
    assert (svm(train, labels, test) != expected[GRID[-1]]).any()  # the search did matter
    few = slice(0, 48)
    assert (svm(train[few], labels[few], test) == SVC(C=1e8).fit(train[few], labels[few]).predict(test)).all()


def test_between_classes_with_equally_many_votes_the_nearest_row_wins() -> None:
    train = np.array([[0.0], [1.0], [2.0], [3.0], [40.0]])
    labels = np.array(["far", "near", "near", "far", "none"])
    probe = neighbours(4, "euclidean")
    assert probe(train, labels, np.array([[-0.2], [1.1]])).tolist() == ["far", "near"]
    # three votes outweigh the nearest one
    assert neighbours(4, "euclidean")(train, np.array(list("abbbc")), np.array([[-0.2]])).tolist() == ["b"]


def test_a_stratified_sample_keeps_every_class_and_its_share() -> None:
    labels = np.repeat([0, 1, 2], [9000, 990, 10])
    chosen = stratified(labels, 1000, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [900, 99, 1]
    assert len(np.unique(chosen)) == len(chosen)
    assert (stratified(labels, 1000, seed=0) == chosen).all()
    assert (stratified(labels, 1000, seed=1) != chosen).any()


def test_macro_f1_counts_a_rare_class_as_much_as_a_common_one() -> None:
    truth = np.array([0] * 98 + [1, 1])
    numbers = classification(truth, np.zeros(100, int))
    assert numbers["accuracy"] == pytest.approx(0.98)
    assert numbers["macro F1"] == pytest.approx(0.5 * (2 * 98 / (98 + 100)))


def test_outcomes_give_two_tidy_rows_for_each_probe_on_each_feature_set() -> None:
    train, labels = blobs(60, 3, seed=0)
    test, truth = blobs(45, 3, seed=1)
    noise = np.random.default_rng(0).standard_normal((105, 4))
    sets = {"good": (train, test), "noise": (noise[:60], noise[60:])}
    found = outcomes(sets, labels, probes=("linear", "knn1"), seed=4)
    frame = scores(found, truth, seed=4, dataset="blobs", seconds={"good": 100.0})
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 8
    assert set(frame["features"]) == {"linear", "knn1"}
    assert (frame["seed"] == 4).all()
    good = frame[frame["method"] == "good"]
    assert (good["value"] == 1).all()
    assert (good["seconds"] > 100).all()
    assert (frame[frame["method"] == "noise"]["value"] < 0.7).all()


def test_one_class_is_refused_with_its_name() -> None:
    train, _ = blobs(10, 2, seed=0)
    with pytest.raises(InputError, match="at least two classes, got only 'walking' in all 10 rows"):
        outcomes({"x": (train, train)}, np.array(["walking"] * 10))


@pytest.mark.parametrize(
    ("train", "test", "labels", "message"),
    [
        (np.zeros((4, 2)), np.zeros((4, 3)), [0, 1, 0, 1], "one width"),
        (np.zeros((4, 2)), np.zeros((4, 2)), [0, 1], "for each of the 4 rows"),
        (np.full((4, 2), np.nan), np.zeros((4, 2)), [0, 1, 0, 1], "NaN or infinity in 4 rows"),
        (np.zeros(4), np.zeros((4, 2)), [0, 1, 0, 1], r"shape \(n, feature\)"),
        (np.zeros((4, 2)), np.zeros((4, 2)), [0, 1, np.nan, 1], "1 missing"),
        (np.full((4, 2), "a"), np.zeros((4, 2)), [0, 1, 0, 1], "of numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    train: np.ndarray, test: np.ndarray, labels: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        outcomes({"x": (train, test)}, np.array(labels))


def test_a_mistyped_probe_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'linear'"):
        probe_named("liner")
