"""Evaluate a model on labelled data, always beside a random untrained encoder, MiniRocket and catch22 on the same split."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsrep import registry
from tsrep.data import catalogue
from tsrep.data.panel import Panel
from tsrep.data.readers import as_panel
from tsrep.data.splits import by_subject, by_time, check_leak
from tsrep.data.windows import windows
from tsrep.errors import InputError, nearest
from tsrep.evaluation.baselines import catch22_features, minirocket_features
from tsrep.evaluation.checks import check_classes
from tsrep.evaluation.classify import Outcome, outcomes, scores
from tsrep.evaluation.cluster import cluster
from tsrep.evaluation.retrieve import retrieve
from tsrep.evaluation.tidy import tidy
from tsrep.fitting import run
from tsrep.model import Model, untrained
from tsrep.plan import Plan

TASKS = ("classify", "cluster", "retrieve")
PROBES = ("linear", "knn1", "svm")
RANDOM = "random encoder"

Features = tuple[np.ndarray, np.ndarray]
"""(training part, test part), (n, feature) each"""


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    table:    tidy, one number a row.
    found:    predictions of every probe on every feature set of the first seed (classify alone).
    train, test, embeddings: the parts, and the model's embeddings of them.
    """

    table: pd.DataFrame
    found: list[Outcome]
    train: Panel
    test: Panel
    embeddings: Features


