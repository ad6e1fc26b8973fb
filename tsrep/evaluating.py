"""Evaluate a model on labelled data, always beside a random untrained encoder, MiniRocket and catch22 on the same split."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsrep import registry
from tsrep.data import catalogue
from tsrep.data.columns import columns
from tsrep.data.fingerprint import fingerprint
from tsrep.data.panel import Panel
from tsrep.data.readers import as_panel
from tsrep.data.splits import by_subject, by_time, check_leak, stratified_fraction
from tsrep.data.windows import windows
from tsrep.errors import InputError, nearest
from tsrep.evaluation.baselines import catch22_features, minirocket_features
from tsrep.evaluation.checks import check_classes
from tsrep.evaluation.classify import Outcome, outcomes, scores
from tsrep.evaluation.cluster import cluster
from tsrep.evaluation.retrieve import retrieve
from tsrep.evaluation.self_training import pseudo_labelled
from tsrep.evaluation.tidy import tidy
from tsrep.fitting import anew, run
from tsrep.model import Model, untrained
from tsrep.preparing import LONGEST

TASKS = ("classify", "cluster", "retrieve")
PROBES = ("linear", "knn1", "svm")
RANDOM = "random encoder"
READ_BY = {"minirocket": ("ridge",), "catch22": ("linear",)}
"""The probe that each baseline is usually read by."""

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
    pool: str | None = None,
    probes: Sequence[str] = PROBES,
    shares: Sequence[float] = (1.0,),
    self_training: bool = False,
    seeds: int = 1,
    progress: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Measure frozen embeddings on the test part of labelled data; nothing is chosen by its labels.

    data:     name of a data set of the catalogue; a `Dataset`; a pair (train, test) of anything `as_panel` takes, with labels; or
              one panel, which is split by subject where there are several, else by time where it is windows of recordings. A model
              that was trained on all of such a panel is trained again on the training part: the test part stays unseen.
    task:     classify: accuracy and macro F1 of each probe. cluster: k-means against the classes. retrieve: neighbours of one class.
    pool:     how the steps of the model and of the random encoder become one embedding, as `Model.embed` takes it; "levels" with the
              probe ridge is made for few labels and wide encoders. The random encoder's levels are those of the training part of
              `data`, the model's are those of its own training.
    probes:   linear, ridge, knn1, knn5, svm (the RBF-SVM protocol of TS2Vec).
    shares:   to classify: of the training labels that are known, drawn with the seed, every class at least once.
    self_training: where not all labels are known, probes learn from the other training windows too, with the labels they give them
              (`pseudo_labelled`); those of the baselines do as well.
    seeds:    how many. With more than one the model is trained again under each further seed of its plan, on the training part of
              `data`, and the table shows mean and spread.
    progress: is told what is going on.
    """
    _check(model, task, pool, seeds, shares, self_training)
    name, train, test, whole = _parts(data)
    train, test = (_like_training(part, model) for part in (train, test))
    named = isinstance(data, str | Path) and str(data) == model.plan.data.name
    own = named or fingerprint(train) == model.data.fingerprint
    seen = whole is not None and (named or fingerprint(_like_training(whole, model)) == model.data.fingerprint)
    if seeds > 1 and not own and not seen:
        raise InputError(
            "expected the data that the model was trained on to train under further seeds, got other data; take one seed, or fit a "
            "model for each"
        )
    asked, truth = _labels(train, "training"), _labels(test, "test")
    unknown = set(np.unique(truth)) - set(check_classes(asked, "the label of the training part"))
    if unknown:
        raise InputError(f"expected test labels that occur in training, got {', '.join(map(str, sorted(unknown)[:5]))}")
    if seen:
        progress(
            "the model was trained on all of this data; it is trained again on the training part, so that the test part is unseen"
        )
    method = registry.name_of("methods", model.plan.method)
    encoder = registry.name_of("encoders", model.plan.encoder)
    called = {method: encoder, RANDOM: encoder, "minirocket": "none", "catch22": "none"}
    common: dict[str, Any] = {"dataset": name, "setting": task, "commit": commit()}
    plain = _timed(_catch22, train, test)  # the same under every seed
    frames: list[pd.DataFrame] = []
    first: list[Outcome] = []
    embeddings: Features | None = None
    for seed in range(model.plan.seed, model.plan.seed + seeds):
        progress(f"seed {seed}: {method} and baselines")
        trained = model if seed == model.plan.seed and not seen else run(anew(model.plan, seed), train)
        made = {
            method: _timed(_embedded, trained, train, test, pool),
            RANDOM: _timed(_embedded, untrained(model, seed, train if pool == "levels" else None), train, test, pool),
            "minirocket": _timed(minirocket_features, train.values, test.values, seed=seed),
            "catch22": plain,
        }
        features = {key: pair for key, (pair, _) in made.items()}
        seconds = {key: took for key, (_, took) in made.items()}
        embeddings = features[method] if embeddings is None else embeddings
        if task == "classify":
            progress(f"seed {seed}: probes")
            by = {method: probes, RANDOM: probes} | READ_BY
            found = _asked(features, asked, by, seed, shares, self_training)
            frames.append(scores(found, truth, seed=seed, seconds=seconds, encoder=called, **common))
            first = first or found
        else:
            rows = _without_probe(task, features, (asked, truth), called, seconds, seed)
            frames.append(tidy(rows, seed=seed, **common))
        if pool is not None:
            read = frames[-1]["method"].isin((method, RANDOM))
            frames[-1].loc[read, "features"] = f"{pool}, " + frames[-1].loc[read, "features"]
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


