"""What bad-pair mining found is kept with the model: the memory as it was, and the views of the worst pairs."""

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

import tsrep
from tsrep import checkpoint, pictures, showing
from tsrep.errors import InputError
from tsrep.mining.bad_pairs import FAULTY, NOISY
from tsrep.suspects import NAME, WORST, idle, load, read

SMALL = {"name": "dilated", "hidden": 8, "depth": 3, "features": 12}
EAGER = {"bad_pairs": {"warmup": 1, "beta_noisy": 0.5, "beta_faulty": 0.5}}


AUTOTCL = {"name": "autotcl", "hidden": 6, "features": 4}


def fit(
    method: Any = "ts2vec",
    mining: Any = EAGER,
    n: int = 16,
    training: Mapping[str, Any] = MappingProxyType({}),
    **more: Any,
) -> tsrep.Model:
    x = np.random.default_rng(0).standard_normal((n, 2, 24)).astype(np.float32)
    x[1, :, 15:], x[2, 1, 4:9] = np.nan, np.nan
    return tsrep.fit(
        x, method=method, encoder=SMALL, mining=mining, training={"epochs": 3, "batch_size": 8, **training}, **more
    )


@pytest.mark.parametrize("method", ["simclr", "ts2vec", AUTOTCL])
def test_the_worst_pairs_come_with_their_series_and_both_views(method: Any) -> None:
    model = fit(method)
    held = model.suspects
    assert held is not None
    assert len(held.found) == (2 if isinstance(method, dict) else 1)
    found = held.first
    assert found.epochs == 3 and found.weighs
    mean = found.mean.numpy()
    assert held.rows[:WORST].tolist() == np.argsort(mean)[:WORST].tolist()
    assert held.rows[WORST:].tolist() == np.argsort(mean)[::-1][:WORST].tolist()
    assert next(iter(held.views)) == "series" and len(held.views) == 3
    assert all(len(values) == 2 * WORST for values in held.views.values())
    for name, values in held.views.items():
        assert np.isfinite(values).any(axis=(1, 2)).all(), name
        assert held.start[name].shape == (2 * WORST,)
    first, second = list(held.views.values())[1:]
    assert first.shape != second.shape or not np.array_equal(first, second, equal_nan=True)


def test_the_table_names_every_pair_and_begins_with_the_worst() -> None:
    held = fit().suspects
    assert held is not None
    table = held.table()
    assert sorted(table["row"]) == list(range(16))
    kinds = dict(zip(table["row"], table["kind"], strict=True))
    for row, kind in enumerate(held.first.kind.tolist()):
        assert kinds[row] == {NOISY: "noisy", FAULTY: "faulty"}.get(kind, "good")
    assert {"noisy", "faulty"} <= set(kinds.values())
    bad = table["kind"].ne("good").to_numpy()
    away = (table["loss"] - (held.first.low + held.first.high) / 2).abs().to_numpy()
    assert (np.diff(away) <= 0).all() and bad[0]


def test_what_was_found_survives_saving_and_goes_with_the_model(tmp_path: Path) -> None:
    model = fit(out=tmp_path / "run")
    loaded = tsrep.load(tmp_path / "run")
    assert (
        "Mining, `bad_pairs`: Pairs that always lose abnormally little" in (tmp_path / "run" / "README.md").read_text()
    )
    assert model.suspects is not None and loaded.suspects is not None
    for term, found in model.suspects.found.items():
        again = loaded.suspects.found[term]
        torch.testing.assert_close(again.mean, found.mean, equal_nan=True)
        assert torch.equal(again.kind, found.kind)
        assert (again.low, again.high, again.reliability, again.epochs, again.weighs) == (
            (found.low, found.high, found.reliability, found.epochs, found.weighs)
        )
    for name, values in model.suspects.views.items():
        np.testing.assert_array_equal(loaded.suspects.views[name], values)
    fit(mining=None).save(tmp_path / "run")
    assert not (tmp_path / "run" / NAME).exists()
    assert tsrep.load(tmp_path / "run").suspects is None


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    fit(out=folder)
    return folder


def damage(how: str, held: Path) -> None:
    tensors, numbers = checkpoint.load(held / NAME)
    if how == "cut short":
        (held / NAME).write_bytes((held / NAME).read_bytes()[:40])
    elif how == "another file":
        shutil.copy(held / "weights.safetensors", held / NAME)
    elif how == "a row that is not there":
        checkpoint.save(held / NAME, tensors | {"rows": tensors["rows"] + 100}, numbers)
    elif how == "fewer kinds":
        checkpoint.save(held / NAME, {k: v[:3] if k.endswith(".kind") else v for k, v in tensors.items()}, numbers)
    elif how == "a name that is not there":
        place = {k: v + 50 if k == "origin.recording" else v for k, v in tensors.items()}
        checkpoint.save(held / NAME, place, numbers)
    else:
        checkpoint.save(held / NAME, {k: v[:2] if k.startswith("view.") else v for k, v in tensors.items()}, numbers)


