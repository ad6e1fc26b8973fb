"""Fit: windows, the part kept aside, scaling, and bad input that leaves nothing behind on disk."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsrep
from tsrep import fitting
from tsrep.errors import InputError
from tsrep.training import Interrupted, Observer

ENCODER = {"name": "dilated", "hidden": 6, "depth": 3, "features": 8}
TRAINING = {"steps": 2, "batch_size": 4}


def windows(n: int = 10, channels: int = 3, time: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, channels, time)).astype(np.float32)


def table(subjects: int = 4, steps: int = 40, channels: int = 2) -> pd.DataFrame:
    """A long table: one recording for each subject, two classes."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(rng.standard_normal((steps, channels)), columns=[f"c{i}" for i in range(channels)]).assign(
            id=s, timestamp=np.arange(steps) * 0.1, subject=f"s{s}", label="ab"[s % 2]
        )
        for s in range(subjects)
    ]
    return pd.concat(parts, ignore_index=True)


def fit(X: Any, **more: Any) -> tsrep.Model:
    return tsrep.fit(X, **({"encoder": ENCODER, "training": TRAINING} | more))


def prepared(X: Any, **more: Any) -> fitting.Prepared:
    plan, _ = tsrep.make_plan({"encoder": ENCODER, "training": TRAINING} | more)
    return tsrep.prepare(tsrep.as_panel(X), plan)


# --- bad input ----------------------------------------------------------------------------------------------------


