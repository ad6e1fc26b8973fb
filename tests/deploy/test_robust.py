"""The real server under what should not happen: damaged bodies, requests made up from its document, a worker that is killed."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CHECKS
from service_requests import as_npy, embeddings_of
from test_deployment import expressions
from tsrep_deploy.fuzz import COLLECTION, fuzz, worker_of
from tsrep_deploy.running import running

import tsrep

NAME = re.compile("[a-z0-9][a-z0-9_-]{0,62}")
X = np.random.default_rng(41).standard_normal((3, 3, 20)).astype(np.float32)
WALKS = "/v1/collections/walks"
"""The collection that the document's examples speak of."""


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a model with both heads, and of a service that keeps collections: every route can answer."""
    kept = tmp_path_factory.mktemp("kept")
    with running(folder, threads=1, log="none", max_windows=64, collections=kept) as address:
        yield address


def test_damaged_bodies_over_the_wire_leave_the_service_as_it_was(address, model):
    """A short cut of `python -m tsrep_deploy.load fuzz`."""
    found = fuzz(address, X, model.embed(X), rounds=150, seed=int(os.environ.get("TSREP_FUZZ_SEED", "0")))
    assert (found.failed, found.lost, found.wrong, found.restarted, found.unpickled) == (0, 0, 0, False, False)
    assert found.slowest < 5
    assert found.statuses[200] > 10
    assert found.statuses[422] > 300
    assert found.grown < 1.2  # of a worker that has just begun; load.py measures the long run
    (kept,) = httpx.get(f"{address}/v1/collections").json()["collections"]
    assert kept["name"] == "damaged"  # no name left its folder
    whole = {"ids": ["whole"], "windows": X[:1].tolist()}
    assert httpx.post(f"{address}{COLLECTION}/windows", json=whole).json()["added"] == 1
    (near,) = httpx.post(f"{address}{COLLECTION}/query", json={"windows": X[:1].tolist()}).json()["neighbours"]
    assert near[0]["distance"] == pytest.approx(0, abs=1e-3) and "whole" in {one["id"] for one in near}


def test_requests_made_up_from_the_document_are_answered_as_it_says(address):
    schema = schemathesis.openapi.from_url(f"{address}/v1/openapi.json")
    asked = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if "/v1/models/" in operation.path:  # the same once more
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        def one(case: schemathesis.Case) -> None:
            name = case.path_parameters.get("name", "")
            if NAME.fullmatch(str(name)):  # else each would be asked of a collection that is not there
                case.path_parameters["name"] = "walks"
            case.call_and_validate(checks=[CHECKS.get_one(name) for name in (
                "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
                "negative_data_rejection",
            )])  # fmt: skip

        httpx.put(f"{address}{WALKS}").raise_for_status()
        one()
        asked.append(f"{operation.method.upper()} {operation.path}")
    document = httpx.get(f"{address}/v1/openapi.json").json()["paths"]
    every = {f"{verb.upper()} {path}" for path, item in document.items() for verb in item if "/models/" not in path}
    every.discard("GET /v1/openapi.json")  # which is asked of by reading it
    assert set(asked) == every and {"POST /v1/forecast", "POST /v1/collections/{name}/query"} <= every


def test_the_dashboard_the_alerts_and_the_autoscaler_ask_for_metrics_that_exist(address):
    found = set()
    for line in httpx.get(f"{address}/metrics").text.splitlines():
        if line and not line.startswith("#"):
            found.add(re.split(r"[{ ]", line, maxsplit=1)[0])
    asked = {name for _, expression in expressions() for name in re.findall(r"\b(?:tsrep|bentoml)_\w+", expression)}
    assert asked <= found
    assert {"tsrep_queue_windows", "tsrep_queue_seconds_bucket", "tsrep_rejected_total"} <= asked
    families = {re.sub(r"_(bucket|sum|count|total|created)$", "", name) for name in found if name.startswith("tsrep_")}
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert {family for family in families if f"`{family}" not in readme} == set()


def test_the_supervisor_hands_a_hang_up_on_and_no_worker_outlives_it(folder, model, tmp_path):
    """One server for both: a new model at SIGHUP though it never looks by itself, and then the end of its supervisor."""
    place = shutil.copytree(folder, tmp_path / "current")
    with (
        running(place, threads=1, log="none", reload=0) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        worker = worker_of(address)
        supervisor, other = worker.parent(), tsrep.untrained(model, seed=9)
        assert client.post("/v1/embed", **as_npy(X)).status_code == 200
        other.save(place)
        time.sleep(0.3)
        np.testing.assert_allclose(embeddings_of(client.post("/v1/embed", **as_npy(X))), model.embed(X), atol=1e-5)
        supervisor.send_signal(signal.SIGHUP)
        end, found = time.monotonic() + 30, np.zeros(0)
        while time.monotonic() < end and not (found.size and np.allclose(found, other.embed(X), atol=1e-5)):
            answer = client.post("/v1/embed", **as_npy(X))
            found = np.array(embeddings_of(answer))  # no request is refused in between
        np.testing.assert_allclose(found, other.embed(X), rtol=1e-6, atol=1e-6)
        assert worker_of(address).pid == worker.pid
        client.close()
        supervisor.kill()
        gone, alive = psutil.wait_procs([worker], timeout=20)
        assert gone and not alive


def test_a_worker_that_is_killed_comes_back_and_answers_right(address, model):
    killed = worker_of(address)
    parent = killed.parent()
    os.kill(killed.pid, signal.SIGKILL)
    begin = time.monotonic()
    with httpx.Client(base_url=address, timeout=30) as client:
        while time.monotonic() - begin < 60:
            try:
                answer = client.post("/v1/embed", **as_npy(X))
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                break
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            time.sleep(0.05)
        np.testing.assert_allclose(embeddings_of(answer), model.embed(X), rtol=1e-6, atol=1e-6)
        assert client.get("/readyz").status_code == 200
        told = client.get("/metrics").text
    assert not psutil.pid_exists(killed.pid)
    assert parent is not None and worker_of(address).parent() == parent
    assert 'tsrep_queue_windows{model="small"} 0.0' in told  # not what the dead one left behind
