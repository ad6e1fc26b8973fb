"""What the service says of drift: from its recent embeddings, without a comparison for every request."""

import json
from dataclasses import replace

import numpy as np
import pytest
from service_requests import as_json, as_npy
from tsrep_deploy import drift, meters
from tsrep_deploy.engine import Engine
from tsrep_deploy.recent import Recent

import tsrep
from tsrep.drift import Reference

RNG = np.random.default_rng(8)
KEYS = {"statistic", "value", "threshold", "recent", "reference", "drifted", "says"}


def windows(n: int) -> np.ndarray:
    return RNG.standard_normal((n, 3, 40)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> tsrep.Model:
    encoder = {"name": "dilated", "hidden": 8, "depth": 2, "features": 8}
    return tsrep.fit(windows(300), encoder=encoder, training={"steps": 5})


def told(running, name="small"):
    return running.get("/v1/drift").json()["models"][name]


def test_the_same_is_no_drift_and_what_is_shifted_is(service, model, monkeypatch):
    monkeypatch.setattr(drift, "FRESH", 0.0)
    running = service(drift_windows=200)
    running.shelf.put("small", Engine(model, running.settings, "small"))
    first = told(running)
    assert set(first) == KEYS and (first["value"], first["drifted"], first["recent"], first["reference"]) == (
        None,
        None,
        0,
        300,
    )
    assert "32 are needed" in first["says"]
    running.post(**as_npy(windows(200)))
    same = told(running)
    assert same["drifted"] is False and same["recent"] == 200 and same["value"] <= same["threshold"]
    running.post(url="/v1/embed?pool=max", **as_npy(windows(200) + 5))  # another pool is no embedding of this kind
    assert told(running) == same
    running.post(**as_npy(windows(200) + 2))
    other = told(running)
    assert other["drifted"] is True and other["value"] > other["threshold"] and "differ" in other["says"]
    value = meters.DRIFT.labels(model="small")._value.get()
    assert value == pytest.approx(other["value"]) and meters.DRIFT_WINDOWS.labels(model="small")._value.get() == 200


def test_what_a_model_is_asked_for_counts_and_what_is_kept_or_only_looked_at_does_not(service, model, tmp_path):
    """The page says counted=no of itself; windows of a collection need not be such as come from day to day."""
    running, X = service(collections=str(tmp_path / "kept")), windows(8)
    heads = tsrep.fit_forecaster(model, windows(24), 4, window=16, pool=None)
    heads = tsrep.fit_head(heads, windows(24), np.arange(24) % 3)
    engine = Engine(heads, running.settings, "small", "0")
    running.shelf.put("small", engine)
    recent = engine.recent

    def counted(url, X=X):
        before = recent.seen
        answer = running.post(url=url, **as_json(X))
        assert answer.status_code == 200, answer.text
        return recent.seen - before

    assert (counted("/v1/embed"), counted("/v1/embed?counted=yes"), counted("/v1/models/small/embed")) == (8, 8, 8)
    assert (counted("/v1/similarity", X[:2]), counted("/v1/forecast"), counted("/v1/classify")) == (2, 8, 8)
    for url, some in (("embed", X), ("similarity", X[:2]), ("forecast", X), ("classify", X)):
        assert counted(f"/v1/{url}?counted=no", some) == 0
    refused = running.post(url="/v1/embed?counted=maybe", **as_json(X)).json()["error"]
    assert (refused["reason"], refused["expected"]) == ("query", ["yes", "no"])

    before, held = recent.seen, as_json(X)["json"]
    for verb, url, body in (
        ("PUT", "walks", {}),
        ("POST", "walks/windows", held | {"ids": list("abcdefgh")}),
        ("POST", "walks/query", held),
    ):
        done = running.within(lambda client, v=verb, u=url, b=body: client.request(v, f"/v1/collections/{u}", json=b))
        assert done.status_code in (200, 201), done.text
    assert recent.seen == before


def test_it_is_compared_when_asked_and_not_again_until_it_is_old(service, model, monkeypatch):
    asked = []
    monkeypatch.setattr(
        drift, "measured", lambda engine: asked.append(1) or {"value": 0.0, "threshold": 1.0, "recent": 1}
    )
    running = service()
    for _ in range(3):
        running.post(**as_json(windows(2)))
    assert not asked
    for _ in range(3):
        assert running.get("/v1/drift").status_code == 200
        running.post(**as_json(windows(2)))
    assert len(asked) == 1


def test_a_model_without_a_reference_says_so_and_one_with_a_small_one_too(service, model):
    running = service(model="old=x,few=x")
    few = replace(model, reference=Reference(model.reference.embeddings[:24]))
    running.shelf.put("few", Engine(few, running.settings, "few"))
    running.shelf.put("old", Engine(replace(model, reference=None), running.settings, "old"))
    said = running.get("/v1/drift").json()["models"]
    assert "without a reference" in said["old"]["says"] and said["old"]["reference"] == 0
    assert "too few" in said["few"]["says"] and said["few"]["reference"] == 24
    assert json.dumps(said)  # plain numbers


def test_what_is_told_is_as_the_document_says(service):
    import jsonschema

    running = service()
    document = running.get("/v1/openapi.json").json()
    schema = document["paths"]["/v1/drift"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(running.get("/v1/drift").json(), schema | {"components": document["components"]})


@pytest.mark.parametrize("sizes", [[3, 3, 3], [1, 20, 2], [10], [0, 4], [25, 1]])
def test_the_ring_holds_the_last_ones(sizes):
    ring, every = Recent(10, 1), []
    for size in sizes:
        batch = np.arange(len(every), len(every) + size, dtype=np.float32)[:, None]
        every += batch[:, 0].tolist()
        ring.put(batch)
    assert (
        sorted(ring.now()[:, 0].tolist()) == every[-10:]
        and len(ring) == min(10, len(every))
        and ring.seen == len(every)
    )
    empty = Recent(0, 1)
    empty.put(np.ones((3, 1), np.float32))
    assert len(empty) == 0
