"""bf16 goes through its gate, stays with the model, and is refused where it loses too much."""

from pathlib import Path

import numpy as np
import pytest

import tsrep
from tsrep import exporting


@pytest.fixture(scope="module")
def waves() -> tsrep.Panel:
    """Sines of three pitches."""
    rng = np.random.default_rng(0)
    label = np.arange(48) % 3
    phase = rng.uniform(0, 6, (48, 2, 1))
    x = np.sin(phase + np.arange(32) * (0.2 + 0.3 * label[:, None, None])) + 0.1 * rng.standard_normal((48, 2, 32))
    return tsrep.as_panel(x.astype(np.float32), label=label)


@pytest.fixture(scope="module")
def model(waves: tsrep.Panel) -> tsrep.Model:
    """Of an encoder that ONNX Runtime is not offered for."""
    encoder = {"name": "wide", "hidden": 8, "depth": 3, "features": 8, "kernels": 16, "competing": 0}
    return tsrep.fit(waves, encoder=encoder, training={"steps": 4, "batch_size": 8})


def test_bf16_is_measured_kept_and_told(model: tsrep.Model, waves: tsrep.Panel, tmp_path: Path) -> None:
    made = tsrep.export(model, precision="bf16", data=waves)
    folder = made.save(tmp_path / "model")
    loaded, light = tsrep.load(folder), tsrep.load_light(folder)
    assert loaded.runtime.endswith("bf16") and made.runtime == loaded.runtime == light.runtime
    found, exact = loaded.embed(waves), model.embed(waves)
    off = np.abs(found - exact).max()
    assert 1e-5 < off < 0.2 * exact.std(), "eight bits of mantissa, and no more lost"
    np.testing.assert_array_equal(made.embed(waves), found)
    np.testing.assert_array_equal(light.embed(waves), found)
    assert "Computed by torch, bf16" in loaded.card() and "| accuracy of a linear probe |" in loaded.card()
    assert not (folder / "model.onnx").exists()
    np.testing.assert_array_equal(tsrep.load(folder, "torch").embed(waves), exact)
    again = tsrep.load(loaded.save(tmp_path / "again"))
    np.testing.assert_array_equal(again.embed(waves), found)
    with pytest.raises(tsrep.InputError, match="the model has none"):
        tsrep.load(folder, "onnx")


def test_bf16_that_loses_neighbours_is_refused(
    model: tsrep.Model, waves: tsrep.Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "AGREEMENT", 1.1)
    with pytest.raises(tsrep.InputError, match="export float32"):
        tsrep.export(model, precision="bf16", data=waves)
