"""The classification benchmark: methods × data sets × seeds, frozen embeddings read in several ways, baselines beside them.

Data: six sets of UEA and 27 of UCR with their official splits; UCI-HAR by subject as published, with all and with few labels; the beats
of MIT-BIH record 100, the first half of the record against the second; the chest accelerometer with participants left out, in five
folds. Training sees the training part without labels, probes its labels, and nothing but the accuracy is made of the test part. One
configuration for all sets: what each method recommends.

Every run is one method on one set under one seed in a process of its own. Baselines are runs like others, once a seed, and those that
know no chance once in all (once a fold where seeds are folds).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import memory
import numpy as np
import pandas as pd

import tsrep

UEA = ("BasicMotions", "JapaneseVowels", "ERing", "Epilepsy", "NATOPS", "RacketSports")
UCR = (
    "BME", "CBF", "Coffee", "DiatomSizeReduction", "DistalPhalanxOutlineAgeGroup", "DistalPhalanxOutlineCorrect", "ECG200", "FaceAll",
    "GunPointAgeSpan", "GunPointOldVersusYoung", "Lightning2", "MedicalImages", "MiddlePhalanxOutlineAgeGroup",
    "MiddlePhalanxOutlineCorrect", "PhalangesOutlinesCorrect", "ProximalPhalanxOutlineAgeGroup", "ProximalPhalanxOutlineCorrect",
    "SmoothSubspace", "SonyAIBORobotSurface1", "SyntheticControl", "Trace",
    "ArrowHead", "GunPoint", "ItalyPowerDemand", "OSULeaf", "ACSF1", "PLAID",
)  # fmt: skip
SENSORS = ("UCI-HAR", "MITBIH-100", "Chest-Accelerometer")
SETS = (*UEA, *UCR, *SENSORS)
FOLDS: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "Chest-Accelerometer": tuple((first, first + 5, first + 10) for first in range(1, 6))
}
"""Set -> the subjects that test in each fold. Seed s takes fold s modulo their number: five seeds test every participant once."""

SETTINGS = ("classify",)
SEEDS = 5
SIMCLR: Mapping[str, Any] = {"method": "simclr", "training": {"batch_size": 32, "steps": 200}}
"""For its cost: with its own batches of 64 and 600 steps, the two sets of more than 1000 steps alone take half a day."""
AUTOTCL: Mapping[str, Any] = {"method": {"name": "autotcl", "temperature": 0.05}, "training": {"batch_size": 8}}
"""Its own temperature of 1 collapses on these sets; `results/classification.md` says how this one was chosen."""
MINED: Mapping[str, Any] = {"mining": {"bad_pairs": {}}}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "ts2vec": {"method": "ts2vec"},
    "ts2vec + bad pairs": {"method": "ts2vec", **MINED},
    "simclr": SIMCLR,
    "simclr + bad pairs": {**SIMCLR, **MINED},
    "autotcl": AUTOTCL,
    "autotcl + bad pairs": {**AUTOTCL, **MINED},
    "ts2vec wide": {"method": "ts2vec", "encoder": "wide"},
    "random encoder": {},
    "random wide": {"encoder": "wide"},
    "minirocket": {},
    "catch22": {},
    "dtw": {},
}
"""Row -> what its plan says beside the data; the baselines that follow have none."""

HOSTS = {name: name.removesuffix(" + bad pairs") for name in METHODS if name.endswith(" + bad pairs")} | {
    "ts2vec wide": "random wide",
    "ts2vec": "random encoder",
}
"""Row -> the row it is set against, set by set: what it adds to."""
RANDOM = ("random encoder", "random wide")
"""Encoders that never learned: of a plan's weights as the seed gives them."""
UNCHANGING = ("catch22", "dtw")
"""Baselines that no seed changes."""

READ = (("max", "svm"), ("mean", "svm"), ("rich", "svm"), ("rich", "ridge"), ("levels", "ridge"))
"""Readout and probe of embeddings. (max, svm) is the protocol of TS2Vec; ridge is the probe of MiniRocket, for many features."""
LINEAR = (("max", "linear"),)
"""Beside them where logistic regression is what is published. Of the rich readout it costs minutes that ridge does not."""
WIDE = (("rich", "ridge"), ("levels", "ridge"))
"""Of the wide encoder, whose readouts have ten thousand numbers: a search of the SVM over them costs more than the training."""
READ_BY = {"minirocket": "ridge", "catch22": "linear"}
HELPED = "ridge, self-trained"
"""Ridge that learns from the unlabelled rows of the training part too, with the labels it gave them (`tsrep.pseudo_labelled`)."""
FEW_TOO = {"minirocket": (("", HELPED),), "catch22": ()}
"""What is asked with few labels alone: of embeddings it is the levels by this ridge. catch22 is read by its linear probe, whose search
over 2000 rows takes minutes."""
MOST = 10_000
"""Labelled rows beyond which every probe is fitted on a stratified sample of so many: the rule of TS2Vec's SVM, for all of them."""
SVM_ROWS = 5000
"""Labelled rows beyond which the SVM, which searches for C in fifty fits, is asked of the maximum alone, as it is published."""

