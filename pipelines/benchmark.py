"""Benchmarks over data sets, methods and seeds: resumable, one tidy CSV each in `pipelines/results/`.

    python pipelines/benchmark.py classification [--sets BasicMotions,NATOPS] [--methods ts2vec,minirocket] [--seeds 5] [--jobs 2]
    python pipelines/benchmark.py forecasting [--sets ETTh1,WTH] [--methods autotcl,simclr] [--settings paper-univariate] [--seeds 3]
    python pipelines/benchmark.py streams [--settings cross-modal,devices,latent,objectives] [--sets UTD-MHAD] [--methods collossl]

What is measured, and in which one configuration for all sets, is told by `classification.py`, `forecasting.py` and `streams.py`
beside this file. What the CSV holds already is not run again, unless --again says so: for rows that were written before a readout was
known. A stopped benchmark goes on where it stopped. A run that fails is named, in the end too, and the others go on.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import classification
import forecasting
import pandas as pd
import streams
import torch

RESULTS = Path(__file__).parent / "results"
KINDS = {"classification": classification, "forecasting": forecasting, "streams": streams}
KEY = ["dataset", "setting", "method", "seed"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("benchmark", choices=KINDS)
    options.add_argument("--sets", help="instead of all")
    options.add_argument("--methods", help="instead of all")
    options.add_argument("--settings", help="instead of all")
    options.add_argument("--seeds", type=int, default=None, help="how many")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each")
    options.add_argument(
        "--again", action="store_true", help="run what the CSV holds, too, and put its new rows in place of the old"
    )
    options.add_argument("--out", type=Path, default=None, help="the CSV")
    chosen = options.parse_args()
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"  # read by the processes of the runs when they start
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
    have = set() if chosen.again else done(out)
    todo = [run for run in kind.runs(chosen.seeds or kind.SEEDS, **given) if run not in have]
    print(f"{len(todo)} runs to do, {chosen.jobs} at a time, into {out}", flush=True)
    failed = []
    threads = ThreadPoolExecutor(chosen.jobs)
    waiting = {threads.submit(alone, kind.one, run): run for run in todo}
    try:
        for future in as_completed(waiting):
            name, setting, method, seed = waiting[future]
            called = f"{name} {setting} {method}, seed {seed}"
            try:
                table = future.result()
            except Exception as error:  # whatever it was, the other runs go on
                failed.append(f"{called}: {type(error).__name__}: {error}")
                print(f"failed: {failed[-1]}", flush=True)
                continue
            if chosen.again:
                forget(out, table)
            append(out, table)
            print(f"{called}: {kind.said(table) if len(table) else 'left out, not affordable'}", flush=True)
    finally:
        threads.shutdown(cancel_futures=True)  # when interrupted: what has not begun is not begun
    if out.is_file():
        kind.report(pd.read_csv(out, keep_default_na=False), out)
    if failed:
        raise SystemExit("\n".join([f"{len(failed)} of {len(todo)} runs failed:", *failed]))


def alone(one: Callable[..., pd.DataFrame], run: tuple[str, str, str, int]) -> pd.DataFrame:
    """A run in a fresh process: its peak of memory is its own, and one that is killed takes no other with it."""
    # One thread a run: two runs side by side on two cores are quicker than one after the other on both.
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (1,)) as process:
        return process.submit(one, *run).result()


def done(out: Path) -> set[tuple[str, str, str, int]]:
    """Runs that the CSV holds, as (data set, setting, method, seed)."""
    if not out.is_file():
        return set()
    rows = pd.read_csv(out, usecols=KEY)
    return set(rows[KEY].itertuples(index=False, name=None))


def forget(out: Path, table: pd.DataFrame) -> None:
    """Take out the rows of the runs of this table."""
    if out.is_file():
        rows, again = pd.read_csv(out, dtype=str, keep_default_na=False), table[KEY].astype(str)
        kept = rows[~pd.MultiIndex.from_frame(rows[KEY]).isin(pd.MultiIndex.from_frame(again))]
        beside = out.with_suffix(".part")
        kept.to_csv(beside, index=False)
        beside.replace(out)


def append(out: Path, table: pd.DataFrame) -> None:
    """Add rows; baselines that another method's run of the same seed has written already are left out."""
    known = done(out)
    new = table[[row not in known for row in table[KEY].itertuples(index=False, name=None)]]
    new.to_csv(out, mode="a", header=not out.is_file(), index=False)


if __name__ == "__main__":
    main()
