"""The benchmark of several streams: two modalities of one action, devices on one body, latent positives, objectives of many streams.

cross-modal: UTD-MHAD, skeleton and inertial unit at 50 relative positions. Subjects 1, 3, 5 train, 7
             validates, 2, 4, 6, 8 test. Linear and ridge probes on frozen encoders of either and of both, with all and with few labels;
             retrieval from one to the other.
devices:     Berkeley-MHAD (subjects 1 to 7 against 8 to 12) and PTE (one subject left out, another one under each seed), windows of
             3 s. Probes within devices, across them and on all, with all and a tenth of the labels. One encoder for all devices.
latent:      skeletons of NW-UCLA (by view) and UTD-MHAD: HaLP beside MoCo, its host; linear and nearest-neighbour probes.
objectives:  the six devices of Berkeley-MHAD under each objective of many streams.

Beside them a random encoder, MiniRocket with ridge, and the same encoder trained with labels from scratch. Every run is one method in
one setting on one set under one seed in a process of its own; methods of one setting share encoder, batches and steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from streams_recipes import (
    BETAS,
    BODY,
    CROSS,
    DEVICES,
    DRAWS,
    HOSTS,
    MODALITIES,
    PLACES,
    RANDOM,
    RECIPES,
    ROCKET,
    SETS,
    SHARES,
    SKELETON,
    TAUGHT,
    VIEWS,
    WINDOWS,
)
from streams_report import pages

import tsrep

SETTINGS = tuple(PLACES)
METHODS = tuple(dict.fromkeys(name for rows in RECIPES.values() for name in rows))
SEEDS = 5

Run = tuple[str, str, str, int]
"""data set, setting, method, seed"""
Row = dict[str, Any]


def runs(
    seeds: int, sets: Sequence[str] | None, settings: Sequence[str] | None, methods: Sequence[str] | None
) -> list[Run]:
    return [
        (name, setting, method, seed)
        for seed in range(seeds)
        for setting in settings or SETTINGS
        for name in PLACES[setting]
        for method in RECIPES[setting]
        if name in (sets or SETS) and method in (methods or METHODS)
    ]


def one(name: str, setting: str, method: str, seed: int) -> pd.DataFrame:
    """One run; `seconds` are those of the processor for all of it, `features` say what was read:
    "wrist → hip, own ridge, 10 % of labels, draw 0"."""
    begin = time.process_time()
    parts = cut(name, setting, seed)
    measure = {"cross-modal": modalities, "latent": skeletons}.get(setting, devices)
    rows = measure(setting, method, seed, *parts)
    two = " and ".join(made["name"] for made in MODALITIES["encoders"].values())
    called = {"cross-modal": two, "latent": SKELETON["encoder"]["name"]}.get(setting, DEVICES["encoder"])
    encoder = "none" if method == ROCKET else called
    common = {"dataset": name, "setting": setting, "method": method, "encoder": encoder, "seed": seed}
    return tsrep.tidy(rows, **common, seconds=time.process_time() - begin, commit=tsrep.commit())


def cut(name: str, setting: str, seed: int) -> tuple[tsrep.Streams, tsrep.Streams, tsrep.Streams | None]:
    """Training, test and, where there is one, validation part, as windows in the units of the data."""
    if name in WINDOWS:
        found = tsrep.load_streams(name, subjects=[5 - seed % 5] if name == "PTE" else None)
        return (*(tsrep.together(part, *WINDOWS[name]) for part in (found.train, found.test)), None)
    steps = MODALITIES["data"]["steps"]
    if name == "NW-UCLA":
        data = tsrep.load_dataset(name)
        return (*(tsrep.Streams({"skeleton": tsrep.resampled(part, steps)}) for part in (data.train, data.test)), None)
    found = tsrep.load_streams(name, None if setting == "cross-modal" else ["skeleton"])
    train, test, held = (
        tsrep.together(part, align="position", steps=steps) for part in (found.train, found.test, found.validation)
    )
    return train, test, held


def plan_of(base: Mapping[str, Any], method: Any, seed: int, **more: Any) -> tsrep.Plan:
    return tsrep.make_plan({**base, "method": method, "seed": seed, **more})[0]


def trained(plan: tsrep.Plan, train: tsrep.Streams, method: str) -> tsrep.Model:
    """The plan's model, or the same with weights that learned nothing."""
    return tsrep.random_model(plan, train) if method == RANDOM else tsrep.run(plan, train)


