"""What every request passes: id, key, place, time, a line in the log."""

import asyncio
import json
import logging
import threading

import numpy as np
import pytest
from service_requests import as_json, as_npy, embeddings_of
from tsrep_deploy import door, keys, tell, wire

import tsrep

X = np.random.default_rng(31).standard_normal((4, 3, 40)).astype(np.float32)


class Blocked:
    """Puts a gate before a service's model."""

    def __init__(self, service) -> None:
        self.open, self.calls = threading.Event(), 0
        with service.shelf.borrow() as engine:
            self.compute, engine.batcher._compute = engine.batcher._compute, self

    def __call__(self, values, pool):
        self.calls += 1
        assert self.open.wait(20)
        return self.compute(values, pool)


async def until(what) -> None:
    while not what():
        await asyncio.sleep(0.002)


def test_a_large_body_is_read_and_written_beside_the_loop(service, model, monkeypatch):
    many = np.random.default_rng(1).standard_normal((300, 3, 100)).astype(np.float32).round(3)
    many[5, 1, 7] = np.nan
    running, read, write, where = service(), wire.read, wire.write, []

    def spied(work):
        def call(*given):
            where.append(threading.current_thread().name.split("_")[0])
            return work(*given)

        return call

    monkeypatch.setattr(wire, "read", spied(read))
    monkeypatch.setattr(wire, "write", spied(write))
    found = embeddings_of(running.post(**as_json(many)))
    np.testing.assert_allclose(found, model.embed(many), rtol=1e-6, atol=1e-6)
    assert running.post(**as_json(X)).status_code == 200
    assert where == ["tsrep-wire", "tsrep-wire", "MainThread", "MainThread"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"windows": [[[1], [2]]%s]}', "channels"),
        ('{"windows": [[[1], [2], [3]]%s]}', None),
        ('{"windows": [[[1], [Infinity], [3]]%s]}', "infinite"),
        ('{"windows": [[["1"], [2], [3]]%s]}', "malformed"),
        ('{"windows": [[[1], [2], [3]]%s], "pool": 1}', "malformed"),
        ('{"windows": [[[1], [2], [3, 4]]%s]}', "shape"),
        ('{"windows": [null%s]}', "malformed"),
        ('{"windows": null%s}', "malformed"),
        ('[[[1], [2], [3]]%s]', "malformed"),
        ('{"windows": [[[1], [2], [3]]%s]} {"windows": []}', "malformed"),
        ('{"windows": [[[1], [2], [3]]%s]', "malformed"),
        ('{"windows": []%s}', "no_windows"),
    ],
)  # fmt: skip
def test_large_json_is_refused_for_the_same_reasons_as_small(service, text, reason):
    for filling in ("", " " * wire.LARGE):
        answer = service().post(content=text % filling, headers={"Content-Type": "application/json"})
        assert answer.json().get("error", {}).get("reason") == reason


def test_requests_have_ids_and_times(service):
    running = service()
    given = running.post(**as_json(X) | {"headers": {"X-Request-Id": "abc-1"}})
    assert given.headers["x-request-id"] == "abc-1"
    times = dict(part.strip().split(";dur=") for part in given.headers["server-timing"].split(","))
    assert set(times) == {"queue", "inference", "total"}
    assert 0 < float(times["inference"]) <= float(times["total"])
    made = [running.post(**as_json(X[:, :2])) for _ in range(2)]
    ids = [answer.headers["x-request-id"] for answer in made]
    assert len(set(ids)) == 2 and all(len(one) == 32 for one in ids)
    strange = running.post(**as_json(X) | {"headers": {"X-Request-Id": 'a"b c'}})
    assert len(strange.headers["x-request-id"]) == 32


def test_a_key_is_asked_for_and_never_told(service, tmp_path, caplog):
    path = tmp_path / "keys.json"
    key = keys.add(path, "anna")
    running = service(keys=str(path), log="json")
    with caplog.at_level(logging.INFO, "tsrep.serve"):
        assert running.post(**as_npy(X)).status_code == 401
        for headers in ({"Authorization": f"Bearer {key}"}, {"X-Api-Key": key}):
            request = as_npy(X)
            assert running.post(**request | {"headers": request["headers"] | headers}).status_code == 200
        wrong = running.get("/v1/info", headers={"Authorization": f"Bearer {key[:-1]}"})
    assert (wrong.status_code, wrong.json()["error"]["reason"]) == (401, "key")
    assert wrong.headers["www-authenticate"].startswith("Bearer")
    assert running.get("/docs").status_code == 200
    lines = [tell.Json().format(record) for record in caplog.records]
    assert key[-43:] not in "".join(lines)
    told = [json.loads(line) for line in lines]
    assert [(one["status"], one.get("key")) for one in told] == [(401, None), (200, "anna"), (200, "anna"), (401, None)]
    assert (told[1]["model"], told[1]["windows"], told[1]["bytes_in"]) == ("small", 4, len(as_npy(X)["content"]))
    assert told[0]["reason"] == "key"


def test_without_a_key_nobody_learns_the_names_of_models_and_channels(service, model, tmp_path):
    path = tmp_path / "keys.json"
    key = {"X-Api-Key": keys.add(path, "anna")}
    running = service(model="secret=x", keys=str(path))
    for asked, known in (("/v1/openapi.json", 200), ("/nothing", 404), ("/v1/models/other/info", 404)):
        unknown = running.get(asked)
        assert (unknown.status_code, "secret" in unknown.text) == (401, False)
        assert running.get(asked, headers=key).status_code == known
    assert "secret" in running.get("/v1/openapi.json", headers=key).text
    names = ("secret", *model.data.channels)
    assert not [name for name in names if name in running.get("/docs").text]


