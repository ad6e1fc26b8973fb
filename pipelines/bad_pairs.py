"""Are planted bad pairs found, and does weighing them down help? Writes `results/bad_pairs.csv`.

    TSREP_DATA=... python pipelines/bad_pairs.py [--sets NATOPS,Epilepsy] [--hosts simclr,ts2vec,autotcl] [--share 0.05] [--seeds 5]

Of the training series a share is made faulty (the second view is that of another series) and as many noisy (both views drown in
the same wandering baseline), for good. A host learns from undamaged series, and from damaged ones alone, with mining (robust
thresholds) and with mining by gaussian thresholds, as published. Found is what the memory says at the end: recall and precision
for each kind. Lost is accuracy of ridge on the embeddings of the undamaged test series; what the encoder reads untrained stands beside
it. SimCLR has views like the paper's, scaling with strong jitter and permutation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import wilcoxon
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Generator, Tensor, nn

import tsrep

OUT = Path(__file__).parent / "results" / "bad_pairs.csv"
SETS = ("NATOPS", "JapaneseVowels", "SyntheticControl", "RacketSports", "Epilepsy")
RANDOM = "random encoder"
SIMCLR: Mapping[str, Any] = {"name": "simclr", "augment": ["scale", {"jitter": {"sigma": 0.8}}, "permute"]}
HOSTS: Mapping[str, Mapping[str, Any]] = {
    RANDOM: SIMCLR,  # whose plan names a method, as every plan does, and does not train
    "simclr": SIMCLR,
    "ts2vec": {"name": "ts2vec"},
    "autotcl": {"name": "autotcl"},
}
MINING: Mapping[str, Mapping[str, Any]] = {
    "": {},
    " + bad pairs": {"bad_pairs": {}},
    " + bad pairs, gaussian": {"bad_pairs": {"spread": "gaussian"}},
}
STRENGTH = 10.0
"""Deviation of the planted noise, in deviations of the data: the signal is a tenth of it."""
ENCODER = {"name": "dilated", "hidden": 32, "depth": 6, "features": 64}
TRAINING = {"epochs": 30, "batch_size": 32, "learning_rate": 1e-3, "log_every": 50}


class Planted(nn.Module):
    """Damages the views of some series: those `faulty` get the second view of the next series of the batch, those `noisy` the same
    noise in both views, at the same moments."""

    def __init__(self, view: Any, names: tuple[str, str], faulty: Tensor, noisy: Tensor) -> None:
        super().__init__()
        self.view, self.names, self.faulty, self.noisy = view, names, faulty, noisy

    def forward(self, batch: Mapping[str, tsrep.Series], generator: Generator) -> dict[str, tsrep.Series]:
        views = dict(self.view(batch, generator))
        (series,) = batch.values()
        faulty, noisy = torch.isin(series.row, self.faulty), torch.isin(series.row, self.noisy)
        second = views[self.names[1]]
        other = torch.where(faulty, torch.arange(len(series)).roll(-1), torch.arange(len(series)))
        views[self.names[1]] = replace(second, values=second.values[other], observed=second.observed[other])
        noise = STRENGTH * wandering(series.values.shape, generator)
        for name in self.names:
            view = views[name]
            moment = (view.start[:, None] + torch.arange(view.length)).clamp(0, series.length - 1)
            shared = noise.gather(2, moment[:, None].expand(-1, view.channels, -1))
            values = torch.where(noisy[:, None, None], view.values + shared, view.values)
            views[name] = replace(view, values=torch.where(view.observed, values, 0.0))
        return views


def wandering(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """A baseline that wanders: random walks (batch, channel, time) of mean 0 and deviation 1."""
    walk = torch.randn(shape, generator=generator).cumsum(-1)
    return (walk - walk.mean(-1, keepdim=True)) / walk.std(-1, keepdim=True)


Run = tuple[str, str, str, float, int]
"""data set, host, mining, share of faulty series and of noisy ones (0 = undamaged), seed"""


def named(run: Run) -> tuple[str, str, str, int]:
    """data set, setting, method and seed, as a row of the CSV has them."""
    name, host, mining, share, seed = run
    return name, f"{100 * share:g} % of each" if share else "clean", host + mining, seed


def one(run: Run) -> pd.DataFrame:
    """Accuracy, and what was found, of one training."""
    name, host, mining, share, seed = run
    begin = time.perf_counter()
    data = tsrep.load_dataset(name)
    content = {"method": HOSTS[host], "mining": MINING[mining], "encoder": ENCODER, "training": TRAINING, "seed": seed}
    plan, _ = tsrep.make_plan(content)
    ready = tsrep.prepare(data.train, plan)
    method = tsrep.build(plan, ready.shape)
    order = torch.randperm(len(ready.train), generator=Generator().manual_seed(seed))
    count = max(1, round(share * len(ready.train)))
    planted = {"noisy": order[:count], "faulty": order[count : 2 * count]}
    if share:
        contrast = method.phases[-1]
        names = ("left", "right") if contrast.embeds is None else contrast.embeds
        view = Planted(method.view, names, planted["faulty"], planted["noisy"])
        method = tsrep.Method(method.name, view, method.encoder, method.phases, method.head)
    method = method.mined(plan.mining.values(), ready.train)
    encoder = method.encoder.eval()
    if host != RANDOM:
        encoder, _ = tsrep.train(method, ready.train, plan.training, seed=seed)
    model = tsrep.Model(encoder, plan, ready.scaler, ready.described, ready.check)
    probe = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-3, 3, 13)))
    probe.fit(model.embed(data.train), data.train.label)
    rows = [("ridge", "accuracy", probe.score(model.embed(data.test), data.test.label))]
    for term, found in tsrep.bad_pairs(method).items():
        rows.append((term, "reliability", found.reliability))
        for code, kind in enumerate(("noisy", "faulty"), start=1):
            said = found.kind == code
            right = float(said[planted[kind]].sum())
            rows.append((term, f"{kind} recall", right / count))
            rows.append((term, f"{kind} precision", right / max(1.0, float(said.sum()))))
    _, setting, called, _ = named(run)
    return tsrep.tidy(
        [{"features": where, "metric": metric, "value": value} for where, metric, value in rows],
        dataset=name,
        setting=setting,
        method=called,
        encoder=ENCODER["name"],
        seed=seed,
        seconds=time.perf_counter() - begin,
        commit=tsrep.commit(),
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sets", default=",".join(SETS))
    options.add_argument("--hosts", default="simclr")
    options.add_argument("--share", type=float, default=0.05, help="of the series made faulty, and as many noisy")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    options.add_argument("--out", type=Path, default=OUT)
    chosen = options.parse_args()
    key = ["dataset", "setting", "method", "seed"]
    done = set(pd.read_csv(chosen.out)[key].itertuples(index=False, name=None)) if chosen.out.is_file() else set()
    every = (
        (name, host, mining, share, seed)
        for seed in range(chosen.seeds)
        for host in (RANDOM, *chosen.hosts.split(","))
        for name in chosen.sets.split(",")
        for mining, share in [("", 0.0), *((mining, chosen.share) for mining in (MINING if host != RANDOM else ()))]
    )
    todo = [run for run in every if named(run) not in done]
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for future in as_completed([pool.submit(one, run) for run in todo]):
            table = future.result()
            table.to_csv(chosen.out, mode="a", header=not chosen.out.is_file(), index=False)
            print(
                table[["dataset", "setting", "method", "features", "seed", "metric", "value"]].to_string(), flush=True
            )
    report(pd.read_csv(chosen.out, keep_default_na=False))


def report(rows: pd.DataFrame) -> None:
    """Means and deviations over the seeds; accuracy that mining keeps, tested over sets: seeds of a set are not independent."""
    print(tsrep.results_markdown(rows))
    accuracy = rows[rows["metric"] == "accuracy"]
    for setting, found in accuracy[accuracy["setting"] != "clean"].groupby("setting"):
        wide = found.pivot_table(index=["dataset", "seed"], columns="method", values="value")
        for method in wide.columns:
            host = method.split(" + ")[0]
            if method != host:
                gain = (wide[method] - wide[host]).dropna()
                sets, spread = gain.groupby("dataset").mean(), gain.groupby("dataset").std().mean()
                test = wilcoxon(sets) if bool((sets != 0).any()) else None
                told = "no set differs" if test is None else f"Wilcoxon over n = {len(sets)} sets p = {test.pvalue:.3g}"
                print(
                    f"{setting}, {method} − {host}: {sets.mean():+.4f} (mean over sets; sd over the seeds of a set {spread:.4f}), "
                    f"better in {(gain > 0).sum()} of {len(gain)} runs and on {(sets > 0).sum()} of {len(sets)} sets, {told}"
                )


if __name__ == "__main__":
    main()