def _timed(make: Callable[..., Features], *args: Any, **kwargs: Any) -> tuple[Features, float]:
    begin = time.perf_counter()
    return make(*args, **kwargs), time.perf_counter() - begin


def _embedded(model: Model, train: Panel, test: Panel, pool: str | None) -> Features:
    return model.embed(train, pool), model.embed(test, pool)


def _catch22(train: Panel, test: Panel) -> Features:
    return catch22_features(train.values), catch22_features(test.values)


def _check(model: Model, task: str, pool: str | None, seeds: int, shares: Sequence[float], self_training: bool) -> None:
    if task not in TASKS:
        raise InputError(f"unknown task '{task}'; {nearest(task, TASKS)}")
    if pool not in model.pools:
        raise InputError(f"expected pool to be one of {', '.join(map(str, model.pools))}, got {pool!r}")
    if seeds < 1:
        raise InputError(f"expected at least one seed, got {seeds}")
    check_shares(shares)
    few = min(shares) < 1
    if task != "classify" and (few or self_training):
        raise InputError(
            f"expected shares of labels and self-training for the task classify, got {task}: leave them out"
        )
    if self_training and not few:
        raise InputError(
            "expected a share of the labels below 1 to train on the windows without: give shares=(1, 0.1), in the shell --labels 1,0.1"
        )


def check_shares(shares: Sequence[float]) -> None:
    """InputError where there is none, or one that is no share."""
    if not shares or any(not 0 < share <= 1 for share in shares):
        raise InputError(f"expected shares of labels above 0 and up to 1, got {tuple(shares)}")


def labelled(labels: np.ndarray, shares: Sequence[float], seed: int) -> Iterator[tuple[np.ndarray, str]]:
    """For each share the rows whose labels are known, and what is added to the name of a probe that knows no others."""
    for share in shares:
        if share == 1:
            yield np.arange(len(labels)), ""
        else:
            yield stratified_fraction(labels, float(share), seed), f", {100 * share:g} % of labels"


def _asked(
    features: Mapping[str, Features],
    labels: np.ndarray,
    probes: Mapping[str, Sequence[str]],
    seed: int,
    shares: Sequence[float],
    self_training: bool,
) -> list[Outcome]:
    """Every feature set asked by its own probes, with each share of the labels."""
    found = []
    for known, few in labelled(labels, shares, seed):
        for method, (left, right) in features.items():
            for probe in probes[method]:
                learned, said = (left[known], labels[known]), probe
                if self_training and few:
                    rest = np.delete(left, known, axis=0)
                    learned, said = pseudo_labelled(*learned, rest, probe=probe, seed=seed), f"{probe}, self-trained"
                (told,) = outcomes({method: (learned[0], right)}, learned[1], probes=(probe,), seed=seed)
                found.append(replace(told, probe=said + few))
    return found


def _without_probe(
    task: str,
    features: Mapping[str, Features],
    labels: tuple[np.ndarray, np.ndarray],
    encoder: Mapping[str, str],
    seconds: Mapping[str, float],
    seed: int,
) -> list[dict[str, Any]]:
    """Numbers of `cluster` or `retrieve`, one row each."""
    rows = []
    for method, pair in features.items():
        left, right = pair
        begin = time.perf_counter()
        if task == "cluster":
            numbers, reads = cluster(right, labels[1], seed=seed), "k-means"
        else:
            if method in READ_BY:  # features in units of their own, which a cosine needs on one scale
                middle, spread = left.mean(axis=0), left.std(axis=0) + 1e-8
                left, right = (left - middle) / spread, (right - middle) / spread
            numbers, reads = retrieve(right, labels[1], left, labels[0], k=min(5, len(left)), seed=seed), "cosine"
        took = time.perf_counter() - begin + seconds[method]
        about = {"method": method, "encoder": encoder[method], "features": reads, "seconds": took}
        rows += [{**about, "metric": metric, "value": value} for metric, value in numbers.items()]
    return rows


def _parts(data: Any) -> tuple[str, Panel, Panel, Panel | None]:
    """(name, training part, test part, what they were split from if that was done here), checked for leaks."""
    if isinstance(data, str | Path):
        if str(data) in catalogue.names() or not Path(data).suffix:
            data = catalogue.load(str(data))
        else:
            whole = as_panel(data)
            return (Path(data).stem, *_split(whole), whole)
    if hasattr(data, "train") and hasattr(data, "test"):
        return str(getattr(data, "name", "")), data.train, data.test, None
    if isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(part, Panel | str | Path) for part in data):
        train, test = (as_panel(part) for part in data)
        check_leak(train, test)
        name = Path(data[0]).stem if isinstance(data[0], str | Path) else ""
        return name, train, test, None
    whole = as_panel(data)
    return ("", *_split(whole), whole)


def _split(panel: Panel) -> tuple[Panel, Panel]:
    if panel.subject is not None and len(np.unique(panel.subject)) > 2:
        split = by_subject(panel, test=0.3)
    elif panel.recording is not None and len(np.unique(panel.recording)) < len(panel):
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
    panel = columns(panel, data.channels, data.calendar)
    if data.window is None and panel.length > LONGEST:
        return windows(panel, model.data.length, keep_short=True)
    if data.window is not None and panel.length > data.window:
        return windows(panel, data.window, data.hop, keep_short=True)  # a series shorter than a window is measured too
    return panel


def _labels(panel: Panel, part: str) -> np.ndarray:
    if panel.label is None:
        raise InputError(f"expected labels to evaluate with, the {part} part has none; give a column label")
    return panel.label
