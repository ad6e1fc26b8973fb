"""Ray Train for real: a local cluster of two processors, workers that are killed, faults and signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsrep

pytest.importorskip("ray.train")
psutil = pytest.importorskip("psutil")

ENCODER = {"name": "dilated", "hidden": 8, "depth": 3, "features": 16, "dropout": 0.0}
TRAINING = {"steps": 30, "batch_size": 8, "checkpoint_every": 10, "precision": "float64"}
OBSERVERS = """
import os, signal
from pathlib import Path
import tsrep

class Killer(tsrep.Observer):
    def __init__(self, plan, panel, at, mark):
        self.at, self.mark = at, Path(mark)

    def start(self, length, done):
        with self.mark.with_suffix(".starts").open("a") as file:
            file.write(f"{done} ")

    def step(self, step, values):
        if step == self.at and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

class Faulty(tsrep.Observer):
    def __init__(self, plan, panel, at):
        self.at = at

    def step(self, step, values):
        if step == self.at:
            raise KeyError("spoon")
"""
POINTS = "[tsrep.observers]\nkiller = tsrep_made_observers:Killer\nfaulty = tsrep_made_observers:Faulty\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for all runs of this file, whose processes know two more observers: an installed package of two lines."""
    from tsrep.integrations import ray_cluster

    site = tmp_path_factory.mktemp("site")
    (site / "tsrep_made_observers.py").write_text(OBSERVERS)
    about = site / "tsrep_made_observers-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tsrep-made-observers\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    with pytest.MonkeyPatch.context() as patch, ray_cluster.settings():
        patch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))
        with ray_cluster.cluster(0):
            yield


@pytest.fixture
def X() -> np.ndarray:
    """(24, 3, 40); some are shorter."""
    values = np.random.default_rng(0).standard_normal((24, 3, 40)).astype(np.float32)
    values[::3, :, 30:] = np.nan
    return values


def fit(X: np.ndarray, method: str, **more: Any) -> tsrep.Model:
    return tsrep.fit(X, method=method, encoder=ENCODER, **{"training": TRAINING} | more)


def apart(one: tsrep.Model, other: tsrep.Model) -> float:
    ours, theirs = one.encoder.state_dict(), other.encoder.state_dict()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)  # the untrained one has no levels


