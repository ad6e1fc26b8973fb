"""Evaluate a model of several streams: within devices, across them, all together, with few labels, and from one modality to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsrep import registry, stream_fitting
from tsrep.data import catalogue
from tsrep.data.fingerprint import fingerprint
from tsrep.data.readers import as_streams
from tsrep.data.splits import by_subject
from tsrep.data.streams import Streams
from tsrep.errors import InputError
from tsrep.evaluating import RANDOM, Evaluation, check_shares, commit, labelled
from tsrep.evaluation import streams as room
from tsrep.evaluation.tidy import tidy
from tsrep.fitting import anew, run
from tsrep.model import Model, untrained
from tsrep.preparing import LONGEST
from tsrep.streaming import Fuse, fused

Split = tuple[Streams, Streams]


def evaluate_streams(
    model: Model,
    data: Any,
    *,
    probes: Sequence[str] = ("linear",),
    shares: Sequence[float] = (1.0, 0.1),
    folds: int | None = None,
    seeds: int = 1,
    progress: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Measure frozen embeddings of several streams on labelled data, always beside a random encoder.

    data:   name of a data set of the catalogue with streams; a `StreamSet`; a pair (train, test), or one, of anything that
            `as_streams` takes. One without a split is split by subject, and a model that was trained on all of it is trained
            again on the training part.
    probes: linear, ridge, knn1, knn5, svm.
    shares: of the training labels that are known, drawn with the seed, every class at least once.
    folds:  leave subjects out: so many groups of subjects are tested in turn, each by a model trained again on the others; values are
            means over the groups. None: the split of the data.
    seeds:  how many; under each further one the model is trained again on the training part.

    The table's `features` say where: "wrist" (probe and test on one device), "wrist → hip" (across, where one encoder is shared), the
    means of both, "all" of them fused as `embed` does, "all side by side" (where that is another way), "without hip", and
    "retrieval wrist → hip" among the test rows."""
    if not model.streams:
        raise InputError("expected a model of several streams to evaluate as such, this one knows one: task classify")
    if seeds < 1:
        raise InputError(f"expected at least one seed, got {seeds}")
    check_shares(shares)
    name, splits, again = _splits(model, data, folds)
    own = not again and _learned_from(model, name, splits[0][0])
    if seeds > 1 and not own and not again:
        raise InputError(
            "expected the data that the model was trained on to train under further seeds, got other data; take one seed, or fit "
            "a model for each"
        )
    if again:
        progress("the model is trained again on each training part, so that what is tested is unseen")
    method = registry.name_of("methods", model.plan.method)
    encoder = registry.name_of("encoders", model.plan.encoder)
    frames, shown = [], None
    for seed in range(model.plan.seed, model.plan.seed + seeds):
        rows: list[dict[str, Any]] = []
        for fold, (train, test) in enumerate(splits):
            progress(f"seed {seed}" + (f", fold {fold + 1} of {len(splits)}" if folds else ""))
            trained = model if seed == model.plan.seed and not again else run(anew(model.plan, seed), train)
            cut = tuple(stream_fitting.cut(part, model.plan.data, LONGEST) for part in (train, test))
            for called, asked in ((method, trained), (RANDOM, untrained(trained, seed))):
                made = [asked.embed_streams(part) for part in cut]
                rows += [{"method": called, **row} for row in _rows(asked, made, cut, probes, shares, seed)]
                if shown is None:
                    shown = (cut, [_fused(asked, part, list(part), asked.fuse) for part in made])
        keys = ["method", "features", "metric"]
        mean = pd.DataFrame(rows).groupby(keys, sort=False)["value"].mean().reset_index()
        common = {"dataset": name, "setting": "streams", "commit": commit(), "seed": seed, "encoder": encoder}
        lines = [{str(key): value for key, value in row.items()} for row in mean.to_dict("records")]
        frames.append(tidy(lines, **common))
    assert shown is not None
    (train, test), (left, right) = shown
    return Evaluation(pd.concat(frames, ignore_index=True), [], train.first, test.first, (left, right))