@pytest.mark.parametrize(
    "how",
    [
        "cut short",
        "another file",
        "a row that is not there",
        "fewer kinds",
        "a name that is not there",
        "fewer views",
    ],
)
def test_a_damaged_file_is_told_and_the_model_embeds_without_it(run: Path, how: str, tmp_path: Path) -> None:
    whole = tsrep.load(run)
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    damage(how, folder)
    with pytest.raises(InputError, match="damaged"):
        read(folder / NAME)
    with pytest.warns(RuntimeWarning, match=r"damaged.*the model is whole and embeds"):
        model = tsrep.load(folder)
    assert model.suspects is None
    np.testing.assert_array_equal(model.embed(model.check), whole.embed(model.check))
    with pytest.raises(InputError, match="damaged"):
        showing.bad_pairs(model, str(folder), tmp_path)
    with pytest.raises(InputError, match=r"damaged or was taken away.*train again"):
        showing.bad_pairs(model, "models:/elsewhere@champion", tmp_path)


def test_a_whole_file_is_no_warning(run: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(run / NAME) is not None


@pytest.mark.parametrize("warmup", [0, None])
def test_a_run_of_less_than_an_epoch_has_nothing_to_show(
    warmup: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fit("simclr", {"bad_pairs": {"warmup": warmup}}, training={"steps": 1, "epochs": None})
    held = model.suspects
    assert held is not None and not held.first.weighs and held.first.epochs == 0
    assert len(held.rows) == 0 and not held.views
    assert held.table()["kind"].eq("not judged").all()
    assert "bad_pairs" not in pictures.of_training(model)
    written = showing.bad_pairs(model, "run", tmp_path)
    said = capsys.readouterr()
    assert [path.name for path in written] == ["bad_pairs.csv"]
    assert "nothing was mined yet: the run ended before its first epoch was over" in said.err
    assert "worst" not in said.out


def test_before_the_warm_up_is_over_losses_are_shown_and_no_worst_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fit("simclr", {"bad_pairs": {"warmup": 9}}, out=tmp_path / "run")
    held = tsrep.load(tmp_path / "run").suspects
    assert held is not None and len(held.rows) == 0 and held.first.epochs == 3
    assert "after 3 epochs" in str(idle(held.first))
    (axes,) = pictures.of_training(model)["bad_pairs"].axes
    assert "nothing was mined yet" in axes.get_xlabel() and not axes.get_lines()
    showing.bad_pairs(model, "run", tmp_path)
    said = capsys.readouterr()
    assert "nothing was mined yet: after 3 epochs" in said.err and "worst" not in said.out


@pytest.mark.parametrize("independent", [False, True])
def test_every_pair_is_said_with_its_recording_and_its_step(
    independent: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.random.default_rng(0).standard_normal((3, 2, 96)).astype(np.float32)
    data = tsrep.Panel(values, ("x", "y"), rate=4.0, subject=np.array(["ann", "bob", "cid"]))
    content = {"method": "simclr", "encoder": SMALL, "mining": EAGER, "training": {"epochs": 3, "batch_size": 8}}
    plan, _ = tsrep.make_plan(
        content | {"data": {"window": 24, "independent": independent}, "out": str(tmp_path / "run")}
    )
    tsrep.run(plan, data)
    model = tsrep.load(tmp_path / "run")
    assert model.suspects is not None
    table = model.suspects.table()
    assert len(table) == 12 * (1 + independent)
    where = ["recording", "subject", *(["channel"] if independent else []), "start", "seconds"]
    assert list(table) == ["term", "row", *where, "loss", "kind"]
    each = table.sort_values("row")
    windows = each["row"] // (1 + independent)
    assert each["recording"].tolist() == [str(window // 4) for window in windows]
    assert each["start"].tolist() == [window % 4 * 24 for window in windows]
    assert (each["seconds"] == each["start"] / 4.0).all()
    worst = model.suspects.rows[0]
    axes = pictures.of_suspects(model, model.suspects)["bad_pairs"].axes[1]
    title = axes.get_title(loc="left") or axes.get_title()
    one = each.iloc[worst]
    assert f"recording {one['recording']}, step {one['start']}" in title and f"row {worst}:" in title
    showing.bad_pairs(model, "run", tmp_path)
    said = capsys.readouterr().out
    assert all(name in said for name in [*where, "mean loss", "kind"])


def test_too_few_windows_keep_as_many_as_there_are() -> None:
    held = fit(n=4).suspects
    assert held is not None and sorted(held.rows.tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_a_learned_view_is_shown_wherever_and_in_whatever_precision_it_was_trained(
    precision: str, device: str, tmp_path: Path
) -> None:
    """Data lies on the processor in float32, whatever the method was moved to."""
    held = fit(AUTOTCL, training={"precision": precision, "device": device}, out=tmp_path / "run").suspects
    assert held is not None
    assert held.first.mean.device == held.first.kind.device == torch.device("cpu")
    assert {values.dtype for values in held.views.values()} == {np.dtype(np.float32)}
    assert (tmp_path / "run" / NAME).is_file()


def test_pairs_that_were_never_seen_stand_last_in_the_table_and_each_once() -> None:
    """One epoch of batches of five leaves two of seventeen windows out."""
    held = fit("simclr", n=17, training={"epochs": 1, "batch_size": 5}).suspects
    assert held is not None
    table = held.table()
    assert sorted(table["row"]) == list(range(17))
    assert table["loss"].isna().tolist() == [False] * 15 + [True] * 2