def test_two_workers_end_with_the_weights_of_one_process(
    X: np.ndarray, cluster: None, capsys: pytest.CaptureFixture[str]
) -> None:
    many = fit(X, "simclr", workers=2, progress=True)
    said = capsys.readouterr().err
    alone = fit(X, "simclr")
    assert apart(alone, tsrep.untrained(alone, seed=0)) > 1e-3, "weights that did not move prove nothing"
    assert apart(alone, many) < 1e-6
    np.testing.assert_allclose(many.embed(X), alone.embed(X), atol=1e-5)
    losses = [[line["loss/contrast"] for line in model.history] for model in (alone, many)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert "loss" in said, "the driver shows the progress of the workers"
    assert "windows/s" in said


def test_two_workers_learn_from_several_streams_what_one_process_does(X: np.ndarray, cluster: None) -> None:
    """By one method: that every one of them does is shown without a cluster, which costs a minute each (tests/test_streams.py)."""
    noise = np.random.default_rng(1).standard_normal((2, *X.shape)).astype(np.float32)
    hip = X + noise[1]
    hip[5] = np.nan
    data = {"wrist": X + noise[0], "hip": hip}
    alone, many = (fit(data, "collossl", workers=workers, training=TRAINING | {"steps": 6}) for workers in (0, 2))
    assert apart(alone, tsrep.untrained(alone, seed=0)) > 1e-3, "weights that did not move prove nothing"
    assert apart(alone, many) < 1e-6
    np.testing.assert_allclose(many.embed(data), alone.embed(data), atol=1e-5)


def test_a_killed_worker_is_replaced_and_nothing_is_lost(X: np.ndarray, cluster: None, tmp_path: Path) -> None:
    out, mark = tmp_path / "run", tmp_path / "mark"
    model = fit(X, "ts2vec", workers=2, out=out, observers={"killer": {"at": 25, "mark": str(mark)}})
    assert mark.exists()
    assert mark.with_suffix(".starts").read_text() == "0 20 ", "the second start goes on from the last checkpoint"
    assert apart(fit(X, "ts2vec"), model) < 1e-6
    assert [line["step"] for line in model.history] == [10.0, 20.0, 30.0]
    np.testing.assert_array_equal(tsrep.load(out).embed(X), model.embed(X))
    assert not {".ray", "checkpoint.safetensors"} & {path.name for path in out.iterdir()}


def test_a_fault_of_one_worker_ends_all_and_comes_back_as_it_was(X: np.ndarray, cluster: None) -> None:
    with pytest.raises(KeyError, match="spoon") as caught:
        fit(X, "ts2vec", workers=2, observers={"faulty": {"at": 5}})
    assert "On worker 0 of 2" in caught.value.__notes__[0]


def test_more_workers_than_processors_are_refused_before_anything_is_written(
    X: np.ndarray, cluster: None, tmp_path: Path
) -> None:
    with pytest.raises(tsrep.InputError, match=r"expected at most \d+ workers, .* got 999"):
        fit(X, "ts2vec", workers=999, out=tmp_path / "run", training={"batch_size": 1000})
    assert not (tmp_path / "run").exists()


def test_a_batch_must_hold_a_series_for_every_worker(X: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(tsrep.InputError, match=r"batch_size of at least 9, .* got 8"):
        fit(X, "ts2vec", workers=9, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_workers_compute_on_processors(X: np.ndarray) -> None:
    with pytest.raises(tsrep.InputError, match=r"device auto or cpu .* got 'cuda'"):
        fit(X, "ts2vec", workers=2, training={"device": "cuda"})


def test_a_signal_saves_ends_every_process_and_the_run_goes_on_elsewhere(X: np.ndarray, tmp_path: Path) -> None:
    """By the command line and with a cluster of its own; what two workers began, one process ends."""
    np.save(tmp_path / "X.npy", X)
    out = tmp_path / "run"
    content = {"data": str(tmp_path / "X.npy"), "method": "ts2vec", "encoder": ENCODER}
    plan, _ = tsrep.make_plan(content | {"training": TRAINING | {"steps": 150, "checkpoint_every": 2}})
    tsrep.write_plan(plan, tmp_path)
    program = [sys.executable, "-m", "tsrep", "fit", str(tmp_path / "plan.yaml"), "--workers", "2", "--out", str(out)]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    run = psutil.Popen(program, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not (out / "checkpoint.safetensors").is_file():
            assert run.poll() is None, run.stderr.read()
            assert time.monotonic() < deadline, "no checkpoint in two minutes"
            time.sleep(0.05)
        processes = run.children(recursive=True)
        assert len(processes) > 4
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            run.kill()
    assert run.returncode == 128 + signal.SIGTERM, said
    assert f"tsrep resume {out}" in said
    assert [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint.safetensors", "plan.yaml"]
    begun, _ = tsrep.read_plan(out / "plan.yaml")
    assert begun.workers == 2
    ended = tsrep.run(replace(begun, workers=0), resume=True)
    assert apart(ended, tsrep.run(plan)) < 1e-6
    assert [line["step"] for line in ended.history] == [float(step) for step in range(10, 151, 10)]


def test_without_workers_ray_is_never_imported(tmp_path: Path) -> None:
    program = (
        "import sys, numpy, tsrep; "
        f"tsrep.fit(numpy.random.default_rng(0).standard_normal((8, 2, 16)), encoder={ENCODER}, training={{'steps': 2}}, "
        f"workers=0, out={str(tmp_path / 'run')!r}); "
        "print([name for name in sys.modules if name.split('.')[0] == 'ray'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_processes_that_died_are_passed_over_when_the_cluster_ends(tmp_path) -> None:
    waits = "import sys; sys.stdin.read()"
    living, dead = (
        subprocess.Popen([sys.executable, "-c", waits, str(tmp_path)], stdin=subprocess.PIPE) for _ in range(2)
    )
    try:
        dead.kill()  # not waited for, it stays as a zombie
        deadline = time.monotonic() + 30
        while psutil.Process(dead.pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        from tsrep.integrations import ray_cluster

        assert [child.pid for child in ray_cluster._started(str(tmp_path))] == [living.pid]
    finally:
        living.kill()
        living.communicate()
        dead.communicate()
