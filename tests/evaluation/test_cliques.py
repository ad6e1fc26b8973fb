"""Cliques: Holm's correction and the groups of a hand example."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, wilcoxon

from tsrep.errors import InputError
from tsrep.evaluation.cliques import cliques, differences, holm
from tsrep.evaluation.compare import ranks


def table() -> pd.DataFrame:
    """Twenty sets: a and b differ by noise, c is below both on every set, d is like c but for noise of its own."""
    rng = np.random.default_rng(0)
    a = rng.uniform(0.7, 0.9, 20)
    noise = np.array([1, -1] * 10) * rng.uniform(0.001, 0.01, 20)
    c = a - 0.1
    return pd.DataFrame({"d": c - noise[::-1], "b": a + noise, "c": c, "a": a})


def test_holm_is_as_worked_out_by_hand() -> None:
    """.01 · 4, .02 · 3, .03 · 2 (= .06, not below the one before), .04 · 1 raised to .06."""
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.02])), [0.06, 0.04, 0.06, 0.06])
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]


def test_ranks_are_those_of_scipy_ties_included() -> None:
    scores = pd.DataFrame(np.random.default_rng(0).integers(0, 4, (12, 5)) / 4, columns=list("abcde"))
    assert scores.nunique(axis=1).lt(5).any()
    expected = rankdata(-scores.to_numpy(), axis=1).mean(axis=0)
    np.testing.assert_allclose(ranks(scores).to_numpy(), expected)


def test_differences_are_wilcoxon_tests_corrected_over_all_pairs() -> None:
    scores = table()
    found = differences(scores)
    raw = {(x, y): wilcoxon((scores[x] - scores[y]).round(12)).pvalue for x in "abcd" for y in "abcd" if x < y}
    assert found.loc["a", "c"] == found.loc["c", "a"]
    least = min(raw, key=lambda pair: raw[pair])
    np.testing.assert_allclose(found.loc[least], 6 * raw[least])  # the least of six
    np.testing.assert_allclose(found.loc["a", "b"], min(1, 2 * raw["a", "b"]))  # of the last two
    assert found.loc["a", "b"] > 0.05
    assert (np.diag(found) == 1).all()


def test_two_pairs_of_equals_are_two_cliques_the_better_first() -> None:
    found = cliques(table())
    assert [set(one) for one in found] == [{"a", "b"}, {"c", "d"}]


def test_cliques_may_overlap() -> None:
    """Each is like its neighbour; the first is above the third on every set."""
    lead = np.repeat([-0.03, 0.02, 0.06], 4)
    middle = np.linspace(0.6, 0.7, 12)
    scores = pd.DataFrame({"third": middle - lead[::-1], "first": middle + lead, "second": middle})
    assert differences(scores).loc["first", "third"] < 0.05
    assert cliques(scores) == [("first", "second"), ("second", "third")]


def test_methods_that_never_differ_are_one_clique() -> None:
    """Of its parts, cliques too, nothing is said."""
    assert cliques(pd.DataFrame({"x": [0.5, 0.6], "y": [0.5, 0.6], "z": [0.5, 0.6]})) == [("x", "y", "z")]


def test_one_method_alone_is_refused() -> None:
    with pytest.raises(InputError, match=r"at least two methods.*got 1, 2"):
        cliques(pd.DataFrame({"a": [0.1, 0.2]}))
