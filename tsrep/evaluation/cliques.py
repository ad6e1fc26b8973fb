"""Cliques: groups of methods among which no difference over data sets is more than luck.

Average ranks put the methods in order. Each pair is tested by Wilcoxon's signed-rank test (Benavoli et al. 2016, JMLR 17(5), who show
why it replaces Nemenyi's: that one's verdict on two methods depends on which others are in the table), the p of all pairs corrected
by Holm (1979): sorted p_(1) ≤ … ≤ p_(m), p'_(k) = max over l ≤ k of min(1, (m − l + 1) p_(l)).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from tsrep.errors import InputError
from tsrep.evaluation.compare import paired, ranks

LEVEL = 0.05


def holm(p: np.ndarray) -> np.ndarray:
    """(m,) p-values of m tests -> (m,) corrected ones, in the same order."""
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    out = np.empty_like(p)
    out[order] = np.maximum.accumulate(np.minimum(1.0, (len(p) - np.arange(len(p))) * p[order]))
    return out


def differences(scores: pd.DataFrame) -> pd.DataFrame:
    """data set x method -> method x method of Holm's p, 1 on the diagonal. Only data sets that every method was run on count.

    Scores are means over seeds: runs of one set are not independent of each other, so n is the number of sets.
    """
    whole = scores.dropna()
    if whole.empty or whole.shape[1] < 2:
        raise InputError(
            f"expected at least two methods and one data set that all were run on, got {whole.shape[1]}, {len(whole)}"
        )
    pairs = list(combinations(range(whole.shape[1]), 2))
    values = whole.to_numpy(float)
    corrected = holm(np.array([paired(values[:, a], values[:, b]).p for a, b in pairs]))
    table = np.ones((whole.shape[1],) * 2)
    for (a, b), p in zip(pairs, corrected, strict=True):
        table[a, b] = table[b, a] = p
    return pd.DataFrame(table, index=whole.columns, columns=whole.columns)


def cliques(scores: pd.DataFrame, level: float = LEVEL) -> list[tuple[str, ...]]:
    """Largest runs of methods, neighbours in rank, of which no two differ at the level; best first, runs of one left out.

    scores: data set x method, higher is better.
    """
    order = ranks(scores).sort_values(kind="stable").index.tolist()
    alike = differences(scores).loc[order, order].to_numpy() >= level
    found: list[tuple[str, ...]] = []
    reached = 0
    for begin in range(len(order)):
        end = begin + 1
        while end < len(order) and alike[begin:end, end].all():
            end += 1
        if end > reached and end - begin > 1:  # else it is a part of the one before
            found.append(tuple(map(str, order[begin:end])))
            reached = end
    return found
