"""Benchmarks over data sets, methods and seeds: resumable, one tidy CSV each in `pipelines/results/`.

    python pipelines/benchmark.py classification [--sets BasicMotions,NATOPS] [--methods ts2vec,simclr] [--seeds 5] [--jobs 2]

One configuration for all sets. Every run trains on the training part without labels and measures on the official test part: RBF-SVM
(the protocol of TS2Vec) and 1-NN, beside a random untrained encoder, MiniRocket with ridge and catch22.
What the CSV holds already is not run again; a stopped benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

import tsrep

RESULTS = Path(__file__).parent / "results"
SETS = "BasicMotions,JapaneseVowels,ERing,Epilepsy,NATOPS,RacketSports"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("benchmark", choices=("classification",))
    options.add_argument("--sets", default=SETS)
    options.add_argument("--methods", default="ts2vec")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each")
    options.add_argument("--out", type=Path, default=None, help="the CSV")
    chosen = options.parse_args()
    out = chosen.out or RESULTS / f"{chosen.benchmark}.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    todo = [
        (name, method, seed)
        for seed in range(chosen.seeds)
        for name in chosen.sets.split(",")
        for method in chosen.methods.split(",")
        if (name, method, seed) not in done(out)
    ]
    print(f"{len(todo)} runs to do, {chosen.jobs} at a time, into {out}", flush=True)
    # One thread a run: two runs side by side on two cores are quicker than one after the other on both.
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for future in as_completed([pool.submit(one, *what) for what in todo]):
            table = future.result()
            append(out, table)
            best = table[(table["features"] == "svm") & (table["metric"] == "accuracy")]
            said = ", ".join(f"{row.method} {row.value:.3f}" for row in best.itertuples())
            print(f"{table['dataset'].iloc[0]:<20} seed {table['seed'].iloc[0]}: {said}", flush=True)
    report(out)


def one(name: str, method: str, seed: int) -> pd.DataFrame:
    """One run; `seconds` of the learned rows hold training and embedding."""
    begin = time.perf_counter()
    model = tsrep.fit(name, method=method, seed=seed)
    took = time.perf_counter() - begin
    table = tsrep.evaluate(model, name, probes=("svm", "knn1")).table
    table.loc[table["method"] == method, "seconds"] += took
    return table


def done(out: Path) -> set[tuple[str, str, int]]:
    """Runs that the CSV holds."""
    if not out.is_file():
        return set()
    rows = pd.read_csv(out)
    return set(zip(rows["dataset"], rows["method"], rows["seed"], strict=True))


def append(out: Path, table: pd.DataFrame) -> None:
    """Add rows; baselines that another method's run of the same seed has written already are left out."""
    known = done(out)
    new = table[
        [(d, m, s) not in known for d, m, s in zip(table["dataset"], table["method"], table["seed"], strict=True)]
    ]
    new.to_csv(out, mode="a", header=not out.is_file(), index=False)


def report(out: Path) -> None:
    rows = pd.read_csv(out, keep_default_na=False)
    print(tsrep.results_markdown(rows[rows["metric"] == "accuracy"]))


if __name__ == "__main__":
    main()
