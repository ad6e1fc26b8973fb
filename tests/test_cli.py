"""The command line from end to end on a small file, and its errors: one sentence, exit code 2, no traceback."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsrep
from tsrep import cli, plan_telling, registry

TINY = [
    "encoder.hidden=6",
    "encoder.depth=3",
    "encoder.features=8",
    "training.steps=3",
    "training.batch_size=8",
]


@dataclass
class Told:
    code: int
    out: str
    err: str


Run = Callable[..., Told]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`tsrep ...` in this process."""

    def called(*words: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["tsrep", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        code: int | str | None = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code
        seen = capsys.readouterr()
        return Told(int(code or 0), seen.out, seen.err)

    return called


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 windows of six subjects, two classes, in a long table."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(rng.standard_normal((16, 2)) + (i % 2), columns=["acc", "gyr"]).assign(
            id=i, timestamp=np.arange(16) / 8, subject=f"s{i // 4}", label=["walk", "run"][i % 2]
        )
        for i in range(24)
    ]
    path = tmp_path_factory.mktemp("data") / "walks.parquet"
    pd.concat(parts).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def trained(table: Path) -> Path:
    out = table.parent / "trained"
    tsrep.run(tsrep.make_plan({"data": str(table), "out": str(out)}, TINY)[0])
    return out