def known(setting: str, label: np.ndarray) -> Iterator[tuple[np.ndarray, str, int]]:
    """(rows whose labels are known, how that is said, draw): all, and few, the same ones for every method and seed."""
    yield np.arange(len(label)), "", 0
    for share in SHARES.get(setting, ()):
        for draw in range(DRAWS):
            yield (
                tsrep.stratified_fraction(label, share, seed=draw),
                f", {100 * share:g} % of labels, draw {draw}",
                draw,
            )


def told(rows: Sequence[Row], said: str) -> list[Row]:
    return [{"features": f"{row['place']}, {said}", "metric": row["metric"], "value": row["value"]} for row in rows]


def modalities(
    setting: str, method: str, seed: int, train: tsrep.Streams, test: tsrep.Streams, held: tsrep.Streams | None
) -> list[Row]:
    if method == TAUGHT:
        return [
            {"features": f"{place}, head{few}", "metric": metric, "value": value}
            for rows, few, draw in known(setting, train.label)
            if draw == 0
            for place, kept in (*((s, [s]) for s in train), ("both", list(train)))
            for metric, value in taught(train.choose(kept), test.choose(kept), held, rows, seed).items()
        ]
    readings = rocket(train, test, seed) if method == ROCKET else read(method, seed, train, test)
    rows: list[Row] = []
    for said, (left, right) in readings.items():
        pairs = {s: (left[s], right[s]) for s in left}
        both = tuple(np.concatenate(list(part.values()), axis=1) for part in (left, right))
        for labelled, few, _ in known(setting, train.label):
            asked = {"probe": said.split()[-1], "labelled": labelled, "seed": seed}
            rows += told(tsrep.fused_scores({**pairs, "both": both}, (train.label, test.label), **asked), said + few)
        if method != ROCKET:
            found = tsrep.crossing_scores(pairs, one_space=False)
            rows += [
                {**row, "features": f"retrieval {row['features']}"} for row in told(found, f"{said.split()[0]} cosine")
            ]
    return rows


def read(method: str, seed: int, train: tsrep.Streams, test: tsrep.Streams) -> dict[str, tuple[Any, Any]]:
    """How it is read -> {stream: features} of both parts. SimCLR learns every stream by itself."""
    recipe = RECIPES["cross-modal"][method] or CROSS["skeleton_imu beta 0"]
    if method == "simclr":
        models = {
            s: trained(
                plan_of(
                    alone(s),
                    {**recipe, "augment": VIEWS["body" if s == "skeleton" else "augment"]},
                    seed,
                ),
                train.choose([s]),
                method,
            )
            for s in train
        }
    else:
        whole = trained(plan_of(MODALITIES, recipe, seed), train, method)
        models = dict.fromkeys(train, whole)
    made = {
        pool: tuple({s: models[s].embed_streams(part.choose([s]), pool)[s] for s in part} for part in (train, test))
        for pool in (None, "rich", "levels")
    }
    return {"own linear": made[None], "rich ridge": made["rich"], "levels ridge": made["levels"]}


def alone(stream: str) -> dict[str, Any]:
    """The settings of both modalities for one of them."""
    data = {**MODALITIES["data"], "scaling": MODALITIES["data"]["scaling"][stream]}
    return {**MODALITIES, "data": data, "encoder": MODALITIES["encoders"][stream], "encoders": "shared"}