def test_each_key_has_a_rate_of_its_own(service, tmp_path):
    path = tmp_path / "keys.json"
    anna, bert = keys.add(path, "anna"), keys.add(path, "bert")
    running = service(keys=str(path), rate=1, burst=2)
    answers = [running.get("/v1/info", headers={"X-Api-Key": anna}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].json()["error"]["reason"] == "rate"
    assert 50 < int(answers[-1].headers["retry-after"]) <= 60
    assert running.get("/v1/info", headers={"X-Api-Key": bert}).status_code == 200


def test_pages_of_other_origins_may_ask_only_where_they_are_let(service):
    closed, opened = service(), service(cors="https://a.org,http://b.org:8000")
    for running, origin, allowed in (
        (closed, "https://a.org", False),
        (opened, "https://a.org", True),
        (opened, "https://c.org", False),
    ):
        answer = running.get("/v1/info", headers={"Origin": origin})
        assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        before = running.within(lambda client, asked=asked: client.options("/v1/embed", headers=asked))
        assert (before.headers.get("access-control-allow-origin") == origin) is allowed


def test_more_requests_than_places_are_refused_and_taken_later(service):
    running = service(concurrency=2)
    gate = Blocked(running)

    async def scene(client):
        inside = [asyncio.create_task(client.post("/v1/embed", **as_npy(X))) for _ in range(2)]
        await until(lambda: gate.calls)
        await asyncio.sleep(0.02)
        refused = await client.post("/v1/embed", **as_npy(X))
        gate.open.set()
        return refused, await asyncio.gather(*inside), await client.post("/v1/embed", **as_npy(X))

    refused, inside, later = running.within(scene)
    assert (refused.status_code, refused.json()["error"]["reason"], refused.headers["retry-after"]) == (
        429,
        "concurrency",
        "1",
    )
    assert [answer.status_code for answer in (*inside, later)] == [200] * 3


def test_a_full_queue_says_when_to_come_again(service):
    running = service(queue=4, max_windows=4)
    gate = Blocked(running)

    async def scene(client):
        inside = asyncio.create_task(client.post("/v1/embed", **as_npy(X)))
        await until(lambda: gate.calls)
        refused = await client.post("/v1/embed", **as_npy(X[:1]))
        gate.open.set()
        return refused, await inside

    refused, inside = running.within(scene)
    assert (refused.status_code, refused.json()["error"]["reason"]) == (429, "queue_full")
    assert int(refused.headers["retry-after"]) >= 1
    assert inside.status_code == 200


def test_a_request_that_takes_too_long_is_given_up_in_our_own_words_and_harms_nobody(service, model):
    running = service(timeout=1)
    gate = Blocked(running)

    async def scene(client):
        slow = asyncio.create_task(client.post("/v1/embed", **as_npy(X)))
        await until(lambda: gate.calls)
        waiting = asyncio.create_task(client.post("/v1/embed", **as_npy(X[:2])))
        answers = await asyncio.gather(slow, waiting)
        gate.open.set()
        return answers, await client.post("/v1/embed", **as_npy(X[1:]))

    given_up, good = running.within(scene)
    for answer in given_up:
        assert (answer.status_code, answer.json()["error"]["reason"]) == (504, "timeout")
        assert "x-request-id" in answer.headers
    np.testing.assert_allclose(embeddings_of(good), model.embed(X[1:]), rtol=1e-6, atol=1e-6)
    assert gate.calls == 2  # the first and the last: what was given up while it waited was not computed


def test_a_client_that_goes_away_leaves_the_queue(service, monkeypatch):
    running = service()
    gate = Blocked(running)
    monkeypatch.setattr(door, "PATIENCE", 0.001)
    scope = {"type": "http", "method": "POST", "path": "/v1/embed", "query_string": b"", "root_path": "", "scheme": "http",
             "headers": [(b"content-type", wire.NPY.encode())], "server": ("x", 80), "http_version": "1.1"}  # fmt: skip

    async def scene(client):
        first = asyncio.create_task(client.post("/v1/embed", **as_npy(X)))
        await until(lambda: gate.calls)
        came, sent = [{"type": "http.request", "body": as_npy(X)["content"]}], []
        gone = asyncio.Event()

        async def receive():
            if came:
                return came.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        leaving = asyncio.create_task(running.app(scope, receive, send))
        with running.shelf.borrow() as engine:
            await until(lambda: engine.batcher._waiting == 8)
            gone.set()
            await asyncio.wait_for(leaving, 5)
            waiting = engine.batcher._waiting
        gate.open.set()
        assert (await first).status_code == 200
        return waiting, sent[0]["status"]

    assert running.within(scene) == (4, 499)
    assert gate.calls == 1


def test_a_body_that_does_not_come_is_given_up(service):
    async def parts():
        yield b"{"
        await asyncio.sleep(30)

    answer = service(body_timeout=1).post(content=parts(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (408, "body_timeout")


def test_other_methods_and_paths_are_refused_in_the_same_form(service):
    running = service()
    other = running.get("/v1/embed")
    assert (other.status_code, other.json()["error"]["reason"], other.headers["allow"]) == (405, "method", "POST")
    assert running.get("/v2/embed").json()["error"]["reason"] == "path"


def test_the_model_is_named_by_path_or_query(service, model):
    both = service(model="a=small,b=small")
    assert both.get("/v1/models").json() == {"models": ["a", "b"]}
    told = [both.post(**as_json(X[:1]), **how).json()["model"] for how in
            ({}, {"params": {"model": "b"}}, {"url": "/v1/models/b/embed"}, {"url": "/v1/models/a/embed"})]  # fmt: skip
    assert told == ["a", "b", "b", "a"]
    assert both.get("/v1/models/b/info").json()["model"] == "b"
    assert isinstance(model, tsrep.Model)
