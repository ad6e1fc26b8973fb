"""Which shape of the encoder `wide` to take, and how to read it, by training parts alone: no test part is computed.

    TSREP_DATA=... python pipelines/choose_classification.py [--sets NATOPS,Trace] [--jobs 2]

Untrained encoders and the benchmark's ridge, beside MiniRocket: accuracy of 5-fold cross-validation (fewer where a class has fewer
series), two draws of the folds, up to 200 series of a set. MiniRocket is fitted on all series of the training part, labels apart, as
the encoders' scaling and levels are. Rows go to `results/classification_choice.csv` as they come, and what is there is
not run again.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import classification
import numpy as np
import pandas as pd
import torch
from scipy.stats import wilcoxon
from sklearn.model_selection import StratifiedKFold

import tsrep

OUT = Path(__file__).parent / "results" / "classification_choice.csv"
MINIROCKET = "minirocket"
DILATED: Mapping[str, Any] = {"name": "dilated"}
BOTH: Mapping[str, Any] = {"name": "wide", "kernels": 1024, "competing": 1024}
CANDIDATES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "plain": ({"name": "wide", "kernels": 1024, "competing": 0}, "rich"),
    "twice plain": ({"name": "wide", "kernels": 2048, "competing": 0}, "rich"),
    "competing": ({"name": "wide", "kernels": 2, "competing": 1024}, "rich"),
    "plain and competing": (BOTH, "rich"),
    "plain and competing, levels": (BOTH, "levels"),
    "dilated": (DILATED, "rich"),
    "dilated, levels": (DILATED, "levels"),
}
"""Row -> encoder and readout."""
MOST = 200
FOLDS = 5
DRAWS = 2
KEY = ["dataset", "method"]


def one(name: str, method: str) -> pd.DataFrame:
    begin = time.process_time()
    train, _ = classification.parts(name, 0)
    label = np.asarray(train.label)
    if len(label) > MOST:
        train = train.rows(tsrep.stratified_fraction(label, MOST))
        label = np.asarray(train.label)
    encoder, pool = CANDIDATES.get(method, ({"name": "none"}, ""))
    if method == MINIROCKET:
        features, _ = tsrep.baseline_features(method, train.values, train.values[:1], seed=0)
    else:
        plan, _ = tsrep.make_plan({"encoder": encoder, "seed": 0})
        features = tsrep.random_model(plan, train).embed(train, pool)
    spent = time.process_time() - begin
    folds = max(2, min(FOLDS, int(np.unique(label, return_counts=True)[1].min())))
    rows = []
    for draw in range(DRAWS):
        right = np.zeros(len(label), bool)
        for fit, held in StratifiedKFold(folds, shuffle=True, random_state=draw).split(features, label):
            left, unseen = (features[rows].astype(np.float64) for rows in (fit, held))
            right[held] = tsrep.probe("ridge")(left, label[fit], unseen, seed=0) == label[held]
        rows.append({"seed": draw, "value": right.mean()})
    about = {"dataset": name, "setting": "training part, cross-validated", "method": method}
    return tsrep.tidy(
        [{**about, **row, "metric": "accuracy", "seconds": spent} for row in rows],
        features=f"{pool}, ridge" if pool else "ridge",
        encoder=encoder["name"],
        commit=tsrep.commit(),
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sets", default=",".join((*classification.UEA, *classification.UCR)))
    options.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    options.add_argument("--out", type=Path, default=OUT)
    chosen = options.parse_args()
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"  # read by the processes of the runs when they start
    done = set(pd.read_csv(chosen.out)[KEY].itertuples(index=False, name=None)) if chosen.out.is_file() else set()
    todo = [(name, method) for name in chosen.sets.split(",") for method in (MINIROCKET, *CANDIDATES)]
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for future in as_completed([pool.submit(one, *run) for run in todo if run not in done]):
            table = future.result()
            table.to_csv(chosen.out, mode="a", header=not chosen.out.is_file(), index=False)
            print(f"{table['dataset'][0]} {table['method'][0]}: {table['value'].mean():.3f}", flush=True)
    report(pd.read_csv(chosen.out))


def report(rows: pd.DataFrame) -> None:
    """Mean over sets, and each candidate against MiniRocket set by set; a set's accuracy is the mean of its draws."""
    sets = rows.pivot_table(index="dataset", columns="method", values="value").dropna()
    print(f"\n{len(sets)} sets, mean accuracy\n{sets.mean().sort_values().round(4).to_string()}\n")
    for method in sets.columns.drop(MINIROCKET):
        gain = (sets[method] - sets[MINIROCKET]).round(12)
        test = f"Wilcoxon p = {wilcoxon(gain).pvalue:.2g}" if bool(gain.any()) else "no set differs"
        print(f"{method} − {MINIROCKET}: {gain.mean():+.4f}, won {(gain > 0).sum()}, lost {(gain < 0).sum()}, {test}")


if __name__ == "__main__":
    main()