FEW = {"UCI-HAR": (0.01, 0.05, 0.1)}
"""Set -> shares of labels at which it is measured too."""
DRAWS = 5

PUBLISHED = {
    "BasicMotions": 0.975, "JapaneseVowels": 0.984, "ERing": 0.874, "Epilepsy": 0.964, "NATOPS": 0.928, "RacketSports": 0.855,
}  # fmt: skip
"""TS2Vec, maximum and SVM, as AutoTCL (ICLR 2024, table 12) prints it."""
DRAWN = {"max, svm": ("ts2vec", "random encoder"), "rich, ridge": tuple(METHODS), "levels, ridge": ("ts2vec", *RANDOM)}
"""What the picture of ranks shows beside the baselines: readings and the methods of each. All would be too many to see."""

Run = tuple[str, str, str, int]
"""data set, setting, method, seed"""
Features = tuple[np.ndarray, np.ndarray]
"""training part (n, feature), test part (m, feature), float64"""


def runs(
    seeds: int, sets: Sequence[str] | None, settings: Sequence[str] | None, methods: Sequence[str] | None
) -> list[Run]:
    return [
        (name, setting, method, seed)
        for seed in range(seeds)
        for name in sets or SETS
        for setting in settings or SETTINGS
        for method in methods or METHODS
        if seed == 0 or method not in UNCHANGING or name in FOLDS
    ]


def one(name: str, setting: str, method: str, seed: int) -> pd.DataFrame:
    """One run: rows of accuracy and macro F1 for each reading, of the time, and of the memory. `seconds` hold training, embedding
    and probe, in seconds of the processor: one thread a run, and what else the machine does is not counted. Empty where the method is
    not affordable."""
    train, test = parts(name, seed)
    encoder = "none" if method in (*READ_BY, "dtw") else str(METHODS[method].get("encoder", "dilated"))
    common = {"dataset": name, "setting": setting, "method": method, "encoder": encoder, "seed": seed}
    rows: list[dict[str, Any]] = []

    def score(setting: str, features: str, predicted: np.ndarray, seconds: float) -> None:
        found = tsrep.class_scores(test.label, predicted)
        about = {"setting": setting, "features": features, "seconds": seconds}
        rows.extend({**about, "metric": metric, "value": value} for metric, value in found.items())

    costs: dict[str, float] = {}
    if method == "dtw":
        if tsrep.dtw_affordable(train.values, test.values):
            tsrep.dtw(train.values[:2], train.label[:2], test.values[:1])  # loads and compiles
            held, begin = memory.rewind(), time.process_time()
            predicted, _ = tsrep.dtw(train.values, train.label, test.values)
            costs = {"embedding seconds": time.process_time() - begin, "memory MB": memory.peak() - held}
            score(setting, "1-NN", predicted, costs["embedding seconds"])
    else:
        readouts, costs = learned(method, train, test, seed) if encoder != "none" else made(method, train, test, seed)
        spent = costs.get("training seconds", 0.0) + costs["embedding seconds"]
        for labelled, where, readings in asked(name, setting, method, train.label):
            for readout, probe in readings:
                left, right = readouts[readout]
                if probe == "svm" and readout != "max" and len(labelled) > SVM_ROWS:
                    continue
                begin = time.process_time()
                known, base = (left[labelled], train.label[labelled]), probe
                if probe == HELPED:
                    rest = np.delete(left, labelled, axis=0)
                    known, base = tsrep.pseudo_labelled(*known, rest, probe="ridge", seed=seed), "ridge"
                predicted = tsrep.probe(base)(*known, right, seed=seed)
                said = f"{readout}, {probe}" if readout else probe
                score(where, said, predicted, spent + time.process_time() - begin)
    rows += [{"metric": metric, "value": value} for metric, value in costs.items()]
    return tsrep.tidy([{**common, **row} for row in rows], commit=tsrep.commit())


def parts(name: str, seed: int) -> tuple[tsrep.Panel, tsrep.Panel]:
    """Training and test part. Test rows of a class that no training row has (the one V beat) are left out: nothing can name them."""
    folds = FOLDS.get(name)
    data = tsrep.load_dataset(name, subjects=folds[seed % len(folds)] if folds else None)
    return data.train, data.test.rows(np.isin(data.test.label, np.unique(data.train.label)))


