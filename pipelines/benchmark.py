"""Benchmarks over data sets, methods and seeds: resumable, one tidy CSV each in `pipelines/results/`.

    python pipelines/benchmark.py classification [--sets BasicMotions,NATOPS] [--methods ts2vec,simclr] [--seeds 5] [--jobs 2]
    python pipelines/benchmark.py forecasting [--sets ETTh1,WTH] [--methods autotcl,simclr] [--settings paper-univariate] [--seeds 3]

What is measured, and in which one configuration for all sets, is told by `classification.py` and `forecasting.py` beside this file.
What the CSV holds already is not run again; a stopped benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import classification
import forecasting
import pandas as pd
import torch

RESULTS = Path(__file__).parent / "results"
KINDS = {"classification": classification, "forecasting": forecasting}
KEY = ["dataset", "setting", "method", "seed"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("benchmark", choices=KINDS)
    options.add_argument("--sets", help="instead of all")
    options.add_argument("--methods", help="instead of all")
    options.add_argument("--settings", help="instead of all")
    options.add_argument("--seeds", type=int, default=None, help="how many")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each")
    options.add_argument("--out", type=Path, default=None, help="the CSV")
    chosen = options.parse_args()
    kind = KINDS[chosen.benchmark]
    out = chosen.out or RESULTS / f"{chosen.benchmark}.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    given = {
        name: getattr(chosen, name).split(",") if getattr(chosen, name) else None
        for name in ("sets", "settings", "methods")
    }
    for name, known in (("settings", kind.SETTINGS), ("methods", kind.METHODS)):
        unknown = [one for one in given[name] or () if one not in known]
        if unknown:
            options.error(f"expected {name} of {', '.join(known)}, got {', '.join(unknown)}")
    todo = [run for run in kind.runs(chosen.seeds or kind.SEEDS, **given) if run not in done(out)]
    print(f"{len(todo)} runs to do, {chosen.jobs} at a time, into {out}", flush=True)
    # One thread a run: two runs side by side on two cores are quicker than one after the other on both.
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for future in as_completed([pool.submit(kind.one, *run) for run in todo]):
            table = future.result()
            append(out, table)
            print(
                f"{' '.join(map(str, table[KEY[:2]].iloc[0]))}, seed {table['seed'].iloc[0]}: {kind.said(table)}",
                flush=True,
            )
    kind.report(pd.read_csv(out, keep_default_na=False), out)


def done(out: Path) -> set[tuple[str, str, str, int]]:
    """Runs that the CSV holds, as (data set, setting, method, seed)."""
    if not out.is_file():
        return set()
    rows = pd.read_csv(out)
    return set(rows[KEY].itertuples(index=False, name=None))


def append(out: Path, table: pd.DataFrame) -> None:
    """Add rows; baselines that another method's run of the same seed has written already are left out."""
    known = done(out)
    new = table[[row not in known for row in table[KEY].itertuples(index=False, name=None)]]
    new.to_csv(out, mode="a", header=not out.is_file(), index=False)


if __name__ == "__main__":
    main()