def rocket(train: tsrep.Streams, test: tsrep.Streams, seed: int) -> dict[str, tuple[Any, Any]]:
    made = {}
    for stream in train:
        sides = [tsrep.to_torso(part[stream]) if stream == "skeleton" else part[stream] for part in (train, test)]
        made[stream] = tsrep.baseline_features(ROCKET, *(side.values for side in sides), seed=seed)
    return {"ridge": tuple({s: part[side] for s, part in made.items()} for side in (0, 1))}


def taught(
    train: tsrep.Streams, test: tsrep.Streams, held: tsrep.Streams | None, labelled: np.ndarray, seed: int
) -> Mapping[str, float]:
    """Accuracy and macro F1 of a supervised run; with few labels its validation part has as few of them in proportion."""
    several = len(train) > 1
    latent = held is None or held.keys() == {"skeleton"}
    base = MODALITIES if several else SKELETON if latent else alone(next(iter(train)))
    method = CROSS["skeleton_imu beta 0"]
    if not several:
        views = list(BODY) if latent else VIEWS["body" if "skeleton" in train else "augment"]
        method = {"name": "simclr", "augment": views}
    training = {**base["training"], "validate_every": 25, "patience": 4}
    plan = plan_of({**base, "training": training}, method, seed)
    if held is not None:
        share = len(labelled) / train.count
        held = held.choose(list(train))
        held = held if share == 1 else held.rows(tsrep.stratified_fraction(held.label, share, seed=seed))
    found = tsrep.supervised(plan, train.rows(labelled), held)
    return tsrep.class_scores(test.label, found.predict(test))


def skeletons(
    setting: str, method: str, seed: int, train: tsrep.Streams, test: tsrep.Streams, held: tsrep.Streams | None
) -> list[Row]:
    labels = (train.label, test.label)
    if method == TAUGHT:
        found = taught(train, test, held, np.arange(train.count), seed)
        return [{"features": "skeleton, head", "metric": metric, "value": value} for metric, value in found.items()]
    if method == ROCKET:
        left, right = rocket(train, test, seed)["ridge"]
        return told(
            tsrep.fused_scores({"skeleton": (left["skeleton"], right["skeleton"])}, labels, probe="ridge"), "ridge"
        )
    model = trained(plan_of(SKELETON, RECIPES[setting][method] or RECIPES[setting]["moco"], seed), train, method)
    rows: list[Row] = []
    for pool, probes in ((None, ("linear", "knn1")), ("rich", ("ridge",)), ("levels", ("ridge",))):
        pair = tuple(model.embed_streams(part, pool)["skeleton"] for part in (train, test))
        for probe in probes:
            scored = tsrep.fused_scores({"skeleton": pair}, labels, probe=probe, seed=seed)
            rows += told(scored, f"{pool or 'own'} {probe}")
    kept = [line["latent/kept"] for line in model.history if "latent/kept" in line]
    kept = [value for value in kept if value >= 0]  # -1: no latent positive was made yet
    return rows + ([{"features": "latent positives", "metric": "kept", "value": float(np.mean(kept))}] if kept else [])


def devices(
    setting: str, method: str, seed: int, train: tsrep.Streams, test: tsrep.Streams, held: tsrep.Streams | None
) -> list[Row]:
    labels = (train.label, test.label)
    if method.startswith(TAUGHT):
        return supervised_devices(setting, method, seed, train, test)
    if method == ROCKET:
        made = tsrep.baseline_features(
            ROCKET, *(np.concatenate([p.values for p in part.values()]) for part in (train, test)), seed=seed
        )
        halves = [np.split(part, len(train)) for part in made]
        features = {s: (halves[0][i], halves[1][i]) for i, s in enumerate(train)}
        readings = {"ridge": features}
    else:
        plan = plan_of(DEVICES, RECIPES[setting][method] or {"name": "collossl"}, seed)
        model = trained(plan, train, method)
        readings = {}
        for pool in (None, "rich", "levels"):
            left, right = (model.embed_streams(part, pool) for part in (train, test))
            readings[f"{pool or 'own'} ridge"] = {s: (left[s], right[s]) for s in left}
    rows: list[Row] = []
    for said, features in readings.items():
        whole = {"all": tuple(np.concatenate([f[side] for f in features.values()], axis=1) for side in (0, 1))}
        for labelled, few, _ in known(setting, train.label):
            asked: dict[str, Any] = {"probe": "ridge", "labelled": labelled, "seed": seed}
            found = tsrep.stream_scores(features, labels, across=True, **asked)
            found += tsrep.fused_scores(whole, labels, **asked)
            rows += told(spoken(found, bool(few)), said + few)
    return rows


