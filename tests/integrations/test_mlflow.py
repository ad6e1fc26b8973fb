"""MLflow on a real SQLite file: what arrives of a run, models by address, stopped and resumed runs, a store that fails."""

import contextlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import tsrep

pytest.importorskip("mlflow")

import mlflow
from mlflow import MlflowClient

from tsrep.integrations import mlflow_store
from tsrep.integrations.mlflow import MLflow, fetch, log_results

TINY = {
    "encoder": {"name": "dilated", "hidden": 8, "depth": 3, "features": 16},
    "training": {"steps": 7, "batch_size": 8, "log_every": 3, "checkpoint_every": 3},
}


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> SimpleNamespace:
    """An empty database, whose tables take seconds to make, and what MLflow said on standard error while making them."""
    file, said = tmp_path_factory.mktemp("mlflow") / "mlflow.db", io.StringIO()
    with contextlib.redirect_stderr(said):
        mlflow_store.connect(mlflow_store.database(file))
    return SimpleNamespace(file=file, said=said.getvalue())


def root_of(folder: Path, template: SimpleNamespace) -> Path:
    (folder / "runs").mkdir()
    shutil.copy(template.file, folder / "runs" / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    values = np.random.default_rng(0).standard_normal((20, 3, 48)).astype(np.float32)
    values[0, 0, :3] = np.nan
    return values


@pytest.fixture(scope="module")
def trained(tmp_path_factory, template, X) -> SimpleNamespace:
    """One run that was logged and registered: root, model, client and MLflow's run."""
    root = root_of(tmp_path_factory.mktemp("trained"), template)
    before = dict(os.environ)
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(root)
        kept = {"out": root / "runs" / "first", "observers": {"mlflow": {"register": "steps"}}}
        model = tsrep.fit(X, **TINY, **kept, mining="bad_pairs")
    client = MlflowClient(f"sqlite:///{root}/runs/mlflow.db")
    run_id = json.loads((root / "runs" / "first" / "mlflow.json").read_text())["run_id"]
    changed = {key for key in before.keys() | os.environ.keys() if before.get(key) != os.environ.get(key)}
    changed = {key for key in changed if key.startswith("MLFLOW")}
    return SimpleNamespace(
        root=root, model=model, client=client, run=client.get_run(run_id), said=said.getvalue(), changed=changed
    )


@pytest.fixture
def here(tmp_path, monkeypatch, template) -> Path:
    """A working directory with runs/mlflow.db and no MLFLOW_TRACKING_URI."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(root_of(tmp_path, template))
    return tmp_path


@pytest.fixture
def at_trained(trained, monkeypatch) -> SimpleNamespace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(trained.root)
    return trained


def logged_run(root: Path):
    """Client and only run of the default experiment in runs/mlflow.db."""
    client = MlflowClient(f"sqlite:///{root}/runs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("tsrep").experiment_id])
    assert len(runs) == 1
    return client, runs[0]


def files(client: MlflowClient, run_id: str, folder: str | None = None) -> set[str]:
    return {item.path for item in client.list_artifacts(run_id, folder)}


def test_a_run_tells_plan_data_and_state(trained, X):
    data = trained.run.data
    assert trained.run.info.status == "FINISHED"
    assert data.params["encoder.hidden"] == "8"
    assert data.params["method.name"] == "ts2vec"
    assert data.params["training.steps"] == "7"
    assert data.tags["tsrep.fingerprint"] == tsrep.fingerprint(tsrep.as_panel(X))
    assert data.tags["mlflow.runName"] == "ts2vec dilated memory seed 0"
    (entry,) = trained.run.inputs.dataset_inputs
    assert data.tags["tsrep.fingerprint"].startswith(entry.dataset.digest)
    assert json.loads(entry.dataset.profile) == {"series": 20, "channels": 3, "steps": 48}
    logged = files(trained.client, trained.run.info.run_id)
    assert logged >= {"README.md", "curves.png", "plan.yaml", "bad_pairs.png", "bad_pairs.csv"}


def test_the_numbers_of_every_step_arrive(trained):
    def history(name):
        return {p.step: p.value for p in trained.client.get_metric_history(trained.run.info.run_id, name)}

    assert list(history("rate")) == [1, 2, 3, 4, 5, 6, 7]
    assert len(trained.model.history) == 3
    for line in trained.model.history:
        for name, value in line.items():
            if name != "step":
                assert history(name)[line["step"]] == value


def test_everything_lies_beside_the_run_and_nothing_elsewhere(trained):
    assert {p.name for p in trained.root.iterdir()} == {"runs"}
    assert {p.name for p in (trained.root / "runs").iterdir()} == {"first", "mlflow.db", "mlartifacts"}
    assert not [p for p in trained.root.rglob("*") if p.suffix in (".pkl", ".pickle", ".pt", ".pth")]


def test_mlflow_is_quiet_and_its_global_state_untouched(trained, template):
    assert template.said == ""
    assert trained.said == ""
    assert trained.changed == set()
    assert mlflow.active_run() is None


def test_a_registered_model_is_loaded_by_any_of_its_addresses(at_trained, X):
    expected = at_trained.model.embed(X)
    version = at_trained.client.get_model_version_by_alias("steps", "champion")
    assert version.run_id == at_trained.run.info.run_id
    (output,) = at_trained.run.outputs.model_outputs
    for uri in ("models:/steps@champion", "models:/steps/1", f"models:/{output.model_id}"):
        np.testing.assert_allclose(tsrep.load(uri).embed(X), expected, atol=1e-6)


def test_mlflow_itself_loads_and_runs_the_model(at_trained, monkeypatch, X):
    version = at_trained.client.get_model_version_by_alias("steps", "champion")
    location = at_trained.client.get_model_version_download_uri("steps", version.version)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # such as packages that differ from the requirements
        loaded = mlflow.pyfunc.load_model(location)
    np.testing.assert_allclose(loaded.predict(X), at_trained.model.embed(X), atol=1e-6)
    steps = loaded.predict(X, params={"pool": "steps"})
    np.testing.assert_allclose(steps, at_trained.model.embed(X, pool="steps"), atol=1e-6)
    with pytest.raises(Exception, match="enforce schema"):
        loaded.predict(X[:, :2])
    shapes = [spec.shape for spec in (*loaded.metadata.signature.inputs, *loaded.metadata.signature.outputs)]
    assert shapes == [(-1, 3, -1), (-1, 16)]
    example = loaded.input_example
    np.testing.assert_array_equal(example, at_trained.model.check[:1])
    assert np.isnan(example).any()


def test_the_tracking_address_of_the_environment_is_honoured(tmp_path, monkeypatch, template, X):
    file = tmp_path / "elsewhere.db"
    shutil.copy(template.file, file)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    monkeypatch.chdir(tmp_path)
    settings = {"experiment": "tried", "register": "other", "alias": "newest", "run_name": "named"}
    model = tsrep.fit(X, **TINY, out=tmp_path / "runs" / "first", observers={"mlflow": settings})
    assert not (tmp_path / "runs" / "mlflow.db").exists()
    client = MlflowClient(f"sqlite:///{file}")
    (run,) = client.search_runs([client.get_experiment_by_name("tried").experiment_id])
    assert run.info.run_name == "named"
    np.testing.assert_allclose(tsrep.load("models:/other@newest").embed(X), model.embed(X), atol=1e-6)


def test_steps_do_not_wait_for_a_locked_store(here, X):
    plan = tsrep.make_plan({"out": "runs/first", **TINY})[0]
    observer = MLflow(plan, tsrep.as_panel(X))
    observer.start(300, 0)
    lock = sqlite3.connect(here / "runs" / "mlflow.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    for step in range(1, 301):
        observer.step(step, {"rate": step / 10, "loss/contrast": 1.0, "rank": 2.0, "alignment": 0.5})
    assert lock.execute("SELECT count(*) FROM metrics").fetchone() == (0,)
    lock.execute("ROLLBACK")
    lock.close()
    observer.stop()
    client, run = logged_run(here)
    history = client.get_metric_history(run.info.run_id, "rate")
    assert [(p.step, p.value) for p in history] == [(step, step / 10) for step in range(1, 301)]


class Stopper(tsrep.Observer):
    """Counts steps; says stop, or fails, at one of them."""

    def __init__(self, at: int, error: Exception | None = None) -> None:
        self.at, self.error, self.seen = at, error, 0

    def step(self, step, values):
        self.seen = step
        if self.error is not None and step == self.at:
            raise self.error

    def now(self) -> bool:
        return self.error is None and self.seen >= self.at


def stopped(root: Path, X: np.ndarray, stopper: Stopper) -> None:
    """A run with out=runs/first that does not reach its end."""
    folder = root / "runs" / "first"
    plan = tsrep.make_plan({"out": str(folder), **TINY})[0]
    panel = tsrep.as_panel(X)
    observers = [stopper, MLflow(plan, panel)]
    tsrep.write_plan(plan, folder)
    with pytest.raises((tsrep.Interrupted, ArithmeticError)):
        tsrep.learn(plan, tsrep.prepare(panel, plan), observers, folder, stopping=stopper.now)


def test_a_stopped_run_is_killed_and_continues_as_the_same_run(here, X):
    stopped(here, X, Stopper(4))
    _, run = logged_run(here)
    assert run.info.status == "KILLED"
    model = tsrep.fit(X, **TINY, out="runs/first", resume=True, observers={"mlflow": {}})
    client, again = logged_run(here)
    assert again.info.run_id == run.info.run_id
    assert again.info.status == "FINISHED"
    points = client.get_metric_history(run.info.run_id, "rate")
    assert [p.step for p in points] == [1, 2, 3, 4, 5, 6, 7]
    assert model.history[-1]["step"] == 7


def test_steps_that_were_logged_before_a_crash_are_not_logged_twice(here, X):
    stopped(here, X, Stopper(5, FloatingPointError("no more")))  # after the checkpoint of step 3
    client, run = logged_run(here)
    assert run.info.status == "FAILED"
    assert [p.step for p in client.get_metric_history(run.info.run_id, "rate")] == [1, 2, 3, 4]
    tsrep.fit(X, **TINY, out="runs/first", resume=True, observers={"mlflow": {}})
    client, run = logged_run(here)
    assert run.info.status == "FINISHED"
    assert [p.step for p in client.get_metric_history(run.info.run_id, "rate")] == [1, 2, 3, 4, 5, 6, 7]


def test_a_store_that_fails_while_training_costs_numbers_and_says_how_many(here, X):
    plan = tsrep.make_plan({"out": "runs/first", **TINY})[0]
    observer = MLflow(plan, tsrep.as_panel(X))
    observer.start(7, 0)
    with sqlite3.connect(here / "runs" / "mlflow.db") as database:
        database.execute("DROP TABLE metrics")
    for step in range(1, 8):
        observer.step(step, {"rate": 0.1, "loss": 1.0})
    with pytest.warns(RuntimeWarning, match=r"14 numbers .* did not reach MLflow .*no such table"):
        observer.stop()


@pytest.mark.parametrize("saved", [True, False])
def test_a_failing_registry_never_costs_the_model(here, X, saved):
    """Raised where the model is on disk, told where it is in memory alone."""
    with sqlite3.connect(here / "runs" / "mlflow.db") as database:
        database.execute("DROP TABLE registered_model_aliases")
    settings = {"mlflow": {"register": "steps"}}
    if saved:
        with pytest.raises(RuntimeError, match="the model is saved in runs/first, but MLflow"):
            tsrep.fit(X, **TINY, out="runs/first", observers=settings)
        assert tsrep.load("runs/first").features == 16
    else:
        shutil.move(here / "runs" / "mlflow.db", here / "mlflow.db")
        with pytest.warns(RuntimeWarning, match="MLflow did not take the model"):
            assert tsrep.fit(X, **TINY, observers=settings).features == 16


def test_results_come_to_the_run_of_the_model(at_trained):
    from matplotlib.figure import Figure

    measured = pd.DataFrame(
        {"method": ["ts2vec", "ts2vec", "random encoder"], "seed": [0, 1, 0], "value": [0.9, 0.8, 0.5]}
    )
    frame = measured.assign(dataset="Waves", setting="classify", features="svm", metric="accuracy")
    figure = Figure()
    run_id = at_trained.run.info.run_id
    assert log_results("runs/first", frame, {"map": figure}) == run_id
    assert log_results("models:/steps@champion", frame) == run_id
    metrics = at_trained.client.get_run(run_id).data.metrics
    assert metrics["Waves/classify/ts2vec/svm/accuracy"] == pytest.approx(0.85)
    assert metrics["Waves/classify/random encoder/svm/accuracy"] == 0.5
    assert files(at_trained.client, run_id, "results") == {"results/Waves-classify", "results/Waves-classify.csv"}
    assert files(at_trained.client, run_id, "results/Waves-classify") == {"results/Waves-classify/map.png"}


def test_results_of_a_model_that_mlflow_never_saw_are_not_logged(here, tmp_path):
    assert log_results(tmp_path / "elsewhere", pd.DataFrame()) is None
    assert log_results("models:/nobody@champion", pd.DataFrame()) is None


def test_results_of_a_model_that_was_moved_away_from_its_store_make_no_new_store(at_trained, tmp_path):
    shutil.copytree("runs/first", tmp_path / "moved" / "first")
    assert log_results(tmp_path / "moved" / "first", pd.DataFrame()) is None
    assert {p.name for p in (tmp_path / "moved").iterdir()} == {"first"}


def test_mlflow_is_imported_when_a_store_is_opened_and_not_before():
    code = (
        "import sys, tsrep.integrations.mlflow as m; m.log_results('nowhere', None); sys.exit('mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("uri", ["models:/nobody@champion", "models:/steps/7", "models:/m-0", "models:/steps"])
def test_an_address_without_a_model_is_told(here, uri):
    with pytest.raises(tsrep.InputError, match="models:/"):
        fetch(uri)


def test_an_address_needs_a_store(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tsrep.InputError, match="MLFLOW_TRACKING_URI"):
        tsrep.load("models:/steps@champion")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_open_is_told_before_training_without_its_password(tmp_path, monkeypatch, X):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://someone:secret@host/x")
    with pytest.raises(tsrep.InputError, match="nonsense://host/x") as caught:
        tsrep.fit(X, **TINY, observers={"mlflow": {}})
    assert "secret" not in str(caught.value)


def test_a_damaged_note_of_the_run_is_told(here, X):
    stopped(here, X, Stopper(4))
    (here / "runs" / "first" / "mlflow.json").write_text("[1]")
    with pytest.raises(tsrep.InputError, match=r"mlflow\.json"):
        tsrep.fit(X, **TINY, out="runs/first", resume=True, observers={"mlflow": {}})
