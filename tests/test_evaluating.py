"""Evaluation: the same split for everybody, nothing chosen by test labels, and further seeds that see the training part alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import tsrep
from tsrep import evaluating
from tsrep.errors import InputError
from tsrep.evaluation.baselines import minirocket_features
from tsrep.evaluation.tidy import COLUMNS

SETTINGS = {
    "encoder": {"name": "dilated", "hidden": 6, "depth": 3, "features": 8},
    "training": {"steps": 3, "batch_size": 8},
}


def made(n: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that differ in pace."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    phase = rng.uniform(0, 6, (n, 2, 1))
    x = np.sin(phase + np.where(label, 1.2, 0.3)[:, None, None] * np.arange(20)) + 0.1 * rng.standard_normal((n, 2, 20))
    return x.astype(np.float32), label


def panel(subjects: int = 6, **more: Any) -> tsrep.Panel:
    x, label = made()
    return tsrep.as_panel(x, **({"label": label, "subject": np.arange(24) // (24 // subjects)} | more))


@pytest.fixture(scope="module")
def model() -> tsrep.Model:
    return tsrep.fit(panel(), **SETTINGS)


@pytest.fixture(scope="module")
def found(model: tsrep.Model) -> evaluating.Evaluation:
    return tsrep.evaluate(model, panel(), probes=("linear", "knn1"))


def test_every_number_stands_beside_the_baselines(found: evaluating.Evaluation) -> None:
    table = found.table
    assert list(table.columns) == list(COLUMNS)
    told = {(row.method, row.features): set() for row in table.itertuples()}
    for row in table.itertuples():
        told[row.method, row.features].add(row.metric)
    assert set(told) == {
        ("ts2vec", "linear"),
        ("ts2vec", "knn1"),
        ("random encoder", "linear"),
        ("random encoder", "knn1"),
        ("minirocket", "ridge"),
        ("catch22", "linear"),
    }
    assert all(metrics == {"accuracy", "macro F1"} for metrics in told.values())
    assert table["value"].between(0, 1).all()
    assert set(table["setting"]) == {"classify"}
    assert set(table["seed"]) == {0}
    assert (table["seconds"] > 0).all()
    learned = table[table["method"].isin(["ts2vec", "random encoder"])]
    assert set(learned["encoder"]) == {"dilated"}


@pytest.mark.parametrize("pool", ["rich", "levels"])
def test_model_and_random_encoder_are_read_by_the_pool_that_is_asked_for(pool: str, model: tsrep.Model) -> None:
    found = tsrep.evaluate(model, panel(), pool=pool, probes=("ridge",))
    read = {(row.method, row.features) for row in found.table.itertuples()}
    assert read == {
        ("ts2vec", f"{pool}, ridge"),
        ("random encoder", f"{pool}, ridge"),
        ("minirocket", "ridge"),
        ("catch22", "linear"),
    }
    assert found.embeddings[1].shape[1] == model.width(pool)


def test_a_random_encoder_has_the_levels_of_the_training_part(model: tsrep.Model) -> None:
    """Of the part it is asked about nothing is known."""
    train, test = (panel().rows(rows) for rows in (np.arange(12), np.arange(12, 24)))
    first = tsrep.untrained(model, 1, train).embed(test, "levels")
    np.testing.assert_array_equal(tsrep.untrained(model, 1, train).embed(test, "levels"), first)
    other = tsrep.untrained(model, 1, test).embed(test, "levels")
    width = 3 * model.features
    np.testing.assert_array_equal(other[:, :width], first[:, :width])
    assert (other[:, width:] != first[:, width:]).any()


def test_evaluating_leaves_the_threads_of_torch_alone(found: evaluating.Evaluation, model: tsrep.Model) -> None:
    """Else the same seed would give other bits after an evaluation than before it."""
    before = torch.get_num_threads(), model.embed(panel())
    left, _ = minirocket_features(found.train.values, found.test.values, seed=0)
    assert left.shape[0] == len(found.train)
    assert torch.get_num_threads() == before[0]
    np.testing.assert_array_equal(model.embed(panel()), before[1])


def test_subjects_are_on_one_side(found: evaluating.Evaluation, model: tsrep.Model) -> None:
    assert not set(found.train.subject) & set(found.test.subject)
    assert len(found.train) + len(found.test) == 24


def test_a_model_that_saw_the_test_part_is_trained_again_without_it(
    found: evaluating.Evaluation, model: tsrep.Model
) -> None:
    assert not np.array_equal(found.embeddings[1], model.embed(found.test))
    alone = tsrep.fit(found.train, **SETTINGS)
    np.testing.assert_array_equal(found.embeddings[0], alone.embed(found.train))
    np.testing.assert_array_equal(found.embeddings[1], alone.embed(found.test))


def test_a_model_that_did_not_is_measured_as_it_is(found: evaluating.Evaluation) -> None:
    alone = tsrep.fit(found.train, **SETTINGS)
    again = tsrep.evaluate(alone, (found.train, found.test), probes=("knn1",))
    np.testing.assert_array_equal(again.embeddings[1], alone.embed(found.test))


def test_further_seeds_on_other_data_are_refused(found: evaluating.Evaluation) -> None:
    other = tsrep.fit(made(12, seed=9)[0], **SETTINGS)
    with pytest.raises(InputError, match="data that the model was trained on"):
        tsrep.evaluate(other, (found.train, found.test), seeds=2)


def test_predictions_are_those_of_the_table(found: evaluating.Evaluation) -> None:
    for outcome in found.found:
        row = found.table.query("method == @outcome.method and features == @outcome.probe and metric == 'accuracy'")
        assert row["value"].item() == pytest.approx(float(np.mean(outcome.predicted == found.test.label)))


@pytest.mark.parametrize("task", ["cluster", "retrieve"])
def test_the_other_tasks_have_a_table_too(task: str, model: tsrep.Model) -> None:
    table = tsrep.evaluate(model, panel(), task=task).table
    assert set(table["method"]) == {"ts2vec", "random encoder", "minirocket", "catch22"}
    assert set(table["setting"]) == {task}
    assert table["value"].notna().all()


def test_further_seeds_train_on_the_training_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the plan names a file that holds the test part, and where it cuts windows."""
    frame = pd.concat(
        [
            pd.DataFrame(one.T, columns=["a", "b"]).assign(
                id=i, timestamp=np.arange(20.0), subject=f"s{i // 4}", label=f"class {label}"
            )
            for i, (one, label) in enumerate(zip(*made(), strict=True))
        ]
    )
    path = tmp_path / "all.parquet"
    frame.to_parquet(path)
    model = tsrep.fit(path, window=10, seed=5, out=tmp_path / "run", **SETTINGS)
    assert model.data.rows == 48
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    trained = []

    def spy(plan: tsrep.Plan, X: tsrep.Panel) -> tsrep.Model:
        trained.append((plan, X, tsrep.run(plan, X)))
        return trained[-1][2]

    monkeypatch.setattr(evaluating, "run", spy)
    found = tsrep.evaluate(model, path, probes=("knn1",), seeds=2)
    assert [plan.seed for plan, _, _ in trained] == [5, 6]  # the first too: the model had seen the test part
    plan, given, other = trained[1]
    assert given is found.train
    assert other.data.fingerprint == tsrep.fingerprint(found.train)
    assert other.data.rows == len(found.train) == 48 - len(found.test)
    assert other.data.length == 10
    assert (plan.seed, plan.out, plan.method, plan.encoder, plan.training) == (
        6, None, model.plan.method, model.plan.encoder, model.plan.training)  # fmt: skip
    assert set(found.table["dataset"]) == {"all"}
    counts = found.table.groupby(["method", "seed"]).size().unstack()
    assert list(counts.columns) == [5, 6]
    assert (counts == 2).all(axis=None)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_a_series_shorter_than_the_window_is_measured_too(model: tsrep.Model) -> None:
    x, label = made()
    ragged = [one[:, : 7 if i % 5 == 0 else 20] for i, one in enumerate(x)]
    given = tsrep.as_panel(ragged, label=label, subject=np.arange(24) // 4)
    cut = tsrep.fit(given, window=10, **SETTINGS)
    for part in tsrep.evaluate(cut, given, task="retrieve"), tsrep.evaluate(cut, given, task="retrieve"):
        rows = len(part.train) + len(part.test)
        assert rows == sum(-(-one.shape[1] // 10) for one in ragged)


class Pair:
    """What the catalogue gives: a named training and test part."""

    def __init__(self, name: str, train: tsrep.Panel, test: tsrep.Panel) -> None:
        self.name, self.train, self.test = name, train, test


def halves(**more: Any) -> tuple[tsrep.Panel, tsrep.Panel]:
    whole = panel(**more)
    return whole.rows(slice(0, 16)), whole.rows(slice(16, None))


def test_few_labels_are_read_as_by_hand_with_and_without_the_other_windows(model: tsrep.Model) -> None:
    found = tsrep.evaluate(model, panel(), probes=("ridge",), shares=(1.0, 0.25))
    helped = tsrep.evaluate(model, panel(), probes=("ridge",), shares=(0.25,), self_training=True)
    y, truth = np.asarray(found.train.label), np.asarray(found.test.label)
    few = tsrep.stratified_fraction(y, 0.25, seed=model.plan.seed)
    left, right = (part.astype(np.float64) for part in found.embeddings)
    rest = np.delete(left, few, axis=0)
    ridge = tsrep.probe("ridge")
    expected = {
        "ridge": ridge(left, y, right),
        "ridge, 25 % of labels": ridge(left[few], y[few], right),
        "ridge, self-trained, 25 % of labels": ridge(*tsrep.pseudo_labelled(left[few], y[few], rest), right),
    }
    told = {o.probe: o.predicted for o in (*found.found, *helped.found) if o.method == "ts2vec"}
    assert told.keys() == expected.keys()
    for said, predicted in expected.items():
        np.testing.assert_array_equal(told[said], predicted)
    table = pd.concat([found.table, helped.table])
    rows = table[(table["metric"] == "accuracy") & (table["method"] == "minirocket")]
    assert list(rows["features"]) == list(expected)  # the baselines know as few labels, and as much else
    assert (told["ridge"] == truth).mean() == table.query("method == 'ts2vec' and features == 'ridge'")["value"].iloc[0]


def test_a_given_split_is_kept(model: tsrep.Model) -> None:
    train, test = halves()
    for given in ((train, test), Pair("named", train, test)):
        name, first, second, whole = evaluating._parts(given)
        assert whole is None
        assert (len(first), len(second)) == (16, 8)
        assert name == ("named" if isinstance(given, Pair) else "")


def one_class() -> Any:
    return panel(label=np.zeros(24, int))


def unknown_class() -> Any:
    train, test = halves()
    return train, tsrep.as_panel(test.values, label=np.full(8, 7), subject=test.subject)


def shared_subject() -> Any:
    return halves(subject=np.arange(24) % 6)


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "one class": (one_class, {}, "at least two classes, got only 0 in all"),
    "no labels": (lambda: panel(label=None), {}, "expected labels.*column label"),
    "a class of the test part alone": (unknown_class, {}, "expected test labels that occur in training, got 7"),
    "a subject on both sides": (shared_subject, {}, "subject"),
    "no split": (lambda: panel(subject=None), {}, "expected data with a split"),
    "too few subjects": (lambda: panel(subjects=2), {}, "three or more subjects"),
    "other channels": (
        lambda: tsrep.as_panel(np.ones((9, 5, 20)), label=np.arange(9) % 2, subject=np.arange(9)),
        {},
        "expected 2 channels",
    ),
    "unknown task": (panel, {"task": "clasify"}, "unknown task 'clasify'; did you mean 'classify'"),
    "unknown probe": (panel, {"probes": ("linar",)}, "linar.*did you mean 'linear'"),
    "unknown pool": (panel, {"pool": "median"}, "max, mean, last, rich, levels, got 'median'"),
    "no seeds": (panel, {"seeds": 0}, "at least one seed, got 0"),
    "no share of labels": (panel, {"shares": ()}, "shares of labels above 0 and up to 1"),
    "too large a share of labels": (panel, {"shares": (1, 12)}, r"up to 1, got \(1, 12\)"),
    "few labels of clusters": (panel, {"task": "cluster", "shares": (0.5,)}, "for the task classify, got cluster"),
    "self-training with all labels": (panel, {"self_training": True}, "a share of the labels below 1"),
    "unknown data set": (lambda: "BasicMotion", {}, "did you mean 'BasicMotions'"),
    "missing file": (lambda: "nowhere.csv", {}, "no file nowhere.csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name: str, model: tsrep.Model) -> None:
    given, more, said = BAD[name]
    with pytest.raises(InputError, match=said):
        tsrep.evaluate(model, given(), **more)