def evaluate(
    model: Model,
    data: Any,
    *,
    task: str = "classify",
    probes: Sequence[str] = PROBES,
    seeds: int = 1,
    progress: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Measure frozen embeddings on the test part of labelled data; nothing is chosen by its labels.

    data:     name of a data set of the catalogue; a `Dataset`; a pair (train, test) of anything `as_panel` takes, with labels; or
              one panel, which is split by subject where there are several, else by time where it is windows of recordings.
    task:     classify: accuracy and macro F1 of each probe. cluster: k-means against the classes. retrieve: neighbours of one class.
    probes:   linear, ridge, knn1, knn5, svm (the RBF-SVM protocol of TS2Vec).
    seeds:    how many. With more than one the model is trained again under each further seed of its plan, on the training part of
              `data`, and the table shows mean and spread.
    progress: is told what is going on.
    """
    if task not in TASKS:
        raise InputError(f"unknown task '{task}'; {nearest(task, TASKS)}")
    if seeds < 1:
        raise InputError(f"expected at least one seed, got {seeds}")
    name, train, test = _parts(data)
    train, test = (_like_training(part, model) for part in (train, test))
    labels = check_classes(_labels(train, "training"), "the label of the training part")
    unknown = set(np.unique(_labels(test, "test"))) - set(labels)
    if unknown:
        raise InputError(f"expected test labels that occur in training, got {', '.join(map(str, sorted(unknown)[:5]))}")
    method = registry.name_of("methods", model.plan.method)
    encoder = registry.name_of("encoders", model.plan.encoder)
    frames, first, embeddings = [], [], None
    catch22: Features | None = None
    for number in range(seeds):
        seed = model.plan.seed + number
        progress(f"seed {seed}: {method}")
        trained = model if number == 0 else run(_again(model.plan, seed), train)
        features: dict[str, Features] = {}
        seconds: dict[str, float] = {}
        begin = time.perf_counter()
        features[method] = trained.embed(train), trained.embed(test)
        seconds[method] = time.perf_counter() - begin
        embeddings = embeddings or features[method]
        random = untrained(model, seed)
        begin = time.perf_counter()
        features[RANDOM] = random.embed(train), random.embed(test)
        seconds[RANDOM] = time.perf_counter() - begin
        progress(f"seed {seed}: baselines")
        begin = time.perf_counter()
        features["minirocket"] = minirocket_features(train.values, test.values, seed=seed)
        seconds["minirocket"] = time.perf_counter() - begin
        begin = time.perf_counter()
        catch22 = catch22 or (catch22_features(train.values), catch22_features(test.values))
        seconds["catch22"] = time.perf_counter() - begin
        features["catch22"] = catch22
        common = {"dataset": name, "seed": seed, "commit": commit()}
        called = {method: encoder, RANDOM: encoder, "minirocket": "none", "catch22": "none"}
        if task == "classify":
            progress(f"seed {seed}: probes")
            learned = {key: features[key] for key in (method, RANDOM)}
            found = outcomes(learned, train.label, probes=probes, seed=seed)
            found += outcomes({"minirocket": features["minirocket"]}, train.label, probes=("ridge",), seed=seed)
            found += outcomes({"catch22": catch22}, train.label, probes=("linear",), seed=seed)
            frames.append(scores(found, test.label, seconds=seconds, encoder=called, setting=task, **common))
            first = first or found
        else:
            frames.append(_without_probe(task, features, train, test, called, seconds, common))
    assert embeddings is not None
    return Evaluation(pd.concat(frames, ignore_index=True), first, train, test, embeddings)


def commit() -> str:
    """The commit of the checkout that tsrep runs from, or its version."""
    here = Path(__file__).parent
    try:
        told = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        return told.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        from tsrep import __version__

        return __version__


def _again(plan: Plan, seed: int) -> Plan:
    """The plan under another seed, for windows that are at hand, and without a trace."""
    data = replace(plan.data, name=None, stream=None, window=None, hop=None)
    return replace(plan, data=data, seed=seed, out=None, observers={}, workers=0)


def _without_probe(
    task: str,
    features: Mapping[str, Features],
    train: Panel,
    test: Panel,
    encoder: Mapping[str, str],
    seconds: Mapping[str, float],
    common: Mapping[str, Any],
) -> pd.DataFrame:
    rows = []
    for method, (left, right) in features.items():
        begin = time.perf_counter()
        if task == "cluster":
            numbers, reads = cluster(right, test.label, seed=common["seed"]), "k-means"
        else:
            k = min(5, len(left))
            numbers, reads = retrieve(right, test.label, left, train.label, k=k, seed=common["seed"]), "cosine"
        took = time.perf_counter() - begin + seconds[method]
        for metric, value in numbers.items():
            rows.append(
                {
                    "method": method,
                    "encoder": encoder[method],
                    "features": reads,
                    "metric": metric,
                    "value": value,
                    "seconds": took,
                }
            )
    return tidy(rows, setting=task, **common)


def _parts(data: Any) -> tuple[str, Panel, Panel]:
    """(name, training part, test part), checked for leaks."""
    if isinstance(data, str | Path):
        if str(data) in catalogue.names() or not Path(data).suffix:
            data = catalogue.load(str(data))
        else:
            return (Path(data).stem, *_split(as_panel(data)))
    if hasattr(data, "train") and hasattr(data, "test"):
        return str(getattr(data, "name", "")), data.train, data.test
    if isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(part, Panel | str | Path) for part in data):
        train, test = (as_panel(part) for part in data)
        check_leak(train, test)
        name = Path(data[0]).stem if isinstance(data[0], str | Path) else ""
        return name, train, test
    return ("", *_split(as_panel(data)))


def _split(panel: Panel) -> tuple[Panel, Panel]:
    if panel.subject is not None and len(np.unique(panel.subject)) > 2:
        split = by_subject(panel, test=0.3)
    elif panel.recording is not None:
        split = by_time(panel, (0.7, 0.3))
    else:
        raise InputError(
            "expected data with a split: the name of a data set, a pair (train, test), or a table with a column subject of three "
            "or more subjects; series of unknown subjects cannot be split without leaking"
        )
    return split.train, split.test


def _like_training(panel: Panel, model: Model) -> Panel:
    """Windows as in training, where the model was trained on windows of longer series."""
    data = model.plan.data
    if data.window is not None and panel.length > data.window:
        return windows(panel, data.window, data.hop, keep_short=True)  # a series shorter than a window is measured too
    return panel


def _labels(panel: Panel, part: str) -> np.ndarray:
    if panel.label is None:
        raise InputError(f"expected labels to evaluate with, the {part} part has none; give a column label")
    return panel.label
