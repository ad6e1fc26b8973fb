"""The forecasting benchmark: ridge on frozen embeddings, in a few configurations, the same for all data sets.

paper: the protocol of TS2Vec, CoST and AutoTCL. A causal `trend` encoder on the target (univariate) or all channels, with the seven
       calendar covariates; one ridge on the embedding of the last step for all channels, nothing taken off. Three methods and the
       ablations of AutoTCL learn with the same encoder and for as long.
ours:  every channel by itself, its windows of 336 steps, less their last value, in patches that are read one after another, and the
       calendar; one ridge that all channels share, to what comes less the last value. Chosen by `choose_forecasting.py` in three
       rehearsals before the test part. `once` is what a single validation part chose.

Beside both stand a random untrained encoder, last value, seasonal naive and ridge on raw lags; beside ours also the very same head on
the lags, without which one cannot tell what the embedding adds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import tsrep

TARGETS = {"ETTh1": "OT", "ETTh2": "OT", "ETTm1": "OT", "WTH": "WetBulbCelsius"}
SETS = tuple(TARGETS)
SEEDS = 3

PAPER: Mapping[str, Any] = {
    "data": {"calendar": True, "window": 256, "hop": 32},
    "encoder": {"name": "trend", "hidden": 32, "depth": 7, "width": 64, "features": 128},
    "training": {"steps": 80, "batch_size": 8, "learning_rate": 1e-4},
}
PAPER_HEAD = tsrep.Head(kind="joint", centre="none")
OURS: Mapping[str, Any] = {
    "data": {"independent": True, "window": 336, "hop": 24},
    "encoder": {
        "name": "patch",
        "patch": 16,
        "stride": 16,
        "hidden": 16,
        "layers": 1,
        "features": 16,
        "normalise": "last",
        "pool": "flat",
    },
    "training": {"steps": 80, "batch_size": 16, "learning_rate": 1e-4},
}
HEAD = tsrep.Head(kind="shared", centre="last", calendar=True)
ONCE: Mapping[str, Any] = OURS | {"encoder": OURS["encoder"] | {"patch": 8, "stride": 8, "normalise": "none"}}
"""What one validation part alone chose, under the same head."""
SETTINGS = {
    "paper-univariate": PAPER,
    "ours-univariate": OURS,
    "ours-multivariate": OURS,
    "once-univariate": ONCE,
    "once-multivariate": ONCE,
    "paper-multivariate": PAPER,
}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "autotcl": {"name": "autotcl"},
    "simclr": {"name": "simclr"},
    "ts2vec": {"name": "ts2vec"},
    "autotcl, no h": {"name": "autotcl", "gate": False},
    "autotcl, no g": {"name": "autotcl", "transform": False},
    "autotcl, no η": {"name": "autotcl", "mask": 0.0},
    "autotcl, no local": {"name": "autotcl", "local": 0.0},
    "autotcl, official": {"name": "autotcl", "compat": "official"},
}
ABLATED = "paper-univariate"
"""The setting in which the parts of AutoTCL are taken away one by one."""

Run = tuple[str, str, str, int]
"""data set, setting, method, seed"""


def runs(
    seeds: int, sets: Sequence[str] | None, settings: Sequence[str] | None, methods: Sequence[str] | None
) -> list[Run]:
    return [
        (name, setting, method, seed)
        for seed in range(seeds)
        for setting in settings or SETTINGS
        for name in sets or SETS
        for method in methods or METHODS
        if setting == ABLATED or "," not in method
    ]


def one(name: str, setting: str, method: str, seed: int) -> pd.DataFrame:
    """One run; `seconds` of the learned rows hold training, embedding and ridge."""
    content = dict(SETTINGS[setting])
    target = {"channels": [TARGETS[name]]} if setting.endswith("univariate") else {}
    content |= {"data": {"name": name, **content["data"], **target}, "method": METHODS[method], "seed": seed}
    plan, _ = tsrep.make_plan(content)
    begin = time.perf_counter()
    model = tsrep.run(plan)
    took = time.perf_counter() - begin
    paper = setting.startswith("paper")
    table = tsrep.forecast(
        model,
        name,
        head=PAPER_HEAD if paper else HEAD,
        features=("embedding",) if paper else ("embedding", "both", "lags"),
    ).table
    learned = table["method"] == METHODS[method]["name"]
    table.loc[learned, "seconds"] += took
    table.loc[learned, "method"] = method
    return table.assign(setting=setting)


def said(table: pd.DataFrame) -> str:
    best = table[(table["horizon"] == "mean") & (table["metric"] == "mse")]
    return ", ".join(f"{row.method} ({row.features}) {row.value:.4f}" for row in best.itertuples())


def report(rows: pd.DataFrame, out: Path) -> None:
    """Means over the horizons to the terminal, and a picture beside the CSV."""
    means = rows[(rows["horizon"] == "mean") & (rows["metric"].isin(["mse", "mae"]))]
    print(tsrep.results_markdown(means))
    tsrep.benchmark_picture(means[means["metric"] == "mse"], title="Forecasting: MSE, mean of five horizons").savefig(
        out.with_suffix(".png"), dpi=130
    )
