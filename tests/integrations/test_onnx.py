"""An export gives the numbers of torch, is refused where it does not, and serves without torch."""

import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

import onnx
from typer.testing import CliRunner

import tsrep
from tsrep import cli, exporting, runtime
from tsrep.plugins import plugin
from tsrep.pools import KNOWN as POOLS

ENCODER = {"hidden": 8, "depth": 5, "features": 12}
LENGTH = 24


def windows(n: int = 12, time: int = LENGTH, seed: int = 0) -> np.ndarray:
    """Ragged on both sides, with holes, a missing channel and a step that nothing observed."""
    x = np.random.default_rng(seed).standard_normal((n, 3, time)).astype(np.float32) * 3 + 1
    x[1, :, time // 2 :], x[2, :, : time // 3], x[3, 2] = np.nan, np.nan, np.nan
    x[4, :, 2], x[5, 0, 1:5] = np.nan, np.nan
    x[6, :, :2], x[6, :, -3:] = np.nan, np.nan
    return x


@pytest.fixture(scope="module")
def model() -> tsrep.Model:
    return fitted("dilated")


def fitted(encoder: str) -> tsrep.Model:
    return tsrep.fit(windows(), encoder={"name": encoder, **ENCODER}, training={"steps": 2, "batch_size": 8})


@pytest.fixture(scope="module", params=["dilated", "causal"])
def pair(request: pytest.FixtureRequest) -> tuple[tsrep.Model, tsrep.Model]:
    """A model and its export."""
    made = fitted(request.param)
    return made, tsrep.export(made)


@pytest.fixture(scope="module")
def exported(model: tsrep.Model) -> tsrep.Model:
    return tsrep.export(model)


@pytest.fixture
def folder(exported: tsrep.Model, tmp_path: Path) -> Path:
    return exported.save(tmp_path / "model")


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Calls of torch from here on."""
    calls: list[int] = []
    by_torch = tsrep.Model._by_torch

    def counting(self: tsrep.Model, values: np.ndarray, pool: str | None) -> np.ndarray:
        calls.append(values.shape[2])
        return by_torch(self, values, pool)

    monkeypatch.setattr(tsrep.Model, "_by_torch", counting)
    return calls


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("time", [1, 7, 23, LENGTH])
def test_the_export_gives_the_numbers_of_torch(
    pair: tuple[tsrep.Model, tsrep.Model], pool: str | None, time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, exported = pair
    x = windows(time=LENGTH)[:, :, :time] if time > 8 else windows()[7:, :, :time]
    expected = model.embed(x, pool)
    calls = counted(monkeypatch)
    found = exported.embed(x, pool)
    assert not calls  # by the export alone
    close(found, expected)
    assert time == 1 or np.nanstd(expected, axis=0).max() > 1e-3


def test_longer_windows_than_the_export_takes_go_through_torch(
    model: tsrep.Model, exported: tsrep.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = windows(time=60)
    expected = model.embed(x)
    calls = counted(monkeypatch)
    close(exported.embed(x), expected)
    assert calls == [60]
    close(tsrep.export(model, length=64).embed(x), expected)
    assert calls == [60]


def test_batch_equals_one_by_one(exported: tsrep.Model) -> None:
    x = windows()
    whole = exported.embed(x)
    close(np.concatenate([exported.embed(x[i : i + 1]) for i in range(len(x))]), whole)
    close(exported.embed(x, batch_size=5), whole)


def test_taps_that_reach_nothing_are_not_in_the_graph(model: tsrep.Model) -> None:
    """Dilations 1 to 32: at 24 steps the last one is left out, at 4 steps all from 4 on; at 100 steps none."""
    for length, expected in ((100, 0), (LENGTH, 2), (4, 8)):
        graph = onnx.load_from_string(plugin("exporters", "onnx")(model.encoder, length)).graph
        taps = {w.name: w.dims[3] for w in graph.initializer if len(w.dims) == 4}
        convolutions = [taps[node.input[1]] for node in graph.node if node.op_type == "Conv"]
        inner = convolutions[1:-1]  # without the projection and the residual of the last block
        assert len(inner) == 12
        assert inner.count(1) == expected


def test_a_wrong_export_is_refused(model: tsrep.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of other weights, and one that is right only for windows of the full length."""
    build = plugin("exporters", "onnx")
    other = copy.deepcopy(model.encoder)
    with torch.no_grad():
        other.blocks[3].second.weight[0, 0, 1] += 1e-2
    wrong = {"weights": lambda encoder, length: build(other, length), "taps": lambda encoder, length: build(encoder, 8)}
    for make in wrong.values():

        def chosen(group: str, name: str, make=make) -> object:
            return make if group == "exporters" else plugin(group, name)

        monkeypatch.setattr(exporting, "plugin", chosen)
        if make is wrong["taps"]:  # it says that it takes 8 steps; it is asked for all
            monkeypatch.setattr(exporting, "_ready", lambda content: _longer(plugin("runtimes", "onnx")(content)))
        with pytest.raises(tsrep.InputError, match="differs by"):
            tsrep.export(model)


def _longer(made: runtime.Runtime) -> runtime.Runtime:
    made.length = LENGTH
    return made


def test_an_encoder_that_was_trained_on_is_embedded_by_torch(exported: tsrep.Model) -> None:
    """An export that has grown old is never used: the numbers are those of the encoder as it is."""
    own = replace(exported, encoder=copy.deepcopy(exported.encoder))
    assert own.runtime.startswith("torch")
    bound = runtime.Bound(exported.exported.runtime, own.encoder, {})
    own = replace(own, exported=bound)
    before = own.embed(windows())
    assert own.runtime.startswith("onnxruntime")
    with torch.no_grad():
        own.encoder.project.weight.mul_(2.0)
    assert own.runtime.startswith("torch")
    assert np.abs(own.embed(windows()) - before).max() > 1e-3
    close(own.embed(windows()), replace(own, exported=None).embed(windows()), 1e-7)


def test_saved_and_loaded_it_embeds_the_same_and_the_runtime_can_be_chosen(
    exported: tsrep.Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tsrep.load(folder)
    assert loaded.runtime == exported.runtime
    assert loaded.runtime.startswith("onnxruntime ")
    assert "ONNX Runtime, float32" in loaded.card()
    x = windows()
    np.testing.assert_array_equal(loaded.embed(x), exported.embed(x))
    native = tsrep.load(folder, runtime="torch")
    assert native.runtime.startswith("torch ")
    close(native.embed(x), loaded.embed(x))
    monkeypatch.setenv("TSREP_RUNTIME", "torch")
    assert tsrep.load(folder).runtime == native.runtime == tsrep.load_light(folder).runtime
    monkeypatch.setenv("TSREP_RUNTIME", "tensor")
    with pytest.raises(tsrep.InputError, match="one of torch, onnx"):
        tsrep.load(folder)


def test_an_export_stays_in_the_folder_as_long_as_its_weights(folder: Path, tmp_path: Path) -> None:
    """A model that does not run it, results added for instance, leaves it there; other weights take it away."""
    native = tsrep.load(folder, runtime="torch")
    replace(native, results=[]).save(folder)
    assert tsrep.load(folder).runtime.startswith("onnxruntime")
    tsrep.untrained(native, 3).save(folder)
    assert not (folder / runtime.NAME).exists()
    assert tsrep.load(folder).runtime.startswith("torch")
    native.save(tmp_path / "other")
    with pytest.raises(tsrep.InputError, match="tsrep export"):
        tsrep.load(tmp_path / "other", runtime="onnx")


@pytest.mark.parametrize("load", [tsrep.load, tsrep.load_light])
def test_an_export_that_is_damaged_or_missing_is_refused(load: Callable[[Path], object], folder: Path) -> None:
    path = folder / runtime.NAME
    content = path.read_bytes()
    path.write_bytes(content[:-10] + bytes(10))
    with pytest.raises(tsrep.InputError, match="expected the export that was saved"):
        load(folder)
    path.unlink()
    with pytest.raises(tsrep.InputError, match="expected the export that was saved"):
        load(folder)
    # With a hash that fits: a file that is none.
    path.write_bytes(b"nothing")
    held = json.loads((folder / "data.json").read_text())
    held["export"]["sha256"] = hashlib.sha256(b"nothing").hexdigest()
    (folder / "data.json").write_text(json.dumps(held))
    with pytest.raises(tsrep.InputError, match="ONNX file"):
        load(folder)


@pytest.mark.parametrize("pool", POOLS)
def test_the_light_model_embeds_as_the_whole_one(exported: tsrep.Model, folder: Path, pool: str | None) -> None:
    light = tsrep.load_light(folder)
    assert not isinstance(light, tsrep.Model)
    for x in (windows(), windows(time=60), [w[:, : 9 + i] for i, w in enumerate(windows(seed=2)[7:])]):
        np.testing.assert_array_equal(light.embed(x, pool), exported.embed(x, pool))
    assert light.features == exported.features
    assert light.data.channels == exported.data.channels
    with pytest.raises(tsrep.InputError, match="channels"):
        light.embed(windows()[:, :2])


def test_channels_one_by_one_and_named_are_embedded_alike(tmp_path: Path) -> None:
    plan, _ = tsrep.make_plan(
        {
            "encoder": {"name": "dilated", **ENCODER},
            "data": {"independent": True, "channels": ["b", "a"]},
            "training": {"steps": 1, "batch_size": 8},
        }
    )
    panel = tsrep.as_panel(windows(), channels=("a", "b", "c"))
    panel = replace(panel, values=np.nan_to_num(panel.values))
    model = tsrep.export(tsrep.run(plan, panel))
    light = tsrep.load_light(model.save(tmp_path / "model"))
    assert light.features == model.features == 24
    close(light.embed(panel), replace(model, exported=None).embed(panel))


def test_an_exported_model_embeds_without_torch(folder: Path) -> None:
    code = (
        "import sys, numpy as np, tsrep; m = tsrep.load_light(sys.argv[1]);"
        f"print(m.embed(np.ones((2, 3, {LENGTH}), np.float32)).shape, m.runtime, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True).stdout
    assert told.startswith("(2, 12) onnxruntime")
    assert told.strip().endswith("False")


def test_the_command_puts_the_export_into_the_folder(model: tsrep.Model, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "model")
    said = CliRunner().invoke(cli.app, ["export", str(folder), "--length", "16"], catch_exceptions=False)
    assert said.exit_code == 0
    assert "onnxruntime" in said.output
    loaded = tsrep.load(folder)
    assert loaded.exported.runtime.length == 16
    close(loaded.embed(windows()), model.embed(windows()))
    with pytest.raises(tsrep.InputError, match="folder of a model"):
        CliRunner().invoke(cli.app, ["export", "models:/none@champion"], catch_exceptions=False)


def test_other_encoders_and_precisions_are_refused(model: tsrep.Model) -> None:
    with pytest.raises(tsrep.InputError, match="dilated or causal"):
        tsrep.export(replace(model, encoder=torch.nn.Linear(3, 4)))
    with pytest.raises(tsrep.InputError, match="float32, int8, bf16"):
        tsrep.export(model, precision="int4")
    with pytest.raises(tsrep.InputError, match="give data"):
        tsrep.export(model, precision="int8")


def test_int8_is_measured_before_it_is_let_through(
    waves: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neighbours and probe accuracy on the validation part, before and after, go into the card."""
    x, label = waves
    panel = tsrep.as_panel(x, label=label)
    model = tsrep.fit(panel, encoder={"name": "dilated", **ENCODER}, training={"steps": 4, "batch_size": 8})
    monkeypatch.setattr(exporting, "AGREEMENT", 0.5)  # of eight windows beside 32 alike
    made = tsrep.export(model, precision="int8", data=panel)
    loaded = tsrep.load(made.save(tmp_path / "model"))
    assert loaded.runtime.endswith("int8")
    assert "| accuracy of a linear probe |" in loaded.card()
    found, exact = loaded.embed(x), model.embed(x)
    off = np.abs(found - exact).max()
    assert 1e-5 < off < 0.2 * exact.std()
    np.testing.assert_array_equal(tsrep.load_light(tmp_path / "model").embed(x), found)
    monkeypatch.setattr(exporting, "AGREEMENT", 1.1)
    with pytest.raises(tsrep.InputError, match="export float32"):
        tsrep.export(model, precision="int8", data=panel)
