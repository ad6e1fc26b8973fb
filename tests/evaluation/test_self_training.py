"""Pseudo-labels: what was given stays as it was, the rest says what the probe says, and few labels go further."""

import numpy as np
import pytest

import tsrep
from tsrep.evaluation import self_training

FEATURES = 300


def windows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n rows of three classes that lie apart in 10 of 300 directions, which in some rows are seen weakly."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((3, 10))
    label = np.arange(n) % 3
    rows = rng.standard_normal((n, FEATURES))
    rows[:, :10] += 3 * centres[label]
    return rows, np.array(["run", "sit", "walk"])[label]


def test_given_rows_and_labels_come_first_and_the_others_have_what_the_probe_says() -> None:
    (train, labels), (rest, _) = windows(30, 0), windows(60, 1)
    rows, told = tsrep.pseudo_labelled(train, labels, rest, probe="knn1")
    np.testing.assert_array_equal(rows, np.concatenate([train, rest]))
    np.testing.assert_array_equal(told[:30], labels)
    np.testing.assert_array_equal(told[30:], tsrep.probe("knn1")(train, labels, rest))


def test_few_labels_go_further_with_the_rows_that_have_none() -> None:
    gains = []
    for draw in range(10):
        (train, labels), (rest, _), (test, truth) = (
            windows(12, draw),
            windows(600, 100 + draw),
            windows(900, 200 + draw),
        )
        alone = tsrep.probe("ridge")(train, labels, test)
        helped = tsrep.probe("ridge")(*tsrep.pseudo_labelled(train, labels, rest), test)
        gains.append((helped == truth).mean() - (alone == truth).mean())
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / np.sqrt(len(gains))
    assert np.mean(gains) > 0.02


def test_of_many_unlabelled_rows_the_same_part_is_drawn_under_one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_training, "ROWS", 50)
    (train, labels), (rest, _) = windows(30, 0), windows(400, 1)
    rows, told = tsrep.pseudo_labelled(train, labels, rest, seed=3)
    assert rows.shape == (80, FEATURES)
    assert told.shape == (80,)
    assert (rows[30:, None, 0] == rest[None, :, 0]).any(axis=1).all()
    assert len(np.unique(rows[30:, 0])) == 50  # none twice
    np.testing.assert_array_equal(told[30:], tsrep.probe("ridge")(train, labels, rows[30:]))
    np.testing.assert_array_equal(rows, tsrep.pseudo_labelled(train, labels, rest, seed=3)[0])
    assert (rows != tsrep.pseudo_labelled(train, labels, rest, seed=4)[0]).any()


def test_without_unlabelled_rows_all_stays_as_it_was() -> None:
    train, labels = windows(30, 0)
    rows, told = tsrep.pseudo_labelled(train, labels, np.empty((0, FEATURES)))
    np.testing.assert_array_equal(rows, train)
    np.testing.assert_array_equal(told, labels)


@pytest.mark.parametrize(
    ("labels", "width", "told"),
    [
        (["sit"] * 30, FEATURES, "two classes"),
        (["sit", "run"] * 10, FEATURES, "each of the 30 rows"),
        (["sit", "run"] * 15, 7, r"as wide as the labelled ones, \(m, 300\), got \(5, 7\)"),
    ],
)
def test_what_does_not_fit_is_refused(labels: list[str], width: int, told: str) -> None:
    train, _ = windows(30, 0)
    with pytest.raises(tsrep.InputError, match=told):
        tsrep.pseudo_labelled(train, np.array(labels), np.ones((5, width)))


def test_nothing_is_let_through_because_no_row_is_unlabelled() -> None:
    train, labels = windows(30, 0)
    with pytest.raises(tsrep.InputError, match="did you mean 'ridge'"):
        tsrep.pseudo_labelled(train, labels, np.empty((0, FEATURES)), probe="rigde")
    with pytest.raises(tsrep.InputError, match="as wide as"):
        tsrep.pseudo_labelled(train, labels, np.empty((0, 7)))
