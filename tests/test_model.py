"""A model embeds, is saved as plain files, and refuses to be loaded when anything about it changed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import tsrep
from tsrep import checkpoint
from tsrep.errors import InputError
from tsrep.pools import WHOLE
from tsrep.series import Series

ENCODER = {"name": "dilated", "hidden": 8, "depth": 3, "features": 12}
TRAINING = {"steps": 3, "batch_size": 8}
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")
FILES = {
    "reference.safetensors",
    "plan.yaml",
    "weights.safetensors",
    "data.json",
    "check.safetensors",
    "history.jsonl",
    "results.jsonl",
    "README.md",
}


def windows(n: int = 14, time: int = 20, seed: int = 0) -> np.ndarray:
    """Scales far from one, so that the scaler matters; ragged on both sides, with holes."""
    x = np.random.default_rng(seed).standard_normal((n, 6, time)).astype(np.float32)
    x = x * np.array([1, 10, 0.1, 1, 1, 5], np.float32)[:, None] + np.arange(6, dtype=np.float32)[:, None]
    x[1, :, 12:], x[2, :, :7], x[3, 2, 4:9], x[4, :, 5] = np.nan, np.nan, np.nan, np.nan
    return x


def panel(x: np.ndarray) -> tsrep.Panel:
    return tsrep.as_panel(x, channels=CHANNELS, rate=10.0, label=np.arange(len(x)) % 3)


@pytest.fixture(scope="module")
def model() -> tsrep.Model:
    return tsrep.fit(panel(windows()), encoder=ENCODER, training=TRAINING)


@pytest.fixture
def saved(model: tsrep.Model, tmp_path: Path) -> Path:
    return model.save(tmp_path / "deep" / "model")


# --- embed --------------------------------------------------------------------------------------------------------


def test_embeddings_are_float32_of_the_promised_shapes(model: tsrep.Model) -> None:
    x = windows()
    for pool in WHOLE:
        made = model.embed(x, pool)
        assert (made.shape, made.dtype) == ((14, model.width(pool)), np.float32)
        assert np.isfinite(made).all()
        assert (made.std(axis=0) > 1e-3).mean() > 0.9  # a share of positive values may be one everywhere
    steps = model.embed(x, "steps")
    assert (steps.shape, steps.dtype) == ((14, 12, 20), np.float32)
    assert model.features == 12


def test_steps_are_nan_in_the_padding_and_nowhere_else(model: tsrep.Model) -> None:
    steps = model.embed(windows(), "steps")
    missing = np.isnan(steps).all(axis=1)
    assert (np.isnan(steps).any(axis=1) == missing).all()
    assert missing[1].tolist() == [False] * 12 + [True] * 8
    assert missing[2].tolist() == [True] * 7 + [False] * 13
    assert not missing[[0, *range(3, 14)]].any()  # a hole inside still has an embedding


def test_pools_are_taken_over_the_steps(model: tsrep.Model) -> None:
    x = windows()
    steps = model.embed(x, "steps")
    np.testing.assert_allclose(model.embed(x, "max"), np.nanmax(steps, axis=2), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.embed(x, "mean"), np.nanmean(steps, axis=2), rtol=1e-5, atol=1e-5)
    last = np.array([steps[i, :, 11 if i == 1 else -1] for i in range(len(x))])
    np.testing.assert_allclose(model.embed(x, "last"), last, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(model.embed(x), model.embed(x, "max"))  # the encoder's own


@pytest.mark.parametrize("pool", [None, "mean", "rich", "steps"])
def test_batch_equals_one_by_one_and_ragged_lists_equal_padded_arrays(model: tsrep.Model, pool: str | None) -> None:
    x = windows()
    whole = model.embed(x, pool)
    ones = np.concatenate([model.embed(x[i : i + 1], pool) for i in range(len(x))])
    np.testing.assert_allclose(ones, whole, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.embed(x, pool, batch_size=5), whole, rtol=1e-5, atol=1e-5)
    ragged = [one[:, ~np.isnan(one).all(axis=0)] if i in (1, 2) else one for i, one in enumerate(x)]
    assert {r.shape[1] for r in ragged} == {20, 12, 13}
    listed = model.embed(ragged, pool)
    if pool == "steps":
        np.testing.assert_allclose(listed[2, :, :13], whole[2, :, 7:], rtol=1e-5, atol=1e-5)
        listed, whole = np.delete(listed, 2, 0), np.delete(whole, 2, 0)
    np.testing.assert_allclose(listed, whole, rtol=1e-5, atol=1e-5)


def test_padding_with_nan_changes_nothing(model: tsrep.Model) -> None:
    x = windows()
    wide = np.pad(x, [(0, 0), (0, 0), (9, 30)], constant_values=np.nan)
    for pool in (None, "rich"):
        np.testing.assert_allclose(model.embed(wide, pool), model.embed(x, pool), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.embed(wide, "steps")[:, :, 9:29], model.embed(x, "steps"), rtol=1e-5, atol=1e-5)


def test_it_embeds_what_the_encoder_makes_of_scaled_values(model: tsrep.Model) -> None:
    x = windows()
    scaled = (x - np.array(model.scaler.mean)[:, None]) / np.array(model.scaler.scale)[:, None]
    with torch.no_grad():
        found = model.encoder(Series.of(torch.from_numpy(scaled.astype(np.float32)))).pooled
    np.testing.assert_allclose(model.embed(x), found.numpy(), rtol=1e-4, atol=1e-5)
    assert not model.encoder.training


def test_files_and_tables_are_embedded_like_arrays(model: tsrep.Model, tmp_path: Path) -> None:
    x = windows(5, 8, seed=3)[:, :, :5]
    x = np.nan_to_num(x)
    np.save(tmp_path / "x.npy", x)
    frame = pd.concat(
        [
            pd.DataFrame(one.T, columns=list(CHANNELS)).assign(id=i, timestamp=np.arange(5) / 10)
            for i, one in enumerate(x)
        ]
    )
    frame.to_parquet(tmp_path / "x.parquet")
    expected = model.embed(x)
    for given in (
        tmp_path / "x.npy",
        str(tmp_path / "x.npy"),
        frame,
        tmp_path / "x.parquet",
        torch.from_numpy(x),
        list(x),
    ):
        np.testing.assert_allclose(model.embed(given), expected, rtol=1e-5, atol=1e-5)


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "channels": (lambda: np.zeros((2, 9, 5)), r"expected 6 channels \(acc_x … gyr_z\), got 9"),
    "names": (lambda: tsrep.as_panel(np.ones((2, 6, 5)), channels=CHANNELS[::-1]), "gyr_z"),
    "flat": (lambda: np.zeros((2, 5)), r"\(n, channel, time\).*\(2, 5\)"),
    "no windows": (lambda: np.zeros((0, 6, 5)), "empty"),
    "no steps": (lambda: np.zeros((2, 6, 0)), "empty"),
    "empty list": (lambda: [], "empty"),
    "empty table": (pd.DataFrame, "empty|expected"),
    "nothing": (lambda: None, "NoneType"),
    "number": (lambda: np.array(3.0), r"\(n, channel, time\)"),
    "all missing": (
        lambda: np.where(np.arange(3)[:, None, None] == 1, np.nan, np.ones((3, 6, 5))),
        "1 of 3 series.*rows 1",
    ),
    "infinite": (lambda: np.where(np.arange(3)[:, None, None] == 1, np.inf, np.ones((3, 6, 5))), "infinite.*series 1"),
    "objects": (lambda: np.array([np.zeros((6, 4)), None], dtype=object), "object array"),
    "text": (lambda: np.full((2, 6, 3), "a"), "real numbers"),
    "missing file": (lambda: Path("no/such/file.npy"), "no file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_windows_are_refused_with_what_was_expected_and_what_came(name: str, model: tsrep.Model) -> None:
    given, said = BAD[name]
    with pytest.raises(InputError, match=said):
        model.embed(given())


def test_an_unknown_pool_is_refused(model: tsrep.Model) -> None:
    with pytest.raises(InputError, match="None, max, mean, last, rich, levels, steps, got 'median'"):
        model.embed(windows(), "median")


# --- save and load ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["dilated", "causal", "patch"])
def test_loaded_equals_saved_bit_for_bit(encoder: str, tmp_path: Path) -> None:
    small = {"hidden": 8, "features": 12} | (
        {"layers": 1, "heads": 2, "patch": 4, "stride": 4} if encoder == "patch" else {"depth": 3}
    )
    model = tsrep.fit(panel(windows()), encoder={"name": encoder, **small}, training=TRAINING, method="simclr")
    model.results.append(
        {
            "dataset": "made",
            "setting": "classify",
            "method": "simclr",
            "features": "svm",
            "metric": "accuracy",
            "value": 0.5,
        }
    )
    again = tsrep.load(model.save(tmp_path / "model"))
    for pool in (None, "mean", "steps"):
        np.testing.assert_array_equal(again.embed(windows(seed=9), pool), model.embed(windows(seed=9), pool))
    assert (again.plan, again.scaler, again.data) == (model.plan, model.scaler, model.data)
    assert (again.history, again.results) == (model.history, model.results)
    assert not again.encoder.training
    np.testing.assert_array_equal(again.check, model.check)


def test_the_folder_holds_plain_files_alone(saved: Path, model: tsrep.Model) -> None:
    assert {p.name for p in saved.iterdir()} == FILES
    held = json.loads((saved / "data.json").read_text())
    assert held["channels"] == list(CHANNELS)
    assert (held["rows"], held["length"], held["rate"], held["classes"]) == (14, 20, 10.0, ["0", "1", "2"])
    assert held["fingerprint"] == tsrep.fingerprint(panel(windows()))
    stored = load_file(saved / "check.safetensors")
    np.testing.assert_allclose(stored["embeddings"].numpy(), model.embed(stored["inputs"].numpy()), rtol=1e-6)
    assert len(stored["inputs"]) == 4


def test_saving_again_replaces_what_was_there(saved: Path, model: tsrep.Model) -> None:
    (saved / "evaluation").mkdir()
    other = tsrep.untrained(model, seed=5)
    other.save(saved)
    np.testing.assert_array_equal(tsrep.load(saved).embed(windows()), other.embed(windows()))
    assert {p.name for p in saved.iterdir()} == FILES - {"reference.safetensors"} | {"evaluation"}


def test_an_untrained_model_has_the_same_form_and_other_weights(model: tsrep.Model) -> None:
    first, same, other = (tsrep.untrained(model, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.embed(windows()), same.embed(windows()))
    for one in (other, model):
        assert not np.allclose(first.embed(windows()), one.embed(windows()), atol=1e-3)
    assert first.scaler == model.scaler
    assert (first.history, first.results) == ([], [])


def test_a_foreign_folder_is_not_written_into(model: tsrep.Model, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="other files"):
        model.save(tmp_path)
    with pytest.raises(InputError, match="got a file"):
        model.save(tmp_path / "letter.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_save_that_fails_leaves_the_old_model_whole(
    saved: Path, model: tsrep.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tsrep.load(saved).embed(windows())

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", full)
        with pytest.raises(OSError, match="no space"):
            tsrep.untrained(model, 3).save(saved)
    assert {p.name for p in saved.iterdir()} == FILES
    np.testing.assert_array_equal(tsrep.load(saved).embed(windows()), before)


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FILES - {"history.jsonl", "results.jsonl", "reference.safetensors"}))
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(InputError, match=f"found no {name}"):
        tsrep.load(saved)


def test_a_part_that_is_not_the_saved_one_says_what_to_do(model: tsrep.Model, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "model")
    description = folder / "data.json"
    held = json.loads(description.read_text())
    for name, told in (("reference", "reference"), ("head", "head"), ("forecast", "forecasting head")):
        description.write_text(json.dumps(held | {name: "0" * 64}))
        (folder / f"{name}.safetensors").unlink(missing_ok=True)
        with pytest.raises(
            InputError, match=rf"expected the {told} .* found no {name}.safetensors: copy the whole folder"
        ):
            tsrep.load(folder)
        (folder / f"{name}.safetensors").write_bytes(b"")
        with pytest.raises(InputError, match=f"found another {name}.safetensors: copy the whole folder"):
            tsrep.load(folder)
        description.write_text(json.dumps(held | {name: None}))
        with pytest.raises(InputError, match=f"a {name}.safetensors that belongs to no model here: remove that file"):
            tsrep.load(folder)
        (folder / f"{name}.safetensors").unlink()
        held[name] = None


def test_history_and_results_may_be_missing(saved: Path) -> None:
    (saved / "history.jsonl").unlink()
    (saved / "results.jsonl").unlink()
    assert tsrep.load(saved).history == []


@pytest.mark.parametrize("cut", [0, 4, 20, 300, -1, -50])
@pytest.mark.parametrize("name", ["weights.safetensors", "check.safetensors"])
def test_a_truncated_file_is_refused(saved: Path, name: str, cut: int) -> None:
    whole = (saved / name).read_bytes()
    (saved / name).write_bytes(whole[:cut])
    with pytest.raises(InputError, match=f"damaged or foreign file: .*{name}"):
        tsrep.load(saved)


def changed(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors, numbers = checkpoint.load(path)
    change(tensors)
    checkpoint.save(path, tensors, numbers)


def test_changed_weights_are_refused_by_the_proof(saved: Path) -> None:
    changed(saved / "weights.safetensors", lambda t: t["project.weight"][0].mul_(1.01))
    with pytest.raises(InputError, match="does not give the embeddings that were stored"):
        tsrep.load(saved)


def test_a_change_that_the_stored_inputs_do_not_show_is_refused_too(saved: Path) -> None:
    changed(saved / "weights.safetensors", lambda t: t["project.weight"][0].mul_(1 + 1e-6))
    with pytest.raises(InputError, match="expected the weights that were saved with the model"):
        tsrep.load(saved)


def test_a_stopped_run_is_not_saved_over(saved: Path) -> None:
    model = tsrep.load(saved)
    (saved / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="holds a run that was stopped"):
        model.save(saved)


def test_weights_that_are_no_numbers_are_refused(saved: Path) -> None:
    changed(saved / "weights.safetensors", lambda t: t["project.bias"].fill_(float("nan")))
    with pytest.raises(InputError, match="does not give the embeddings"):
        tsrep.load(saved)


def test_weights_of_another_encoder_are_refused(saved: Path) -> None:
    changed(saved / "weights.safetensors", lambda t: t.pop("project.bias"))
    with pytest.raises(InputError, match="weights of a 'Dilated' encoder"):
        tsrep.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t["inputs"].mul_(2.0),
        lambda t: t["embeddings"].add_(0.01),
        lambda t: t["embeddings"].fill_(float("nan")),
        lambda t: t.update(embeddings=t["embeddings"][:, :3].clone()),
        lambda t: t.update(inputs=t["inputs"][:, :2].clone()),
        lambda t: t.update(inputs=t["inputs"][:0].clone()),
        lambda t: t.update(inputs=torch.full_like(t["inputs"], float("nan"))),
        lambda t: t.update(inputs=torch.zeros(3)),
        lambda t: t.pop("inputs"),
    ],
)
def test_a_changed_proof_is_refused(saved: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    changed(saved / "check.safetensors", change)
    with pytest.raises(InputError):
        tsrep.load(saved)


def test_a_safetensors_file_of_somebody_else_is_refused(saved: Path) -> None:
    save_file({"a": torch.zeros(2)}, saved / "weights.safetensors")
    with pytest.raises(InputError, match="damaged or foreign"):
        tsrep.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["scaler"]["mean"].__setitem__(0, 0.5),
        lambda d: d["scaler"]["scale"].__setitem__(1, 9.0),
        lambda d: d["scaler"]["scale"].__setitem__(1, 0.0),
        lambda d: d["scaler"]["mean"].pop(),
        lambda d: d["scaler"]["mean"].__setitem__(0, "a"),
        lambda d: d.update(scaler=[1, 2]),
        lambda d: d.update(scaler={"mean": 3, "scale": 4}),
        lambda d: d.pop("scaler"),
        lambda d: d.pop("rows"),
        lambda d: d.update(length="long"),
        lambda d: d.update(channels="abcdef"),
        lambda d: d.update(channels=[]),
        lambda d: d["channels"].pop(),
        lambda d: d.update(more=3),
        lambda d: d.update(format=3),
        lambda d: d.pop("format"),
    ],
)
def test_a_changed_description_is_refused(saved: Path, change: Callable[[dict[str, Any]], None]) -> None:
    held = json.loads((saved / "data.json").read_text())
    change(held)
    (saved / "data.json").write_text(json.dumps(held))
    with pytest.raises(InputError):
        tsrep.load(saved)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"3", b"\xff\xfe", b"[" * 100_000, b" " * (2**20 + 1)], ids=lambda b: str(b)[:12]
)
@pytest.mark.parametrize("name", ["data.json", "history.jsonl", "plan.yaml"])
def test_files_of_something_else_are_refused(saved: Path, name: str, content: bytes) -> None:
    (saved / name).write_bytes(content)
    if (
        name == "history.jsonl" and not content
    ):  # no history; an empty plan is one of defaults, which the weights do not fit
        assert tsrep.load(saved).history == []
        return
    with pytest.raises(InputError):
        tsrep.load(saved)


def test_another_plan_is_refused(saved: Path) -> None:
    text = (saved / "plan.yaml").read_text()
    (saved / "plan.yaml").write_text(text.replace("hidden: 8", "hidden: 16"))
    with pytest.raises(InputError, match="weights"):
        tsrep.load(saved)
    (saved / "plan.yaml").write_text(text.replace("pool: max", "pool: mean"))
    with pytest.raises(InputError, match="does not give the embeddings"):
        tsrep.load(saved)
    (saved / "plan.yaml").write_text(text.replace("hidden:", "hiden:"))
    with pytest.raises(InputError, match="did you mean 'hidden'"):
        tsrep.load(saved)


def test_no_folder_and_an_unknown_scheme_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found none at .*nowhere"):
        tsrep.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no source 'modls' is installed; did you mean 'models'"):
        tsrep.load("modls:/steps@champion")


# --- the card -----------------------------------------------------------------------------------------------------


def test_the_card_tells_what_a_user_must_know(model: tsrep.Model) -> None:
    card = model.card()
    for expected in (
        "# ts2vec on data from memory",
        "tsrep.load(",
        "14 of up to 20 steps, 10 Hz",
        ", ".join(CHANNELS),
        "Labels (unused in training): 0, 1, 2",
        "Licence: not stated",
        "Yue et al., AAAI 2022, arXiv:2106.10466",
        "Trained for 3 steps, seed 0",
        "Not evaluated yet",
        "## Limits",
        f"torch {torch.__version__}",
        "temporal_from: 0",
    ):
        assert expected in card
    assert f"{model.history[-1]['loss/contrast']:.4g}" in card


def test_the_card_shows_results_with_their_spread(model: tsrep.Model) -> None:
    line = {"dataset": "made", "setting": "classify", "method": "ts2vec", "features": "svm", "metric": "accuracy"}
    card = replace(model, results=[line | {"value": v, "seed": s} for s, v in enumerate((0.8, 0.9, 1.0))]).card()
    assert "| made | classify | ts2vec | svm | accuracy | 0.900 ± 0.100 | 3 |" in card
    assert "Not evaluated" not in card
    one = replace(model, results=[line | {"value": 0.75, "seed": 0}]).card()
    assert "| accuracy | 0.750 | 1 |" in one


# --- a learned view -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> tuple[tsrep.Model, Path]:
    """A model of a method that learns its view, and its folder."""
    X = np.random.default_rng(0).standard_normal((8, 2, 20)).astype(np.float32)
    folder = tmp_path_factory.mktemp("masked") / "model"
    encoder = {"name": "dilated", "hidden": 4, "depth": 2, "features": 6}
    made = tsrep.fit(
        X, method={"name": "autotcl", "hidden": 8}, encoder=encoder, training={"steps": 3, "batch_size": 4}, out=folder
    )
    return made, folder


def test_a_learned_view_is_kept_with_its_model(masked: tuple[tsrep.Model, Path], model: tsrep.Model) -> None:
    made, folder = masked
    assert isinstance(made.view, torch.nn.Module) and not made.view.training
    loaded = tsrep.load(folder)
    kept, again = made.view.state_dict(), loaded.view.state_dict()  # type: ignore[union-attr]
    assert kept and kept.keys() == again.keys() and all(torch.equal(kept[name], again[name]) for name in kept)
    assert tsrep.untrained(made, 0).view is None
    assert model.view is None  # its method learns none


def test_the_picture_shows_what_a_learned_view_keeps(masked: tuple[tsrep.Model, Path], model: tsrep.Model) -> None:
    assert set(tsrep.training_pictures(masked[0])) == {"curves", "masks"}
    assert set(tsrep.training_pictures(model)) == {"curves"}


def test_a_damaged_view_is_refused(masked: tuple[tsrep.Model, Path], saved: Path, tmp_path: Path) -> None:
    _, folder = masked
    copy = shutil.copytree(folder, tmp_path / "copy")
    checkpoint.save(copy / "view.safetensors", {"stem.odd": torch.zeros(2)}, {"format": 1})
    with pytest.raises(tsrep.InputError, match="weights of the method's learned view"):
        tsrep.load(copy)
    shutil.copy(folder / "view.safetensors", saved)
    with pytest.raises(tsrep.InputError, match="beside a method that learns no view"):
        tsrep.load(saved)


def test_a_model_without_a_learned_view_takes_the_place_of_one_with(
    masked: tuple[tsrep.Model, Path], model: tsrep.Model, tmp_path: Path
) -> None:
    masked[0].save(tmp_path / "place")
    model.save(tmp_path / "place")
    assert tsrep.load(tmp_path / "place").view is None


def test_loading_draws_nothing_from_the_global_generator(masked: tuple[tsrep.Model, Path]) -> None:
    before = torch.get_rng_state()
    tsrep.load(masked[1])
    assert torch.equal(before, torch.get_rng_state())


def test_channels_of_the_plan_are_found_by_name_whatever_their_order() -> None:
    table = pd.DataFrame({"id": np.repeat([0, 1, 2, 3], 20), "timestamp": np.tile(np.arange(20), 4)})
    table[["a", "b"]] = np.random.default_rng(0).standard_normal((80, 2))
    content = {"method": "simclr", "encoder": ENCODER, "training": TRAINING | {"batch_size": 4}}
    made = tsrep.run(tsrep.make_plan(content | {"data": {"channels": ["b", "a"]}})[0], table)
    assert made.data.channels == ("b", "a")
    swapped = table[["id", "timestamp", "b", "a"]]
    assert np.array_equal(made.embed(table), made.embed(swapped))
    assert np.array_equal(made.embed(table), made.embed(table.assign(c=1.0)))