def asked(
    name: str, setting: str, method: str, label: np.ndarray
) -> Iterator[tuple[np.ndarray, str, Sequence[tuple[str, str]]]]:
    """(rows whose labels the probes see, the setting as it is written, what is read): all labels, and few where the set has such."""
    every = np.arange(len(label)) if len(label) <= MOST else tsrep.stratified_fraction(label, MOST)
    baseline, wide = READ_BY.get(method), METHODS[method].get("encoder") == "wide"
    all_of_it = WIDE if wide else (*READ, *LINEAR) if name in FEW else READ
    yield every, setting, [("", baseline)] if baseline else all_of_it
    for share in FEW.get(name, ()):
        for draw in range(DRAWS):
            rows = tsrep.stratified_fraction(label, share, seed=draw)  # the same for every method and seed
            where = f"{100 * share:g} % of labels, draw {draw}"
            said = [("", baseline)] if baseline else WIDE if wide else (READ[0], *WIDE, *LINEAR)
            yield rows, where, (*said, *FEW_TOO.get(method, (("levels", HELPED),)))


def learned(
    method: str, train: tsrep.Panel, test: tsrep.Panel, seed: int
) -> tuple[dict[str, Features], dict[str, float]]:
    """An encoder that learned from the training part, or that never did: features by readout, and what they cost."""
    plan, _ = tsrep.make_plan({**METHODS[method], "seed": seed})
    held = memory.rewind()
    begin = time.process_time()
    model = tsrep.random_model(plan, train) if method in RANDOM else tsrep.run(plan, train)
    trained = time.process_time()
    rich = [model.embed(part, "rich") for part in (train, test)]  # the first columns are the maximum, the next the mean
    costs = {"training seconds": trained - begin, "embedding seconds": time.process_time() - trained}
    costs["memory MB"] = memory.peak() - held
    levels = [model.embed(part, "levels") for part in (train, test)]  # one readout is paid for, not two
    width = model.features
    cut = {"max": slice(width), "mean": slice(width, 2 * width), "rich": slice(None)}
    found = {readout: [part[:, columns] for part in rich] for readout, columns in cut.items()} | {"levels": levels}
    return {
        readout: (left.astype(np.float64), right.astype(np.float64)) for readout, (left, right) in found.items()
    }, costs


def made(method: str, train: tsrep.Panel, test: tsrep.Panel, seed: int) -> tuple[dict[str, Features], dict[str, float]]:
    """Features of a baseline, and what they cost once its libraries are loaded and compiled."""
    few = train.values[:4]
    tsrep.baseline_features(method, few, few, seed=seed)
    held, begin = memory.rewind(), time.process_time()
    left, right = tsrep.baseline_features(method, train.values, test.values, seed=seed)
    costs = {"embedding seconds": time.process_time() - begin, "memory MB": memory.peak() - held}
    return {"": (left.astype(np.float64), right.astype(np.float64))}, costs


def said(table: pd.DataFrame) -> str:
    found = table[(table["setting"] == SETTINGS[0]) & (table["metric"] == "accuracy")]
    return ", ".join(f"{row.features} {row.value:.3f}" for row in found.itertuples())


def report(rows: pd.DataFrame, out: Path) -> None:
    """`<out>_table.md` with all tables, `<out>.png` with average ranks; what is said of them by hand is in `<out>.md`."""
    text = tsrep.benchmark_page(
        rows,
        against="minirocket",
        hosts=HOSTS,
        published=PUBLISHED,
        published_for=("ts2vec", "max, svm"),
        uneven=SENSORS,
    )
    head = f"# Classification: tables\n\nMade of `{out.name}` by `python pipelines/benchmark.py classification`; not to be edited.\n"
    out.with_name(f"{out.stem}_table.md").write_text(f"{head}\n{text}")
    accuracy = rows[(rows["setting"] == SETTINGS[0]) & (rows["metric"] == "accuracy")]
    drawn = [
        encoder == "none" or method in DRAWN.get(reading, ())
        for encoder, method, reading in zip(accuracy["encoder"], accuracy["method"], accuracy["features"], strict=True)
    ]
    shown = accuracy[drawn]
    if shown["method"].nunique() > 1:
        ours = [name for name, recipe in METHODS.items() if "method" in recipe]
        tsrep.ranks_picture(shown, highlight=ours, title="Accuracy, average rank").savefig(
            out.with_suffix(".png"), dpi=130
        )
    print(text)
