"""The real server in its own processes: started once, asked over the loopback, and gone without a trace."""

import http.client
import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from service_requests import FORMS, as_arrow, as_json, as_npy, embeddings_of
from tsrep_deploy.running import running

import tsrep

RNG = np.random.default_rng(23)
X = RNG.standard_normal((4, 3, 40)).astype(np.float32)
RAGGED = [RNG.standard_normal((3, steps)).astype(np.float32) for steps in (40, 9, 48, 100)]


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server, and after the tests the proof that nothing of it is left."""
    with running(
        folder, collections=tmp_path_factory.mktemp("kept"), max_body_bytes=300_000, max_windows=64
    ) as address:
        port = int(address.rsplit(":", 1)[1])
        processes = [child for child in psutil.Process().children(recursive=True) if _serves(child)]
        assert len(processes) >= 2  # supervisor and worker
        yield address
    assert not [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def _serves(process: psutil.Process) -> bool:
    return "bentoml" in " ".join(process.cmdline())


@pytest.fixture
def post(address: str) -> Iterator[Any]:
    with httpx.Client(base_url=address, timeout=30) as client:
        yield lambda **request: client.post(**({"url": "/v1/embed"} | request))


@pytest.mark.parametrize("pool", [None, "steps"])
@pytest.mark.parametrize("form", FORMS)
def test_served_is_local(post, model, form, pool):
    query = {"url": "/v1/steps"} if pool else {}
    served = embeddings_of(post(**FORMS[form](X), **query))
    np.testing.assert_allclose(served, model.embed(X, pool), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_ragged_windows_are_served_as_local(post, model, form):
    np.testing.assert_allclose(embeddings_of(post(**FORMS[form](RAGGED))), model.embed(RAGGED), rtol=1e-6, atol=1e-6)


def test_mixed_and_bad_requests_at_once_all_get_their_own_answer(post, model):
    good = [as_npy(X), as_json(RAGGED), as_arrow(RAGGED[:2]), as_json(X[:1])]
    local = [model.embed(windows) for windows in (X, RAGGED, RAGGED[:2], X[:1])]
    bad = [
        as_npy(X[:, :2]),
        as_npy(np.full((1, 3, 5), np.inf, np.float32)),
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
    ]
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda k: post(**(good[k % 4] if k % 3 else bad[k % 9 // 3])), range(96)))
    for k, answer in enumerate(answers):
        if k % 3:
            np.testing.assert_allclose(embeddings_of(answer), local[k % 4], rtol=1e-6, atol=1e-6)
        else:
            assert answer.status_code == 422


def test_info_names_the_model_and_hides_where_it_lies(address, folder, model):
    with urllib.request.urlopen(f"{address}/v1/info") as answer:
        text = answer.read().decode()
    told = json.loads(text)
    assert (told["model"], told["features"], told["limits"]["max_windows"]) == ("small", model.features, 64)
    assert str(folder) not in text


def _run_curl(address: str, folder: Path, of_search: bool) -> str:
    """What the README's block of curl prints, as it stands but for the address."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL) if "curl" in block]
    (block,) = [block for block in blocks if ("/v1/collections" in block) == of_search]
    script = block.replace("localhost:3000", address).replace("curl -s", "curl -sS --fail-with-body")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("python -c", f"{sys.executable} -c")],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_the_curl_examples_of_the_readme_run(address, tmp_path):
    told = _run_curl(address, tmp_path, of_search=False)
    assert told.count('"model":"small"') == 3 and '"statistic":"mmd"' in told
    assert np.shape(json.loads((tmp_path / "forecasts.json").read_text())["forecasts"]) == (4, 3, 4)
    held = np.load(tmp_path / "embeddings.npy", allow_pickle=False)
    assert held["embedding"].shape == (4, 8) and held["scale"].shape == (4,)
    assert len(json.loads((tmp_path / "steps.json").read_text())["embeddings"][0][0]) == 100


def test_the_curl_examples_of_search_run(address, tmp_path):
    told = _run_curl(address, tmp_path, of_search=True)
    assert '"count":0' in told and '"added":2' in told and '"deleted":true' in told
    assert '"neighbours":[[{"id":"a","distance":' in told and '"id":"b"' not in told


