"""A model that was exported is served without torch, head and all, and the service says what computes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tsrep_deploy.launch import prepared
from tsrep_deploy.running import free_port

import tsrep

pytest.importorskip("onnxruntime")

SERVED = """
import asyncio, json, os, sys, time
import httpx
import numpy as np
os.environ["TSREP_MODEL"] = sys.argv[1]
from tsrep_deploy import service

async def asked():
    encoder = service.Encoder.inner()
    for _ in range(600):
        if await encoder.__is_ready__():
            break
        await asyncio.sleep(0.05)
    transport, told = httpx.ASGITransport(service.app), {}
    body = {"content": open(sys.argv[2], "rb").read(), "headers": {"Content-Type": "application/x-npy"}}
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        for route in ("embed", "steps", "classify", "forecast"):
            answer = await client.post(f"/v1/{route}", **body)
            told[route] = answer.json()
        told["info"] = (await client.get("/v1/info")).json()
    encoder.close()
    return told

told = asyncio.run(asked())
print(json.dumps(told | {"torch": "torch" in sys.modules}))
"""


def test_a_model_that_was_exported_is_served_without_torch(model: tsrep.Model, tmp_path: Path) -> None:
    folder = tsrep.export(model).save(tmp_path / "model")
    x = np.random.default_rng(5).standard_normal((7, 3, model.data.length)).astype(np.float32)
    x[1, :, 20:], x[2, 1] = np.nan, np.nan
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", SERVED, str(folder), str(tmp_path / "x.npy")]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert not told["torch"]
    assert told["info"]["runtime"].startswith("onnxruntime ")
    assert told["info"]["encoder"]["name"] == "dilated"
    assert model.head is not None
    assert told["info"]["classes"] == list(model.head.classes)
    np.testing.assert_allclose(told["embed"]["embeddings"], model.embed(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(told["steps"]["embeddings"][0], model.embed(x, "steps")[0], rtol=1e-5, atol=1e-5)
    ahead = model.forecaster
    assert ahead is not None and told["info"]["forecast"] == {"channels": list(model.data.channels), "horizon": 4}
    expected = ahead(model.embed(x, "last"), ahead.last(x))
    np.testing.assert_allclose(told["forecast"]["forecasts"], expected, rtol=1e-4, atol=1e-4)
    said = model.head(model.embed(x, "mean"))
    np.testing.assert_allclose(told["classify"]["probability"], said, rtol=1e-4, atol=1e-5)


def test_the_head_of_an_exported_model_is_the_one_that_was_saved(model: tsrep.Model, tmp_path: Path) -> None:
    folder = tsrep.export(model).save(tmp_path / "model")
    light = tsrep.load_light(folder)
    assert isinstance(light, tsrep.Light)
    assert light.head is not None
    assert light.reference is not None and model.reference is not None
    np.testing.assert_array_equal(light.reference.embeddings, model.reference.embeddings)
    assert model.head is not None
    np.testing.assert_array_equal(light.head.weight, model.head.weight)
    (folder / "head.safetensors").unlink()
    with pytest.raises(tsrep.InputError, match="the head that was saved"):
        tsrep.load_light(folder)


def test_longer_windows_are_not_embedded_by_another_model_that_took_the_folder(
    model: tsrep.Model, tmp_path: Path
) -> None:
    folder = tsrep.export(model).save(tmp_path / "model")
    light = tsrep.load_light(folder)
    long = np.random.default_rng(6).standard_normal((2, 3, model.data.length + 9)).astype(np.float32)
    tsrep.untrained(model, 3).save(folder)
    assert light.embed(long[:, :, :-9]).shape == (2, model.features)
    with pytest.raises(tsrep.InputError, match="another stands there"):
        light.embed(long)


def test_what_speaks_of_several_streams_is_refused_before_anything_starts(
    several: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    with pytest.raises(tsrep.InputError, match=r"of one stream to serve.*left, right"):
        prepared(several, port=free_port())
    with pytest.raises(tsrep.InputError, match=r"of one stream to export.*left, right"):
        tsrep.export(tsrep.load(several))
    one = tsrep.export(tsrep.load(several).of("left")).save(tmp_path / "left")
    assert isinstance(tsrep.load_light(one), tsrep.Light)


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    X = {name: rng.standard_normal((16, 2, 24)).astype(np.float32) for name in ("left", "right")}
    encoder = {"name": "dilated", "hidden": 4, "depth": 2, "features": 8}
    fitted = tsrep.fit(X, method="simclr", encoder=encoder, training={"steps": 2, "batch_size": 8})
    return fitted.save(tmp_path_factory.mktemp("models") / "several")