def test_fit_embed_evaluate_resume(run: Run, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "first"
    told = run("fit", *TINY, "--data", table, "--out", out, "--seed", 3)
    assert told.code == 0, told.err
    assert f"{out} holds the model: 2 channels in, 8 numbers out" in told.err
    assert "3/3" in told.err  # the bar
    model = tsrep.load(out)
    assert (model.plan.seed, model.plan.data.name, model.data.channels) == (3, str(table), ("acc", "gyr"))

    told = run("embed", out, table, "--out", tmp_path / "e.parquet")
    assert told.code == 0, told.err
    assert "24 embeddings of 8 numbers" in told.err
    frame = pd.read_parquet(tmp_path / "e.parquet")
    assert list(frame.columns) == ["row", "label", "subject", "recording", "start", *[f"e{i}" for i in range(8)]]
    np.testing.assert_array_equal(frame.filter(regex="^e[0-9]").to_numpy(np.float32), model.embed(table))
    assert frame["label"].tolist() == ["walk", "run"] * 12

    told = run("evaluate", out, table, "--task", "classify", "--probe", "knn1")
    assert told.code == 0, told.err
    assert "minirocket" in told.out and "catch22" in told.out and "random encoder" in told.out
    numbers = pd.read_csv(out / "evaluation" / "walks-classify.csv")
    assert set(numbers["metric"]) == {"accuracy", "macro F1"}
    pictures = {p.name for p in (out / "evaluation" / "walks-classify").iterdir()}
    assert {"map.png", "confusion.png", "scores.png", "curves.png"} <= pictures
    card = (out / "README.md").read_text()
    assert "| walks | classify | ts2vec | knn1 | accuracy |" in card
    assert len(tsrep.load(out).results) == len(numbers)
    few = ("--labels", "0.5", "--self-training")
    told = run("evaluate", out, table, "--pool", "levels", "--probe", "ridge", *few)
    assert told.code == 0, told.err
    found = pd.read_csv(out / "evaluation" / "walks-classify.csv")
    assert {"levels, ridge, self-trained, 50 % of labels", "ridge, self-trained, 50 % of labels"} <= set(
        found["features"]
    )
    assert run("evaluate", out, table, "--task", "retrieve").code == 0
    assert run("evaluate", out, table, "--task", "retrieve").code == 0
    settings = pd.DataFrame(tsrep.load(out).results).groupby("setting").size()
    assert settings["retrieve"] == len(pd.read_csv(out / "evaluation" / "walks-retrieve.csv"))  # once, not twice
    assert settings["classify"] == len(numbers)

    before = (out / "weights.safetensors").read_bytes()
    told = run("resume", out)
    assert told.code == 0, told.err
    assert "trained for 3 steps" in told.err
    assert (out / "weights.safetensors").read_bytes() == before


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One long series: 900 hours of two channels."""
    rng = np.random.default_rng(0)
    stamps = pd.date_range("2024-01-01", periods=900, freq="h")
    day = np.sin(2 * np.pi * stamps.hour / 24)
    path = tmp_path_factory.mktemp("data") / "two hours.csv"
    noise = 0.2 * rng.standard_normal((2, 900))
    pd.DataFrame({"id": 0, "timestamp": stamps, "load": day + noise[0], "oil": day + noise[1]}).to_csv(
        path, index=False
    )
    return path


def test_fit_and_forecast(run: Run, hours: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    told = run(
        "fit", *TINY, "encoder.pool=last", "data.window=40", "--encoder", "causal", "--data", hours, "--out", out
    )
    assert told.code == 0, told.err
    made = tsrep.load(out).plan.encoder
    assert (made.hidden, made.depth, made.features, made.pool) == (6, 3, 8, "last"), (
        "overrides refine what a flag chose"
    )
    assert f"next: tsrep show {out}" in told.err, "there are no labels to classify by"
    words = ("evaluate", out, hours, "--task", "forecast", "--horizons", "6, 12", "--lags", "30")
    told = run(*words)
    assert told.code == 0, told.err
    assert "trained again on the training part" in told.err
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in told.out.splitlines() if line.startswith("│")]
    assert [row[:3] for row in rows] == [
        ["ts2vec", "causal", "embedding"],
        ["ts2vec", "causal", "both"],
        ["random encoder", "causal", "embedding"],
        ["random encoder", "causal", "both"],
        ["last value", "none", "none"],
        ["seasonal naive", "none", "none"],
        ["ridge on raw lags", "none", "lags"],
    ]
    assert "validation" not in told.out
    numbers = pd.read_csv(out / "evaluation" / "two-hours-forecast-multivariate-lags-30.csv")
    lags = numbers.query("method == 'ridge on raw lags'").set_index(["metric", "horizon"])["value"]
    wanted = [("mse", "6"), ("mse", "12"), ("mse", "mean"), ("mae", "mean")]
    assert rows[-1][3:7] == [f"{lags[key]:.3f}" for key in wanted]
    assert set(numbers["metric"]) == {"mse", "mae", "validation"}
    drawn = {p.name for p in (out / "evaluation" / "two-hours-forecast-multivariate-lags-30").iterdir()}
    assert {"forecasts.png", "horizons.png", "curves.png"} <= drawn
    assert "| two hours | forecast, multivariate, lags=30 | ts2vec | both | mse |" in (out / "README.md").read_text()
    assert len(tsrep.load(out).results) == len(numbers)

    before = (out / "README.md").read_bytes()
    for wrong, said in (
        (["--horizons", "6,x"], "whole number after --horizons, got 'x'"),
        (["--horizons", "6,200"], "shorter horizon"),
        (["--head", "joined"], "kind of the head to be one of independent, joint, shared"),
        (["--centre", "mean"], "centre of the head"),
        (["--features", "embeding"], "did you mean 'embedding'"),
        (["--seeds", "0"], "at least one seed"),
        (["--part", "validate"], "unknown part 'validate'; did you mean 'validation'"),
    ):
        told = run(*words, *wrong)
        assert (told.code, told.out) == (2, "")
        assert said in told.err and told.err.startswith("error: ") and told.err.count("\n") == 1
    assert (out / "README.md").read_bytes() == before

    chosen = run(*words, "--part", "validation")
    assert chosen.code == 0, chosen.err
    assert (out / "evaluation" / "two-hours-forecast-multivariate-validation-part-lags-30.csv").is_file()
    assert "forecast, multivariate, validation part, lags=30 | ts2vec" in (out / "README.md").read_text()


@pytest.mark.parametrize("ending", ["csv", "npy"])
def test_embeddings_go_to_other_files_too(ending: str, run: Run, trained: Path, table: Path, tmp_path: Path) -> None:
    path = tmp_path / f"e.{ending}"
    assert run("embed", trained, table, "--out", path, "--pool", "mean").code == 0
    expected = tsrep.load(trained).embed(table, "mean")
    found = np.load(path) if ending == "npy" else pd.read_csv(path).filter(regex="^e[0-9]").to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_plan_file_with_overrides(run: Run, table: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(f"data: {table}\nmethod: {{name: simclr, projection: 8}}\nseed: 2\n")
    told = run("fit", file, *TINY, "method.temperature=0.5", "--out", tmp_path / "run", "--quiet")
    assert told.code == 0, told.err
    assert "windows/s" not in told.err
    made = tsrep.load(tmp_path / "run").plan
    assert (made.method.temperature, made.method.projection, made.seed, made.encoder.hidden) == (0.5, 8, 2, 6)


def test_words_are_taken_as_they_are(run: Run, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that YAML would read as a number, a date, a list or nothing are names."""
    monkeypatch.chdir(tmp_path)
    for name in ("2024", "2024-01-02", "null", "[a]", "on: off"):
        told = run("fit", *TINY, "training.steps=1", "--data", table, "--out", name, "--quiet")
        assert told.code == 0, told.err
        assert (tmp_path / name / "weights.safetensors").is_file()


def test_methods_lists_every_choice_with_its_source(run: Run) -> None:
    told = run("methods")
    assert told.code == 0
    for room in ("methods", "encoders"):
        for name in registry.choices(room):
            assert name in told.out
    assert "arXiv:2106.10466" in told.out


def test_datasets_lists_the_catalogue(run: Run) -> None:
    told = run("datasets")
    assert told.code == 0
    assert "BasicMotions" in told.out and "licence" in told.out
    here = run("datasets", "--here").out
    assert "BasicMotions" in here  # inside the sktime wheel
    assert len(here) <= len(told.out)


def test_plan_explain_and_schema(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("method: simclr\n")
    told = run("plan", "explain", file, "training.steps=7")
    assert told.code == 0, told.err
    lines = {
        line.split("│")[1].strip(): [part.strip() for part in line.split("│")[2:4]]
        for line in told.out.splitlines()
        if "│" in line
    }
    assert lines["training.steps"] == ["7", "command line"]
    assert lines["training.batch_size"] == ["64", "recommended"]
    assert lines["method.temperature"] == ["0.2", "default"]
    assert json.loads(run("plan", "schema").out) == plan_telling.schema()


ERRORS: dict[str, tuple[list[str], str]] = {
    "unknown command": (["fitt"], "fitt"),
    "unknown option": (["fit", "--dat", "x"], "--dat"),
    "missing argument": (["embed"], "'model'"),
    "no folder": (["fit", "--data", "TABLE"], "--out runs/first"),
    "no data": (["fit", "--out", "run"], "expected data"),
    "missing plan": (["fit", "nowhere.yaml"], "found no file nowhere.yaml"),
    "missing file": (["fit", "--data", "nowhere.csv", "--out", "run"], "no file nowhere.csv"),
    "unknown method": (["fit", "--data", "TABLE", "--method", "ts2vek", "--out", "run"], "did you mean 'ts2vec'"),
    "unknown key": (["fit", "method.temprature=1", "--data", "TABLE", "--out", "run"], "method.temprature"),
    "wrong value": (["fit", "training.steps=many", "--data", "TABLE", "--out", "run"], "training.steps"),
    "no model": (["embed", "nowhere", "TABLE", "--out", "e.parquet"], "found none at nowhere"),
    "unknown ending": (["embed", "TRAINED", "TABLE", "--out", "e.xls"], ".parquet, .csv, .npy"),
    "no folder for embeddings": (["embed", "TRAINED", "TABLE", "--out", "no/e.npy"], "expected a folder"),
    "unknown pool": (["embed", "TRAINED", "TABLE", "--out", "e.npy", "--pool", "median"], "median"),
    "steps in a table": (["embed", "TRAINED", "TABLE", "--out", "e.npy", "--pool", "steps"], "pool='steps'"),
    "unknown task": (["evaluate", "TRAINED", "TABLE", "--task", "clasify"], "did you mean 'classify'"),
    "pool of a forecast": (
        ["evaluate", "TRAINED", "TABLE", "--task", "forecast", "--pool", "rich"],
        "got --task forecast: leave it out",
    ),
    "few labels of a forecast": (
        ["evaluate", "TRAINED", "TABLE", "--task", "forecast", "--labels", "0.1"],
        "got --task forecast: leave it out",
    ),
    "no share of labels": (["evaluate", "TRAINED", "TABLE", "--labels", "few"], "a share such as 0.1 after --labels"),
    "self-training with all labels": (
        ["evaluate", "TRAINED", "TABLE", "--self-training"],
        "in the shell --labels 1,0.1",
    ),
    "one class": (["evaluate", "TRAINED", "ONE"], "at least two classes"),
    "nothing to resume": (["resume", "nowhere"], "found no plan.yaml"),
    "markup": (["fit", "--data", "[bold]x[/bold].csv", "--out", "run"], "[bold]x[/bold].csv"),
    "closing markup": (["fit", "--data", "a[/].csv", "--out", "run"], "a[/].csv"),
    "missing override": (["plan", "explain", "method.temperature="], "'method.temperature'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_sentence_and_exit_code_2(
    name: str, run: Run, table: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, said = ERRORS[name]
    one = table.parent / "one.parquet"
    if not one.exists():
        pd.read_parquet(table).assign(label="walk").to_parquet(one)
    monkeypatch.chdir(tmp_path)
    paths = {"TABLE": str(table), "TRAINED": str(trained), "ONE": str(one)}
    told = run(*[paths.get(word, word) for word in words])
    assert told.code == 2
    assert said in told.err
    assert told.err.startswith("error: ") and told.err.count("\n") == 1
    assert "Traceback" not in told.err
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_out_folder_is_refused(run: Run, table: Path, trained: Path) -> None:
    told = run("fit", *TINY, "--data", table, "--out", trained)
    assert told.code == 2
    assert "expected an empty folder" in told.err


def test_without_a_command_there_is_help(run: Run) -> None:
    told = run()
    assert told.code == 2
    assert "evaluate" in told.out
    assert "error" not in told.err
    assert run("--help").code == 0


def test_the_installed_program_speaks_like_the_library(trained: Path) -> None:
    """One word in a process of its own: the entry point, its exit code, no traceback."""
    program = shutil.which("tsrep", path=str(Path(sys.executable).parent))
    words = [program] if program else [sys.executable, "-m", "tsrep"]
    told = subprocess.run([*words, "resume", str(trained / "nowhere")], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stderr.startswith("error: expected the folder of a run")
    assert "Traceback" not in told.stderr


def test_show_draws_what_a_learned_view_keeps(run: Run, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "masked"
    assert run("fit", *TINY, "method=autotcl", "--data", table, "--out", out, "--quiet").code == 0
    told = run("show", out)
    assert told.code == 0, told.err
    assert "autotcl" in told.err and "after 3 steps" in told.err and "sparsity" in told.err
    pictures = [out / "pictures" / f"{name}.png" for name in ("curves", "masks")]
    assert told.out.split() == [str(path) for path in pictures]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in pictures)
    elsewhere = tmp_path / "elsewhere"
    assert run("show", out, "--out", elsewhere).code == 0 and (elsewhere / "masks.png").is_file()


def test_show_draws_which_devices_are_alike(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(i, t, s) for s in ("wrist", "hip", "ankle") for i in range(6) for t in range(12)]
    long = pd.DataFrame(rows, columns=["id", "timestamp", "stream"])
    long[["acc_x", "acc_y", "acc_z"]] = rng.standard_normal((len(long), 3))
    long.to_csv(tmp_path / "worn.csv", index=False)
    out = tmp_path / "worn"
    told = run("fit", *TINY, "method=collossl", "--data", tmp_path / "worn.csv", "--out", out, "--quiet")
    assert told.code == 0, told.err
    told = run("show", out)
    assert told.code == 0, told.err
    assert told.out.split() == [str(out / "pictures" / f"{name}.png") for name in ("curves", "devices")]
    (tmp_path / "worn.csv").unlink()
    told = run("show", out, "--out", tmp_path / "again")
    assert (
        told.code == 0 and "no picture of the devices" in told.err and not (tmp_path / "again" / "devices.png").exists()
    )


@pytest.mark.filterwarnings("ignore:.*the model is whole and embeds:RuntimeWarning")
def test_show_tells_and_draws_bad_pairs(run: Run, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "mined"
    told = run(
        "fit", *TINY, "--mining", "bad_pairs", "mining.bad_pairs.warmup=0", "--data", table, "--out", out, "--quiet"
    )
    assert told.code == 0, told.err
    assert "bad_pairs" in (out / "plan.yaml").read_text()
    assert "weighed nothing" not in told.err
    short = run("fit", *TINY, "--mining", "bad_pairs", "--data", table, "--out", tmp_path / "short", "--quiet")
    assert short.code == 0 and "weighed nothing in contrast/" in short.err and "mining.bad_pairs.warmup" in short.err
    told = run("show", out, "--bad-pairs")
    assert told.code == 0, told.err
    assert "noisy pairs" in told.err and "reliability" in told.err
    assert (
        (out / "pictures" / "bad_pairs.csv")
        .read_text()
        .startswith("term,row,recording,subject,start,seconds,loss,kind")
    )
    assert (out / "pictures" / "bad_pairs.png").read_bytes()[:4] == b"\x89PNG"
    told = run("show", out)
    assert str(out / "pictures" / "bad_pairs.png") in told.out
    (out / "bad_pairs.safetensors").write_bytes(b"x" * 30)
    told = run("show", out, "--bad-pairs")
    assert told.code == 2 and "error: expected a tsrep checkpoint, got a damaged" in told.err
    assert run("embed", out, table, "--out", tmp_path / "e.npy").code == 0
    told = run("show", tmp_path / "short", "--bad-pairs")
    assert told.code == 0 and "nothing was mined yet" in told.err
    plain = tmp_path / "plain"
    assert run("fit", *TINY, "--data", table, "--out", plain, "--quiet").code == 0
    told = run("show", plain, "--bad-pairs")
    assert told.code == 2 and "--mining bad_pairs" in told.err