def spoken(rows: Sequence[Row], few: bool) -> list[Row]:
    """Macro F1 of every pair of devices with all labels; of few labels, and for accuracy, the means alone."""
    return [
        row
        for row in rows
        if row["place"] == "all" or "(mean)" in row["place"] or (row["metric"] == "macro F1" and not few)
    ]


def supervised_devices(setting: str, method: str, seed: int, train: tsrep.Streams, test: tsrep.Streams) -> list[Row]:
    """One device: an encoder for each, taught on its windows and asked about those of all. All: one encoder, taught on all of them. No
    validation part: training ends with its schedule, so that no label is set aside."""
    plan = plan_of(DEVICES, {"name": "simclr"}, seed)
    alone = method.endswith("one device")
    rows: list[Row] = []
    for labelled, few, draw in known(setting, train.label):
        if draw:
            continue
        found: list[Row] = []
        for learned in [[s] for s in train] if alone else [list(train)]:
            model = tsrep.supervised(plan, train.choose(learned).rows(labelled))
            for other in test:
                asked = model.model.of(learned[0]).embed(test[other]) if alone else model.scores(test.choose([other]))
                place = other if not alone or other == learned[0] else f"{learned[0]} → {other}"
                scored = tsrep.class_scores(test[other].label, model.classes[asked.argmax(axis=1)])
                found += [{"place": place, "metric": m, "value": v} for m, v in scored.items()]
            if not alone:
                scored = tsrep.class_scores(test.label, model.predict(test))
                found += [{"place": "all", "metric": m, "value": v} for m, v in scored.items()]
        for place, crossed in (("within (mean)", False), ("across (mean)", True)):
            for metric in ("accuracy", "macro F1"):
                values = [
                    r["value"]
                    for r in found
                    if r["metric"] == metric and r["place"] != "all" and ("→" in r["place"]) == crossed
                ]
                found += [{"place": place, "metric": metric, "value": float(np.mean(values))}] if values else []
        rows += told(spoken(found, bool(few)), f"head{few}")
    return rows


def said(table: pd.DataFrame) -> str:
    metric = "macro F1" if table["setting"].iloc[0] in ("devices", "objectives") else "accuracy"
    found = table[(table["metric"] == metric) & ~table["features"].str.contains("→|draw")]
    return ", ".join(f"{row.features} {row.value:.3f}" for row in found.itertuples())


def report(rows: pd.DataFrame, out: Path) -> None:
    """`<out>_table.md` with all tables and tests, and the pictures: the sweep over beta, scores, and the devices that each
    anchor chose. What is said of them by hand is in `<out>.md`."""
    text = pages(rows, HOSTS, BETAS, out)
    for name in PLACES["devices"]:
        if ((rows["dataset"] == name) & (rows["method"] == "collossl")).any():
            train, _, _ = cut(name, "devices", 0)
            plan = plan_of(DEVICES, {"name": "collossl"}, 0)
            figure = tsrep.devices_picture(train, plan, title=f"{name}: which devices are alike, training windows")
            figure.savefig(out.with_name(f"{out.stem}_devices_{name}.png"), dpi=130)
    print(text)