def test_a_chunked_body_is_refused_while_it_is_read(address):
    """The client never ends its body, and gets its answer all the same."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        head = (
            "POST /v1/embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        wire.sendall(head.encode())
        for _ in range(5):
            wire.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        assert wire.recv(100).startswith(b"HTTP/1.1 413")


def test_an_announced_body_is_refused_before_it_is_sent(address):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        head = "POST /v1/embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 400000\r\n\r\n"
        wire.sendall(head.encode())
        assert wire.recv(100).startswith(b"HTTP/1.1 413")


def test_a_client_that_goes_away_leaves_the_service_well(address, post, model):
    host, port = address.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=10) as wire:
            wire.sendall(
                b"POST /v1/embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{"
            )
    np.testing.assert_allclose(embeddings_of(post(**as_npy(X))), model.embed(X), rtol=1e-6, atol=1e-6)


def test_it_is_alive_ready_and_measured(address, post):
    for path in ("/livez", "/readyz"):
        with urllib.request.urlopen(address + path) as answer:
            assert answer.status == 200
    assert post(**as_npy(X[:, :2])).status_code == 422
    assert post(**as_npy(X)).status_code == 200
    before = metrics(address)
    assert before['tsrep_rejected_total{reason="channels"}'] >= 1
    assert before['tsrep_rejected_total{reason="overflow"}'] == 0
    assert post(**as_npy(X)).status_code == 200
    with urllib.request.urlopen(f"{address}/v1/drift") as answer:
        recent = json.loads(answer.read())["models"]["small"]["recent"]
    after = metrics(address)
    assert after['tsrep_batch_windows_sum{model="small"}'] == before['tsrep_batch_windows_sum{model="small"}'] + len(X)
    assert after['tsrep_inference_seconds_sum{model="small"}'] > before['tsrep_inference_seconds_sum{model="small"}']
    assert after['tsrep_queue_seconds_count{model="small"}'] > before['tsrep_queue_seconds_count{model="small"}']
    counted = 'tsrep_requests_total{model="small",route="/v1/embed",status="200"}'
    assert after[counted] == before[counted] + 1
    assert after['tsrep_requests_total{model="small",route="/v1/embed",status="422"}'] >= 1
    assert after['tsrep_request_seconds_count{model="small",route="/v1/embed"}'] >= 3
    assert (after["tsrep_requests_running"], after['tsrep_queue_windows{model="small"}']) == (0, 0)
    assert after['tsrep_queue_room{model="small"}'] == 4096
    assert after['tsrep_drift_windows{model="small"}'] >= recent >= 0 and 'tsrep_drift{model="small"}' in after


def test_unknown_paths_leave_no_trace_in_the_metrics(address):
    for path in ("/page", "/embed/x", "/one", "/static_content/two"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address + path)
    assert not [name for name in metrics(address) if "/one" in name or "/two" in name or "/embed/x" in name]


def test_get_on_embed_is_not_allowed(address):
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(address + "/v1/embed")


def test_a_server_that_can_not_start_says_why(tmp_path):
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match="expected the folder of a model"), running(tmp_path / "nothing"):
        pass
    assert time.monotonic() - begin < 60


def metrics(address: str) -> dict[str, float]:
    with urllib.request.urlopen(address + "/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and not line.startswith("#")
    }


def test_a_server_with_keys_and_two_models_exchanges_one_and_tells_what_it_did(folder, model, tmp_path):
    """The whole of it at once: keys, names, CORS, 429 and 504 in our form, a reload under requests, and the log."""
    from tsrep_deploy import keys

    other = tsrep.untrained(model, seed=3)
    current = model.save(tmp_path / "current")
    key = keys.add(tmp_path / "keys.json", "anna")
    said = {"keys": tmp_path / "keys.json", "reload": 1, "cors": "https://a.org", "concurrency": 2, "timeout": 2}
    with (
        running([f"a={folder}", f"b={current}"], **said) as address,
        httpx.Client(base_url=address, timeout=30, headers={"X-Api-Key": key}) as client,
    ):
        assert httpx.get(f"{address}/v1/info").status_code == 401
        opened = ("/livez", "/readyz", "/metrics", "/schema.json", "/docs", "/")  # as the README says
        assert [httpx.get(f"{address}{path}").status_code for path in opened] == [200] * len(opened)
        assert (httpx.get(f"{address}/nothing").status_code, client.get("/nothing").status_code) == (401, 404)
        asked = {"Origin": "https://a.org", "Access-Control-Request-Method": "POST"}
        assert httpx.options(f"{address}/v1/embed", headers=asked).status_code == 200
        answer = client.post("/v1/models/b/embed", **as_npy(X))
        np.testing.assert_allclose(embeddings_of(answer), model.embed(X), rtol=1e-6, atol=1e-6)
        assert "inference;dur=" in answer.headers["server-timing"]
        other.save(current)
        end, found = time.monotonic() + 20, answer
        while time.monotonic() < end and not np.allclose(embeddings_of(found), other.embed(X), atol=1e-6):
            found = client.post("/v1/embed", params={"model": "b"}, **as_npy(X))
        np.testing.assert_allclose(embeddings_of(found), other.embed(X), rtol=1e-6, atol=1e-6)
        a = client.post("/v1/embed", **as_npy(X))
        np.testing.assert_allclose(embeddings_of(a), model.embed(X), rtol=1e-6, atol=1e-6)

        host, port = address.removeprefix("http://").split(":")
        headers = f"Host: x\r\nX-Api-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: 40"
        head = f"POST /v1/embed HTTP/1.1\r\n{headers}\r\n\r\n{{"
        with socket.create_connection((host, int(port))) as one, socket.create_connection((host, int(port))) as two:
            for wire in (one, two):
                wire.sendall(head.encode())
            time.sleep(0.3)
            full = client.get("/v1/info")
            assert (full.status_code, full.json()["error"]["reason"]) == (429, "concurrency")
            assert full.headers["retry-after"] == "1"
            assert httpx.get(f"{address}/livez").status_code == 200  # probes need no place
            one.settimeout(20)
            late = http.client.HTTPResponse(one)
            late.begin()
            assert (late.status, json.loads(late.read())["error"]["reason"]) == (504, "timeout")
        assert client.get("/v1/info").status_code == 200
