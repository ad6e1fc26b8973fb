"""The classification benchmark: RBF-SVM (the protocol of TS2Vec) and 1-NN on frozen embeddings, official splits.

Every run trains on the training part without labels and measures on the official test part, beside a random untrained encoder,
MiniRocket with ridge and catch22. Configuration: what each method recommends, the same for all sets.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import tsrep

SETS = ("BasicMotions", "JapaneseVowels", "ERing", "Epilepsy", "NATOPS", "RacketSports")
SETTINGS = ("classify",)
METHODS = ("ts2vec", "autotcl", "simclr")
SEEDS = 5

Run = tuple[str, str, str, int]
"""data set, setting, method, seed"""


def runs(
    seeds: int, sets: Sequence[str] | None, settings: Sequence[str] | None, methods: Sequence[str] | None
) -> list[Run]:
    return [
        (name, setting, method, seed)
        for seed in range(seeds)
        for name in sets or SETS
        for setting in settings or SETTINGS
        for method in methods or METHODS[:1]
    ]


def one(name: str, setting: str, method: str, seed: int) -> pd.DataFrame:
    """One run; `seconds` of the learned rows hold training and embedding."""
    begin = time.perf_counter()
    model = tsrep.fit(name, method=method, seed=seed)
    took = time.perf_counter() - begin
    table = tsrep.evaluate(model, name, task=setting, probes=("svm", "knn1")).table
    table.loc[table["method"] == method, "seconds"] += took
    return table


def said(table: pd.DataFrame) -> str:
    best = table[(table["features"] == "svm") & (table["metric"] == "accuracy")]
    return ", ".join(f"{row.method} {row.value:.3f}" for row in best.itertuples())


def report(rows: pd.DataFrame, out: Path) -> None:
    print(tsrep.results_markdown(rows[rows["metric"] == "accuracy"]))