def holding(value: float) -> np.ndarray:
    x = windows()
    x[4, 1, 7] = value
    return x


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({"X": None}, "expected data"),
    "empty data": ({"X": windows(0)}, "empty data"),
    "no steps": ({"X": windows(time=0)}, "empty data"),
    "empty list": ({"X": []}, "empty"),
    "two axes": ({"X": windows()[:, 0]}, r"expected an array of shape \(n, channel, time\), got \(10, 24\)"),
    "object array": ({"X": np.array([windows(1)[0], None], dtype=object)}, "object array"),
    "text": ({"X": np.full((4, 2, 8), "a")}, "real numbers"),
    "infinite": ({"X": holding(np.inf)}, "channel_1 holds 1 infinite values.*series 4, step 7"),
    "an all-missing series": (
        {"X": np.where(np.arange(10)[:, None, None] == 6, np.nan, windows())},
        "1 of 10 series.*rows 6",
    ),
    "channels that differ": ({"X": [windows()[0], windows(1, 2)[0]]}, "series 1 to have 3 channels.*got 2"),
    "one window": ({"X": windows(1)}, "at least two windows.*got one.*window"),
    "one window after cutting": ({"X": windows(1), "window": 24}, "at least two windows"),
    "window longer than the series": (
        {"X": windows(), "window": 25},
        "no longer than the longest series of 24 steps, got 25",
    ),
    "hop alone": ({"hop": 3}, "data.hop=3 needs data.window"),
    "hop of nothing": ({"window": 8, "hop": 0}, "data.hop"),
    "missing file": ({"X": "no/such/data.parquet"}, "no file no/such/data.parquet.*does not exist"),
    "missing path": ({"X": Path("no/such/data.npy")}, "no file"),
    "unknown data set": ({"X": "BasicMotion"}, "no data set 'BasicMotion'.*did you mean 'BasicMotions'"),
    "unknown ending": ({"X": "data.xls"}, "no file data.xls"),
    "unknown method": ({"method": "ts2vek"}, "unknown method 'ts2vek'; did you mean 'ts2vec'"),
    "unknown encoder": ({"encoder": "dilatd"}, "unknown encoder 'dilatd'; did you mean 'dilated'"),
    "unknown key": ({"method": {"name": "simclr", "temperture": 1}}, "'method.temperture'.*did you mean 'temperature'"),
    "unknown training key": ({"training": {"step": 1}}, "'training.step'.*did you mean 'steps'"),
    "unknown augmentation": (
        {"method": {"name": "simclr", "augment": ["jiter"]}},
        "unknown augmentation 'jiter'; did you mean 'jitter'",
    ),
    "augmentation out of range": (
        {"method": {"name": "simclr", "augment": [{"jitter": {"sigma": -1}}]}},
        "jitter.sigma",
    ),
    "patch longer than the window": (
        {"encoder": {"name": "patch", "patch": 25}},
        "patches no longer than the window of 24 steps",
    ),
    "series shorter than a crop": (
        {"X": windows(time=1), "method": "ts2vec"},
        "at least 2 steps for overlapping crops, got 1",
    ),
    "unknown observer": ({"observers": {"mlfow": {}}}, "no observer 'mlfow' is installed; did you mean 'mlflow'"),
    "unknown setting of an observer": (
        {"observers": {"mlflow": {"experimnt": "a"}}},
        "unknown setting 'experimnt' of the observer 'mlflow'; did you mean 'experiment'",
    ),
    "unknown device": ({"training": {"device": "nowhere"}}, "training.device.*'nowhere'"),
    "validation of one window": (
        {"X": windows(4), "training": {"validation": 0.1}},
        "two windows on each side.*3 and 1",
    ),
    "validation of too few": ({"X": windows(2), "training": {"validation": 0.5}}, "at least three recordings.*got 2"),
    "seed": ({"seed": -1}, "'seed'.*greater than or equal to 0"),
    "workers": ({"workers": -1}, "'workers'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_leaves_nothing_behind(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fitting.plans, "write", lambda *_: pytest.fail("written before the input was refused"))
    given, said = BAD[name]
    settings = {"X": windows(), "encoder": ENCODER, "training": TRAINING, "out": tmp_path / "run"} | given
    with pytest.raises(InputError, match=said):
        tsrep.fit(settings.pop("X"), **settings)
    assert list(tmp_path.iterdir()) == []


def test_what_refuses_once_training_began_leaves_nothing_behind_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refuses(Observer):
        def start(self, length: int, done: int) -> None:
            assert (tmp_path / "run" / "plan.yaml").is_file()
            raise InputError("expected a server, got none")

    monkeypatch.setattr(fitting, "observers_of", lambda plan, panel: [Refuses()])
    with pytest.raises(InputError, match="expected a server"):
        fit(windows(), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="expected an empty folder"):
        fit(windows(), out=tmp_path)
    with pytest.raises(InputError, match="got a file"):
        fit(windows(), out=tmp_path / "thesis.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    out = tmp_path / "run"
    fit(windows(), out=out)
    before = {p: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(InputError, match="expected an empty folder"):
        fit(windows(), out=out, seed=1)
    assert {p: p.read_bytes() for p in out.iterdir()} == before


def test_resuming_needs_a_folder_with_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected out"):
        fit(windows(), resume=True)
    with pytest.raises(InputError, match=r"expected a checkpoint.*found none"):
        fit(windows(), out=tmp_path / "new", resume=True)
    with pytest.raises(InputError, match=r"found no plan.yaml"):
        tsrep.resume(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- runs ---------------------------------------------------------------------------------------------------------


class Stop(Observer):
    """Presses Ctrl-C at a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, step: int, values: Mapping[str, float]) -> None:
        if step == self.at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


def interrupted(out: Path, monkeypatch: pytest.MonkeyPatch, X: Any, **more: Any) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "observers_of", lambda plan, panel: [Stop(3)])
        with pytest.raises(Interrupted, match="SIGINT: saved at step 3"):
            fit(X, out=out, **more)


def test_data_from_memory_resumes_when_it_is_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"training": TRAINING | {"steps": 6, "validation": 0.2, "validate_every": 2}, "seed": 4}
    whole = fit(windows(), **settings)
    interrupted(tmp_path / "run", monkeypatch, windows(), **settings)
    with pytest.raises(InputError, match="holds a run that was stopped"):
        fit(windows(), out=tmp_path / "run", **settings)
    with pytest.raises(InputError, match=r"data from memory; give it again: tsrep.fit\(X"):
        tsrep.resume(tmp_path / "run")
    again = fit(windows(), out=tmp_path / "run", resume=True, **settings)
    np.testing.assert_array_equal(again.embed(windows(seed=5)), whole.embed(windows(seed=5)))
    assert again.history == whole.history


def test_a_run_whose_saving_was_cut_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and checkpoint both there: the folder is not whole yet."""
    np.save(tmp_path / "x.npy", windows())
    settings = {"training": TRAINING | {"steps": 6}}
    whole = fit(tmp_path / "x.npy", **settings)
    out = tmp_path / "run"
    interrupted(out, monkeypatch, tmp_path / "x.npy", **settings)
    (out / "weights.safetensors").write_bytes(b"half")
    again = tsrep.resume(out)
    np.testing.assert_array_equal(again.embed(windows()), whole.embed(windows()))
    np.testing.assert_array_equal(tsrep.load(out).embed(windows()), whole.embed(windows()))


def test_a_finished_run_is_the_model_and_nothing_else(tmp_path: Path) -> None:
    model = fit(windows(), out=tmp_path / "a" / "run", training=TRAINING | {"steps": 4, "checkpoint_every": 2})
    assert sorted(p.name for p in (tmp_path / "a" / "run").iterdir()) == [
        "README.md",
        "check.safetensors",
        "data.json",
        "history.jsonl",
        "plan.yaml",
        "reference.safetensors",
        "results.jsonl",
        "weights.safetensors",
    ]
    np.testing.assert_array_equal(tsrep.load(tmp_path / "a" / "run").embed(windows()), model.embed(windows()))
    lines = [json.loads(line) for line in (tmp_path / "a" / "run" / "history.jsonl").read_text().splitlines()]
    assert lines == model.history
    assert {"step", "rate", "loss/contrast", "alignment", "uniformity", "rank", "rank_of"} <= lines[-1].keys()


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fit(windows())
    assert list(tmp_path.iterdir()) == []


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": list,
    "panel": tsrep.as_panel,
    "float64": lambda x: x.astype(np.float64),
    "table": lambda x: pd.concat(
        [
            pd.DataFrame(one.T, columns=["a", "b", "c"]).assign(id=i, timestamp=np.arange(24.0))
            for i, one in enumerate(x)
        ]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_the_data_does_not_matter(form: str) -> None:
    expected = fit(windows())
    found = fit(FORMS[form](windows()))
    np.testing.assert_array_equal(found.embed(windows()), expected.embed(windows()))
    assert found.data.channels == (("a", "b", "c") if form == "table" else ("channel_0", "channel_1", "channel_2"))


def test_observers_hear_of_the_finished_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heard = []

    class Listens(Observer):
        def done(self, model: Any) -> None:
            heard.append((model, (tmp_path / "run" / "weights.safetensors").is_file()))

    monkeypatch.setattr(fitting, "observers_of", lambda plan, panel: [Listens()])
    model = fit(windows(), out=tmp_path / "run")
    assert heard == [(model, True)]


def test_the_bar_shows_loss_and_pace_and_warns_of_collapse(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    fit(windows(), progress=True, training=TRAINING | {"steps": 3, "log_every": 1})
    shown = capsys.readouterr().err
    assert "ts2vec" in shown
    assert "3/3" in shown
    assert "loss" in shown and "windows/s" in shown and "rank" in shown
    assert shown.count("no nearer than strangers") == 1  # said once, though the numbers in it change at every look
    blind = {
        "method": {"name": "ts2vec", "mask": 1.0},
        "encoder": ENCODER | {"dropout": 0.0},
    }  # all series look the same
    fit(windows(), progress=True, training=TRAINING | {"steps": 3, "log_every": 1}, **blind)
    warned = capsys.readouterr().err
    assert "step 1: embeddings are collapsing: uniformity 0.00" in warned
    assert warned.count("collapsing") == 1


# --- what the loop is given ---------------------------------------------------------------------------------------


def test_scaling_is_fitted_on_the_training_part_alone() -> None:
    x = windows(20) + np.arange(20, dtype=np.float32)[:, None, None]
    made = prepared(x, training=TRAINING | {"validation": 0.25})
    assert (len(made.train), len(made.validation or ())) == (15, 5)
    assert made.described.rows == 15
    values = made.train.values
    assert values.mean((0, 2)).abs().max() < 1e-5
    np.testing.assert_allclose(values.std((0, 2), correction=0), 1, atol=1e-4)
    held = made.validation.values.numpy() * np.array(made.scaler.scale)[:, None] + np.array(made.scaler.mean)[:, None]
    assert all(np.isclose(x, one, atol=1e-3).all(axis=(1, 2)).any() for one in held)
    assert abs(made.validation.values.mean()) > 1e-3
    plain = prepared(x, data={"scaling": "none"})
    np.testing.assert_array_equal(plain.train.values.numpy(), x)


def test_the_part_kept_aside_follows_from_the_seed_and_holds_whole_subjects() -> None:
    frame = table(subjects=6)
    split = {"data": {"window": 10}, "training": TRAINING | {"validation": 0.3}}
    panel = tsrep.as_panel(frame)

    def held(seed: int) -> set[float]:
        made = prepared(panel, seed=seed, **split)
        assert made.validation is not None
        assert len(made.train) + len(made.validation) == 24
        assert len(made.validation) % 4 == 0  # four windows of each subject
        raw = (
            made.validation.values.numpy() * np.array(made.scaler.scale)[:, None] + np.array(made.scaler.mean)[:, None]
        )
        return set(np.round(raw[:, 0, 0].astype(float), 3))

    assert held(0) == held(0)
    assert len({frozenset(held(seed)) for seed in range(5)}) > 1


def test_overlapping_windows_of_one_recording_stay_on_one_side() -> None:
    x = windows(5, 2, 60)
    made = prepared(x, data={"window": 20, "hop": 5}, training=TRAINING | {"validation": 0.4})
    sides = []
    for part in (made.train, made.validation):
        raw = part.values.numpy() * np.array(made.scaler.scale)[:, None] + np.array(made.scaler.mean)[:, None]
        sides.append({i for i in range(5) for one in raw if np.isclose(x[i], one[:, :1], atol=1e-3).all(axis=0).any()})
    assert sides[0] | sides[1] == set(range(5))
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 2


def test_windows_are_cut_and_short_ones_kept() -> None:
    made = prepared([windows(1, 2, 25)[0], windows(1, 2, 7)[0]], data={"window": 10})
    assert made.train.values.shape == (4, 2, 10)  # 10 + 10 + 5 steps, and 7
    assert sorted(made.train.extent.sum(1).tolist()) == [5, 7, 10, 10]
    assert made.shape.length == 10


def test_series_of_more_than_three_thousand_steps_are_cut_in_equal_parts() -> None:
    made = prepared(windows(1, 1, 7001))
    assert made.train.values.shape == (3, 1, 2334)
    assert made.train.extent.sum(1).tolist() == [2334, 2334, 2333]
    assert prepared(windows(2, 1, 3000)).train.values.shape == (2, 1, 3000)


def test_missing_values_and_unequal_lengths_train() -> None:
    ragged = [one[:, : 24 - i] for i, one in enumerate(windows())]
    ragged[2][1, 4:9], ragged[3][:, 5] = np.nan, np.nan
    for method in ("simclr", "ts2vec"):
        model = fit(ragged, method=method, training=TRAINING | {"validation": 0.3})
        assert np.isfinite(model.embed(ragged)).all()
        assert all(np.isfinite(v) for line in model.history for v in line.values())


def test_a_constant_or_unobserved_channel_does_no_harm() -> None:
    x = windows()
    x[:, 0], x[:, 1] = 5.0, np.nan
    model = fit(x)
    assert model.scaler.scale[:2] == (1.0, 1.0)
    assert np.isfinite(model.embed(x)).all()


def test_a_meter_of_one_series_says_nothing() -> None:
    model = fit(windows(3), training={"steps": 2, "batch_size": 2, "log_every": 1})
    assert len(model.history) == 2
