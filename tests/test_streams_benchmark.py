"""The benchmark of several streams on a tiny made data set: every row has its place, and the tables are made of the rows alone."""

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsrep
from tsrep.evaluation.tidy import COLUMNS

JOINTS = ("hip_center", "shoulder_center", "left_wrist", "right_wrist")
SHORT = {"steps": 2, "batch_size": 8}
NARROW = {"name": "wide", "hidden": 8, "depth": 2, "features": 8, "kernels": 16, "competing": 16}


@pytest.fixture
def bench(pipeline: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = pipeline("streams")
    monkeypatch.setattr(made, "cut", small)
    for base in ("MODALITIES", "DEVICES", "SKELETON"):
        monkeypatch.setattr(made, base, json.loads(json.dumps(getattr(made, base))) | {"training": SHORT})
    monkeypatch.setitem(made.MODALITIES["encoders"], "skeleton", NARROW)
    monkeypatch.setattr(made, "DRAWS", 1)
    monkeypatch.setattr(tsrep, "baseline_features", plain, raising=False)
    return made


def plain(name: str, left: np.ndarray, right: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """For MiniRocket, which compiles for a while."""
    return np.nanmean(left, axis=2), np.nanmean(right, axis=2)


def small(name: str, setting: str, seed: int) -> tuple[tsrep.Streams, tsrep.Streams, tsrep.Streams | None]:
    rng = np.random.default_rng(seed)
    label = np.repeat(["a", "b", "c"], 6)
    body = tuple(f"{joint}_{axis}" for joint in JOINTS for axis in "xyz")
    channels: Mapping[str, tuple[str, ...]] = {"skeleton": body}
    if setting == "cross-modal":
        channels = {"inertial": ("acc_x", "acc_y", "acc_z"), "skeleton": body}
    if setting in ("devices", "objectives"):
        channels = dict.fromkeys(("wrist", "hip", "ankle"), ("acc_x", "acc_y", "acc_z"))

    def part() -> tsrep.Streams:
        made = {s: rng.standard_normal((len(label), len(names), 30)) for s, names in channels.items()}
        who = np.arange(len(label)) % 4
        return tsrep.Streams(
            {s: tsrep.Panel(v.astype(np.float32), channels[s], 10.0, label=label, subject=who) for s, v in made.items()}
        )

    return part(), part(), part() if name == "UTD-MHAD" else None


def told(bench: ModuleType, *run: Any) -> set[str]:
    table = bench.one(*run)
    assert list(table.columns) == list(COLUMNS)
    assert (table[["dataset", "setting", "method", "seed"]] == list(run)).all().all()
    assert not table.duplicated(["features", "metric"]).any()
    assert np.isfinite(table["value"]).all() and table["value"].min() >= 0
    scores = table[table["metric"].isin(["accuracy", "macro F1", "top-1"])]
    assert scores["value"].max() <= 1
    assert bench.said(table)
    return set(table["features"])


@pytest.mark.parametrize("method", ["skeleton_imu beta 1", "simclr", "random encoder"])
def test_modalities_are_read_alone_and_together_with_all_and_few_labels_and_from_one_to_the_other(
    bench: ModuleType, method: str
) -> None:
    found = told(bench, "UTD-MHAD", "cross-modal", method, 0)
    few = ["", *(f", {share} % of labels, draw {draw}" for share in (5, 10) for draw in range(bench.DRAWS))]
    read = {
        f"{place}, {how}{said}"
        for place in ("inertial", "skeleton", "both")
        for how in ("own linear", "rich ridge", "levels ridge")
        for said in few
    }
    ways = {
        f"retrieval {way}, {how} cosine"
        for way in ("inertial → skeleton", "skeleton → inertial")
        for how in ("own", "rich", "levels")
    }
    assert found == read | ways


def test_baselines_of_modalities_stand_beside_them(bench: ModuleType) -> None:
    places = ("inertial", "skeleton", "both")
    taught = told(bench, "UTD-MHAD", "cross-modal", "supervised", 0)
    assert taught == {
        f"{p}, head{few}" for p in places for few in ("", ", 5 % of labels, draw 0", ", 10 % of labels, draw 0")
    }
    assert {f"{p}, ridge" for p in places} < told(bench, "UTD-MHAD", "cross-modal", "minirocket", 0)


@pytest.mark.parametrize("method", ["collossl", "minirocket", "supervised one device", "supervised all devices"])
def test_devices_are_read_within_across_and_all_together(bench: ModuleType, method: str) -> None:
    found = told(bench, "PTE", "devices", method, 1)
    how = "head" if method.startswith("supervised") else "ridge" if method == "minirocket" else "own ridge"
    few = ", 10 % of labels, draw 0"
    across = {f"across (mean), {how}", f"wrist → hip, {how}", f"across (mean), {how}{few}"}
    assert {f"wrist, {how}", f"within (mean), {how}", f"within (mean), {how}{few}"} <= found
    assert (across <= found) == (method != "supervised all devices") and (across & found == set()) == (
        not across <= found
    )
    assert (f"all, {how}" in found) == (method != "supervised one device")


@pytest.mark.parametrize("method", ["moco", "halp", "supervised", "minirocket"])
def test_skeletons_have_linear_and_neighbour_probes(bench: ModuleType, method: str) -> None:
    found = told(bench, "NW-UCLA", "latent", method, 0)
    learned = {"skeleton, own linear", "skeleton, own knn1", "skeleton, rich ridge", "skeleton, levels ridge"}
    expected = {"supervised": {"skeleton, head"}, "minirocket": {"skeleton, ridge"}}.get(method, learned)
    assert found == expected, "two steps make no latent positive yet"


def test_every_objective_is_measured_on_the_same_devices(bench: ModuleType) -> None:
    assert "all, own ridge" in told(bench, "Berkeley-MHAD", "objectives", "multiview gram", 0)
    rows = [run for run in bench.runs(2, None, ["objectives"], None) if run[3] == 1]
    assert [run[:2] for run in rows] == [("Berkeley-MHAD", "objectives")] * len(bench.RECIPES["objectives"])


def test_runs_are_those_that_were_asked_for_each_once(bench: ModuleType) -> None:
    everything = bench.runs(2, None, None, None)
    assert (
        len(set(everything))
        == len(everything)
        == 2 * sum(len(bench.PLACES[s]) * len(bench.RECIPES[s]) for s in bench.PLACES)
    )
    assert bench.runs(1, ["PTE"], None, ["collossl", "moco"]) == [("PTE", "devices", "collossl", 0)]


def test_tables_hold_means_over_draws_and_the_test_against_the_host(bench: ModuleType, tmp_path: Path) -> None:
    made = []
    for beta, gain in ((0.0, 0.0), (1.0, 0.1)):
        for seed in range(2):
            for draw in range(2):
                read = f"both, own linear, 5 % of labels, draw {draw}"
                value = 0.5 + gain + draw / 10 + seed / 100
                made.append({"method": f"skeleton_imu beta {beta:g}", "features": read, "seed": seed, "value": value})
    rows = tsrep.tidy(made, dataset="UTD-MHAD", setting="cross-modal", metric="accuracy", encoder="recurrent and wide")
    out = tmp_path / "streams.csv"
    text = importlib.import_module("streams_report").pages(rows, bench.HOSTS, bench.BETAS, out)
    assert "| both, own linear, 5 % of labels | 0.555 ± 0.007 | 0.655 ± 0.007 |" in text
    assert "| skeleton_imu beta 1 | both, own linear, 5 % of labels | 2 | +0.100 | 2 | 0 | 0.500 |" in text
    assert (tmp_path / "streams_table.md").read_text() == text
    assert {path.name for path in tmp_path.glob("*.png")} == {"streams_beta.png"}


@pytest.mark.parametrize(("name", "readings"), [("UTD-MHAD", 6), ("Berkeley-MHAD", 4), ("UTD-MHAD skeleton", 3)])
def test_what_is_chosen_is_chosen_without_the_test_part_and_once(
    bench: ModuleType,
    name: str,
    readings: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    choice = importlib.import_module("choose_streams")
    assert all(tsrep.make_plan(plan) for known in choice.CANDIDATES.values() for plan in known.values())

    def cut(*given: Any) -> tuple[Any, None, Any]:
        train, _, held = small("PTE" if name == "Berkeley-MHAD" else "UTD-MHAD", *given[1:])
        return train, None, held

    called = next(iter(choice.CANDIDATES[name]))
    known = {called: choice.CANDIDATES[name][called] | {"training": SHORT}}
    monkeypatch.setattr(bench, "cut", cut)
    monkeypatch.setattr(choice, "CANDIDATES", {name: known})
    monkeypatch.setattr(choice, "HELD", {"Berkeley-MHAD": (3,)})
    monkeypatch.setattr(choice, "OUT", tmp_path / "choice.csv")
    monkeypatch.setattr(sys, "argv", ["choose_streams.py", "--set", name])
    choice.main()
    rows = pd.read_csv(tmp_path / "choice.csv")
    assert list(rows.columns) == list(COLUMNS) and len(rows) == 2 * readings
    told = capsys.readouterr().out
    assert called in told and "random encoder" in told and "score" in told
    choice.main()
    assert len(pd.read_csv(tmp_path / "choice.csv")) == len(rows)