def _rows(
    model: Model,
    made: Sequence[Mapping[str, np.ndarray]],
    cut: Sequence[Streams],
    probes: Sequence[str],
    shares: Sequence[float],
    seed: int,
) -> list[dict[str, Any]]:
    labels = _labels(cut[0], "training"), _labels(cut[1], "test")
    alone = {name: (made[0][name], made[1][name]) for name in made[0]}
    names = list(alone)
    one_space = model.plan.encoders == "shared"
    subsets = {"all": names}
    if len(names) > 1:
        subsets |= {f"without {name}": [other for other in names if other != name] for name in names}
    together: dict[str, Any] = {
        what: tuple(_fused(model, part, kept, model.fuse) for part in made) for what, kept in subsets.items()
    }
    if one_space and len(names) > 1:
        together["all side by side"] = tuple(_fused(model, part, names, "concat") for part in made)
    rows: list[dict[str, Any]] = []
    for known, few in labelled(labels[0], shares, seed):
        for probe in probes:
            asked: dict[str, Any] = {"probe": probe, "labelled": known, "seed": seed}
            found = room.devices(alone, labels, across=one_space, **asked) + room.whole(together, labels, **asked)
            rows += [_told(row, f"{row['place']}, {probe}{few}") for row in found]
    reads = "cosine" if one_space else "ridge, cosine"
    found = room.crossing(alone, one_space=one_space)
    return rows + [_told(row, f"retrieval {row['place']}, {reads}") for row in found]


def _told(row: Mapping[str, Any], features: str) -> dict[str, Any]:
    return {"features": features, "metric": row["metric"], "value": row["value"]}


def _fused(model: Model, made: Mapping[str, np.ndarray], names: Sequence[str], how: Fuse) -> np.ndarray:
    """One embedding a row of these streams, NaN where it has none of them."""
    some = np.any([~np.isnan(made[name]).any(axis=1) for name in names], axis=0)
    joined = fused({name: made[name][some] for name in names}, model.widths, how)
    out = np.full((len(some), joined.shape[1]), np.nan, np.float32)
    out[some] = joined
    return out


def _splits(model: Model, data: Any, folds: int | None) -> tuple[str, list[Split], bool]:
    """(name, (train, test) of each fold, whether the model must be trained again for them)."""
    name = ""
    if isinstance(data, str | Path):
        name = Path(data).stem if Path(data).suffix else str(data)
        data = as_streams(data) if Path(data).suffix else catalogue.load_streams(str(data))
    train, test = None, None
    if hasattr(data, "train") and hasattr(data, "test"):
        name, train, test = data.name, data.train, data.test
    elif isinstance(data, tuple | list) and len(data) == 2:
        train, test = (as_streams(part) for part in data)
    if train is not None and test is not None and folds is None:
        return name, [(_known(model, train), _known(model, test))], False
    if train is not None and test is not None:
        parts = [part for part in (train, getattr(data, "validation", None), test) if part is not None]
        everything = joined(*parts)
    else:
        everything = as_streams(data)
    everything = _known(model, everything)
    if everything.subject is None or len(np.unique(everything.subject)) < 3:
        raise InputError(
            "expected data with a split (a pair of train and test), or three or more subjects to split by, got neither"
        )
    outline = stream_fitting.outline(everything)
    if folds is None:
        split = by_subject(outline, test=0.3)
        return name, [(everything.rows(split.train.label), everything.rows(split.test.label))], True
    people = np.unique(everything.subject)
    if not 2 <= folds <= len(people):
        raise InputError(f"expected 2 to {len(people)} folds, no more than there are subjects, got {folds}")
    tested = [np.isin(everything.subject, group) for group in np.array_split(people, folds)]
    return name, [(everything.rows(~here), everything.rows(here)) for here in tested], True


def joined(*parts: Streams) -> Streams:
    """The rows of several, one after the other."""
    from tsrep.data.panel import join

    return Streams({name: join(*(part[name] for part in parts)) for name in parts[0]})


def _known(model: Model, streams: Streams) -> Streams:
    """Those of the streams that the model knows, in its order."""
    names = [name for name in model.streams if name in streams]
    if not names:
        raise InputError(f"expected data with one of the streams {', '.join(model.streams)}, got {', '.join(streams)}")
    return streams.choose(names)


def _learned_from(model: Model, name: str, train: Streams) -> bool:
    if name and name == model.plan.data.name:
        return True
    return fingerprint(stream_fitting.cut(train, model.plan.data, LONGEST)) == model.data.fingerprint


def _labels(streams: Streams, part: str) -> np.ndarray:
    if streams.label is None:
        raise InputError(f"expected labels to evaluate with, the {part} part has none; give a column label")
    return streams.label
