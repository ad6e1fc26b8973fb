"""Collections: what is added is found, what is asked of metadata is what is meant, and nothing that is damaged gets in."""

import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service_requests import arrow_of, as_json
from tsrep_deploy import facts, search, wire
from tsrep_deploy import vectors as vectors_of
from tsrep_deploy.engine import Engine
from tsrep_deploy.refusal import Refused
from tsrep_deploy.settings import Settings
from tsrep_deploy.vectors import Kept, Unknown, Vectors

import tsrep

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference.metadata_filter import matches

RNG = np.random.default_rng(5)
X = RNG.standard_normal((30, 3, 40)).astype(np.float32)
RAGGED = [RNG.standard_normal((3, steps)).astype(np.float32) for steps in (40, 9, 48)]
IDS = [f"w{i}" for i in range(30)]
METADATA = [{"subject": i % 5, "label": "walk" if i % 2 else "run", "seconds": i / 2} for i in range(30)]


def entries(windows, ids, metadata=None) -> dict[str, Any]:
    held = as_json(windows)["json"] | {"ids": list(ids)}
    return {"json": held if metadata is None else held | {"metadata": metadata}}


@pytest.fixture
def keeping(service, tmp_path) -> Callable[..., Any]:
    return lambda **said: service(**({"collections": str(tmp_path / "kept")} | said))


def ask(running, method: str, path: str, **request: Any) -> httpx.Response:
    return running.within(lambda client: client.request(method, f"/v1/collections{path}", **request))


def made(running, name="walks", **said):
    answer = ask(running, "PUT", f"/{name}", json=said)
    assert answer.status_code == 201, answer.text
    return answer.json()


def filled(running, name="walks", **said):
    made(running, name, **said)
    answer = ask(running, "POST", f"/{name}/windows", **entries(X, IDS, METADATA))
    assert answer.json() == {"collection": name, "added": 30, "replaced": 0, "windows": 30}


def test_a_collection_is_made_told_listed_and_deleted(keeping, model):
    running = keeping()
    assert ask(running, "GET", "").json() == {"collections": []}
    told = made(running, metric="cosine", description="walks of 2024")
    assert told["features"] == model.features and told["model"] == "small" and told["count"] == 0
    again = ask(running, "PUT", "/walks", json={"metric": "cosine", "description": "walks of 2024"})
    assert (again.status_code, again.json()) == (200, told)
    other = ask(running, "PUT", "/walks")
    assert (other.status_code, other.json()["error"]["reason"]) == (409, "exists")
    assert ask(running, "GET", "").json() == {"collections": [told]} and ask(running, "GET", "/walks").json() == told
    assert ask(running, "DELETE", "/walks").status_code == 200
    for method, path in (("GET", "/walks"), ("DELETE", "/walks"), ("POST", "/walks/windows"), ("POST", "/walks/query")):
        gone = ask(running, method, path, **as_json(X[:1]))
        assert (gone.status_code, gone.json()["error"]["reason"]) == (404, "collection")


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbours_are_those_of_comparing_all_embeddings(keeping, model, metric):
    running = keeping()
    filled(running, metric=metric)
    queries = [*RAGGED, X[4]]
    answer = ask(running, "POST", "/walks/query", json=as_json(queries)["json"] | {"k": 7}).json()
    A, B = model.embed(queries).astype(np.float64), model.embed(X).astype(np.float64)
    if metric == "cosine":
        A, B = (Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in (A, B))
        expected = 1 - A @ B.T
    else:
        expected = np.linalg.norm(A[:, None] - B[None], axis=2)
    for found, apart in zip(answer["neighbours"], expected, strict=True):
        assert [one["id"] for one in found] == [IDS[i] for i in apart.argsort()[:7]]
        np.testing.assert_allclose([one["distance"] for one in found], np.sort(apart)[:7], atol=2e-3 * expected.max())
        assert all(one["metadata"] == METADATA[IDS.index(one["id"])] for one in found)
    assert answer["neighbours"][3][0]["id"] == "w4"


def test_the_binary_forms_say_the_same_as_json(keeping):
    import pyarrow as pa

    running = keeping()
    made(running)
    column = pa.array([w.tolist() for w in X], pa.list_(pa.list_(pa.float32())))
    told = pa.array([json.dumps(one) for one in METADATA])
    body = arrow_of(pa.record_batch({"id": pa.array(IDS), "window": column, "metadata": told}))
    body["headers"]["Accept"] = "application/json"
    assert ask(running, "POST", "/walks/windows", **body).json()["added"] == 30
    expected = ask(
        running, "POST", "/walks/query", json=as_json(X[:3])["json"] | {"k": 4, "filter": {"subject": 2}}
    ).json()
    buffer = io.BytesIO()
    np.save(buffer, X[:3])
    params = {"k": 4, "filter": '{"subject": 2}'}
    headers = {"Content-Type": wire.NPY, "Accept": wire.ARROW}
    answer = ask(running, "POST", "/walks/query", content=buffer.getvalue(), params=params, headers=headers)
    rows = pa.ipc.open_stream(answer.content).read_all().to_pylist()
    flat = [{"query": q, **one} for q, found in enumerate(expected["neighbours"]) for one in found]
    assert len(rows) == 12 and [row | {"metadata": json.loads(row["metadata"])} for row in rows] == flat


def test_windows_are_replaced_and_deleted_by_their_ids(keeping):
    running = keeping()
    filled(running)
    answer = ask(running, "POST", "/walks/windows", **entries(X[1:3], ["w0", "new"], [None, {"label": "rest"}]))
    assert answer.json() == {"collection": "walks", "added": 1, "replaced": 1, "windows": 31}
    asked = as_json(X[1:2])["json"] | {"k": 2}
    first = ask(running, "POST", "/walks/query", json=asked).json()["neighbours"][0]
    assert {one["id"] for one in first} == {"w0", "w1"}
    assert next(one["metadata"] for one in first if one["id"] == "w0") == {}
    gone = ask(running, "DELETE", "/walks/windows", json={"ids": ["w1", "nobody", "w'; --"]})
    assert gone.json() == {"collection": "walks", "deleted": 1, "windows": 30}
    first = ask(running, "POST", "/walks/query", json=asked).json()["neighbours"][0]
    assert "w1" not in {one["id"] for one in first}


def test_a_restarted_service_finds_what_was_kept(keeping, tmp_path):
    filled(keeping())
    assert ask(keeping(), "GET", "/walks").json()["count"] == 30
    assert ask(keeping(collections=str(tmp_path / "other")), "GET", "/walks").status_code == 404


def test_vectors_of_another_model_are_never_compared(keeping, model):
    running = keeping()
    filled(running)
    running.shelf.put("small", Engine(model, running.settings, "small", "1"))
    for path, request in (("windows", entries(X[:1], ["a"])), ("query", as_json(X[:1]))):
        answer = ask(running, "POST", f"/walks/{path}", **request)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "identity")
    assert ask(running, "DELETE", "/walks").status_code == 200


def test_a_model_under_another_name_keeps_its_collections(keeping, model):
    filled(keeping())
    renamed = keeping(model="first,other")
    renamed.shelf.put("first", Engine(model, renamed.settings, "first", "1"))
    answer = ask(renamed, "POST", "/walks/query", **as_json(X[:1]))
    assert answer.status_code == 200 and answer.json()["neighbours"][0][0]["id"] == "w0"
    assert ask(renamed, "POST", "/walks/windows", **entries(X[:1], ["new"])).json()["added"] == 1
    assert ask(renamed, "PUT", "/walks", json={"model": "other"}).status_code == 200
    assert ask(renamed, "PUT", "/walks", json={"model": "first"}).status_code == 409


def test_a_head_or_another_name_leaves_the_identity_and_other_weights_change_it(model, folder, tmp_path):
    from tsrep_deploy.shelf import identity, version

    bare = tsrep.load(folder)
    same = tsrep.fit_head(bare, X, ["a", "b"] * 15).save(tmp_path / "same")
    assert identity(same) == identity(folder) and version(same) != version(folder)
    assert identity(tsrep.untrained(model, 9).save(tmp_path / "other")) != identity(folder)


def test_without_a_place_or_the_library_every_route_says_what_is_missing(service, keeping, monkeypatch):
    running = service()
    for method, path in (("GET", ""), ("PUT", "/a"), ("DELETE", "/a"), ("POST", "/a/windows"), ("POST", "/a/query")):
        answer = ask(running, method, path, **as_json(X[:1]))
        assert (answer.status_code, answer.json()["error"]["reason"]) == (404, "search")
        assert "--collections FOLDER" in answer.json()["error"]["message"]
    monkeypatch.setattr(search, "_installed", lambda: False)
    assert 'pip install "tsrep[search]"' in ask(keeping(), "GET", "").json()["error"]["message"]


@pytest.mark.parametrize(
    ("said", "steps", "reason"),
    [
        ({"max_collections": 1}, [("PUT", "/b", {})], "full"),
        ({"max_collection_windows": 31}, [("POST", "/a/windows", entries(X[:3], ["x", "y", "w0"]))], "full"),
        ({}, [("POST", "/a/windows", entries(X[:2], ["x", "x"]))], "ids"),
        ({}, [("POST", "/a/windows", entries(X[:2], ["x"]))], "ids"),
        ({}, [("POST", "/a/windows", entries(X[:1], [""]))], "ids"),
        ({"max_id": 5}, [("POST", "/a/windows", entries(X[:1], ["x" * 6]))], "ids"),
        ({}, [("POST", "/a/windows", entries(X[:1], [7]))], "malformed"),
        ({}, [("POST", "/a/windows", entries(X[:1], ["x"], [{"a": {"b": 1}}]))], "metadata"),
        ({}, [("POST", "/a/windows", entries(X[:1], ["x"], [{"a": [1]}]))], "metadata"),
        ({}, [("POST", "/a/windows", entries(X[:1], ["x"], [{"a": 2**60}]))], "metadata"),
        ({}, [("POST", "/a/windows", entries(X[:1], ["x"], [{"": 1}]))], "metadata"),
        ({"max_metadata_keys": 2}, [("POST", "/a/windows", entries(X[:1], ["x"], [dict.fromkeys("abc")]))], "metadata"),
        ({"max_metadata_bytes": 20}, [("POST", "/a/windows", entries(X[:1], ["x"], [{"a": "b" * 20}]))], "metadata"),
        ({}, [("POST", "/a/windows", entries(X[:1], ["x"], ["text"]))], "malformed"),
        ({}, [("POST", "/a/windows", entries(X[:1, :2], ["x"]))], "channels"),
        ({}, [("POST", "/a/windows", {"json": {"ids": [], "windows": []}})], "no_windows"),
        ({"max_windows": 2}, [("POST", "/a/windows", entries(X[:3], "xyz"))], "windows"),
        ({}, [("POST", "/a/windows", {"content": b"\x93NUMPY", "headers": {"Content-Type": wire.NPY}})], "content_type"),
        ({}, [("POST", "/a/windows", {"content": b"\xff" * 9, "headers": {"Content-Type": wire.ARROW}})], "malformed"),
        ({}, [("DELETE", "/a/windows", {"json": {"ids": []}})], "ids"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"k": 0}})], "neighbours"),
        ({"max_neighbours": 3}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"k": 4}})], "neighbours"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"k": True}})], "malformed"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"filter": {"a": {"like": "x"}}}})], "filter"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"filter": {"a": {}}}})], "filter"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"filter": {"a": {"<": None}}}})], "filter"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"filter": {"a": {"in": []}}}})], "filter"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"filter": {"a": {"=": {"=": 1}}}}})], "filter"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"where": 1}})], "malformed"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"filter": {"a": {"in": ["x"] * 65}}}})], "filter"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"filter": {k: {"in": ["x"] * 33} for k in "ab"}}})], "filter"),
        ({}, [("POST", "/a/query", {"json": as_json(X[:1])["json"] | {"filter": {"a": "x" * 4096}}})], "filter"),
        ({"max_query_windows": 2}, [("POST", "/a/query", as_json(X[:3]))], "windows"),
        ({"max_answer_bytes": 1000}, [("POST", "/a/query", {"json": as_json(X[:3])["json"] | {"k": 10}})], "answer_size"),
        ({}, [("PUT", "/b?metric=cosine", {})], "query"),
        ({}, [("GET", "?a=1", {})], "query"),
        ({}, [("GET", "/a?a=1", {})], "query"),
        ({}, [("DELETE", "/a?ids=x", {})], "query"),
        ({}, [("PUT", "/b", {"json": {"description": "x" * 2**14}})], "body_size"),
        ({"max_windows": 2, "max_id": 4}, [("DELETE", "/a/windows", {"json": {"ids": ["x" * 2000]}})], "body_size"),
        ({}, [("PUT", "/Walks", {})], "collection_name"),
        ({}, [("PUT", "/..", {})], "collection_name"),
        ({}, [("PUT", "/b", {"json": {"metric": "dot"}})], "metadata"),
        ({}, [("PUT", "/b", {"json": {"model": "nobody"}})], "unknown_model"),
        ({}, [("PATCH", "/a", {})], "method"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_changes_nothing(keeping, said, steps, reason):
    filled(keeping(), "a")  # under the limits of every day
    running = keeping(**said)
    for method, path, request in steps:
        # httpx would take the dots away, an attacker would not
        answer = ask(running, method, path.replace("..", "%2e%2e"), **request)
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.json()["error"]["reason"] == reason, answer.text
    assert [one["count"] for one in ask(running, "GET", "").json()["collections"]] == [30]


def test_many_writers_at_once_lose_nothing(keeping):
    running = keeping()
    made(running)

    async def write(client: httpx.AsyncClient) -> list[httpx.Response]:
        own = [client.post("/v1/collections/walks/windows", **entries(X[i : i + 1], [f"w{i}"])) for i in range(12)]
        same = [client.post("/v1/collections/walks/windows", **entries(X[i : i + 1], ["one"])) for i in range(6)]
        return list(await asyncio.gather(*own, *same))

    answers = running.within(write)
    assert [answer.status_code for answer in answers] == [200] * 18
    assert sum(answer.json()["added"] for answer in answers) == 13
    assert ask(running, "GET", "/walks").json()["count"] == 13


def test_every_example_of_the_document_runs_and_is_answered_as_it_says(keeping):
    import jsonschema
    import openapi_spec_validator

    running = keeping()
    told = running.get("/v1/openapi.json").json()
    openapi_spec_validator.validate(told)
    order = [
        ("put", ""),
        ("put", ""),
        ("post", "/windows"),
        ("post", "/query"),
        ("get", ""),
        ("delete", "/windows"),
        ("delete", ""),
    ]
    seen = []
    for verb, end in order:
        operation = told["paths"]["/v1/collections/{name}" + end][verb]
        name = told["components"]["parameters"]["name"]["example"]
        request = {}
        if "requestBody" in operation:
            shown = operation["requestBody"]["content"]["application/json"]
            request["json"] = shown["examples"]["example"]["value"]
            jsonschema.validate(request["json"], shown["schema"] | {"components": told["components"]})
        answer = ask(running, verb.upper(), f"/{name}{end}", **request)
        schema = operation["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), schema | {"components": told["components"]})
        seen.append((answer.status_code, answer.json()))
    assert [status for status, _ in seen] == [201, *[200] * 6]
    assert [one["id"] for one in seen[3][1]["neighbours"][0]] == ["a"]


def test_what_is_deleted_or_replaced_leaves_the_disk(keeping, tmp_path, monkeypatch):
    """One window of thirty each, which joining pieces alone would leave where it is."""
    monkeypatch.setattr(vectors_of, "OLD", timedelta(milliseconds=1))
    monkeypatch.setattr(search, "TIDIED", 0.05)
    running = keeping()
    made(running)
    told = [{"name": f"secret-{i}-"} for i in range(30)]
    ask(running, "POST", "/walks/windows", **entries(X, IDS, told))
    running.app.state.collections.warm()

    def held(text: bytes) -> bool:
        return any(text in path.read_bytes() for path in (tmp_path / "kept").rglob("*.lance") if path.is_file())

    assert held(b"secret-3-") and held(b"secret-4-")
    assert ask(running, "DELETE", "/walks/windows", json={"ids": ["w3"]}).json()["deleted"] == 1
    assert ask(running, "POST", "/walks/windows", **entries(X[:1], ["w4"], [{"name": "other"}])).json()["replaced"] == 1
    end = time.monotonic() + 10
    while (held(b"secret-3-") or held(b"secret-4-")) and time.monotonic() < end:
        time.sleep(0.05)
    assert not held(b"secret-3-") and not held(b"secret-4-") and held(b"secret-5-")
    answer = ask(running, "POST", "/walks/query", json=as_json(X[5:6])["json"] | {"k": 100}).json()["neighbours"][0]
    assert len(answer) == 29 and answer[0] == {"id": "w5", "distance": answer[0]["distance"], "metadata": told[5]}


def test_a_collection_that_is_deleted_while_it_is_used_is_unknown(tmp_path):
    import shutil

    held = Vectors(str(tmp_path))
    queries = np.zeros((2, 2), np.float32)

    def gone() -> bool:
        shutil.rmtree(tmp_path / "a.lance")
        return False

    uses = [
        lambda table: held.put("a", ["y"], queries[:1], ["{}"], ["|"]),
        lambda table: held.remove("a", ["x"]),
        lambda table: held.nearest("a", queries, "euclidean", 1, None, over=gone),
    ]
    for use in uses:
        held.create("a", Kept("m", "0", "euclidean", 2))
        held.put("a", ["x"], queries[:1], ["{}"], ["|"])
        real = held._on
        if use is not uses[-1]:

            def late(name, work, real=real):
                return real(name, lambda table: (gone(), work(table))[1])

            held._on = late
        with pytest.raises(Unknown):
            use(None)
        held._on = real


def test_what_vanishes_or_is_made_again_between_two_looks_is_no_failure(keeping, monkeypatch):
    running = keeping()
    filled(running)
    seen, names = iter([["vanished", "walks"]]), Vectors.names
    monkeypatch.setattr(Vectors, "names", lambda self: next(seen, None) or names(self))
    assert [one["name"] for one in ask(running, "GET", "").json()["collections"]] == ["walks"]
    monkeypatch.undo()
    real = Vectors.kept

    def again(self, name):
        kept = real(self, name)
        self.drop(name)
        self.create(name, Kept(kept.model, "another", kept.metric, 2))
        return kept

    monkeypatch.setattr(Vectors, "kept", again)
    answer = ask(running, "POST", "/walks/query", **as_json(X[:1]))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "identity")


@pytest.mark.parametrize(("metric", "scale"), [("euclidean", 1e22), ("cosine", 1e22), ("cosine", 0.0)])
def test_an_embedding_that_does_not_compare_is_neither_kept_nor_asked_for(keeping, metric, scale, monkeypatch):
    running = keeping()
    filled(running, metric=metric)
    real = Engine.embed

    async def other(self, blocks, pool):
        return await real(self, blocks, pool) * np.array([[1.0], [scale]], np.float32)

    monkeypatch.setattr(Engine, "embed", other)
    for path, request in (("windows", entries(X[:2], "xy")), ("query", as_json(X[:2]))):
        answer = ask(running, "POST", f"/walks/{path}", **request)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (422, "overflow")
        assert "window 1" in answer.json()["error"]["message"]
    assert ask(running, "GET", "/walks").json()["count"] == 30


def test_a_query_that_is_given_up_is_not_searched_on_and_others_are_told_meanwhile(keeping, monkeypatch):
    running = keeping(timeout=1)
    filled(running)
    begun, let, real = [], threading.Event(), Vectors.nearest

    def slow(self, name, queries, *said):
        over = said[-1]

        def watched() -> bool:
            begun.append(over())
            let.wait(10)
            return over()

        return real(self, name, queries, *said[:-1], watched)

    monkeypatch.setattr(Vectors, "nearest", slow)

    async def together(client: httpx.AsyncClient) -> list[httpx.Response]:
        asked = [client.post("/v1/collections/walks/query", **as_json(X[:5])) for _ in range(3)]
        told = asyncio.create_task(asyncio.wait_for(client.get("/v1/collections/walks"), 0.9))
        return [await told, *await asyncio.gather(*asked)]

    # The collection must be told of before the first query's time is over, though every thread that searches is busy.
    told, *queries = running.within(together)
    let.set()
    running.app.state.collections._searchers.shutdown(wait=True)
    assert told.status_code == 200 and [answer.status_code for answer in queries] == [504] * 3
    assert begun == [False, False]  # one look of each thread: neither the next windows nor the third query are searched


KEYS = st.sampled_from(["a", "b", "|sa=", "ключ", "x' or '1'='1", "a\x00b"])
TEXT = st.text(max_size=6) | st.sampled_from(
    ["", "walk", "walkx", "|", "%", "'; drop table walks; --", "é", "z", "𝄞", "\uffff"]
)
NUMBERS = (
    st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -0.0, 1, 1.0, 5e-324])
)
VALUES = st.none() | st.booleans() | NUMBERS | TEXT
ORDERED = st.sampled_from(facts.ORDER)
ASKED = st.dictionaries(
    KEYS,
    VALUES | st.dictionaries(ORDERED, NUMBERS, min_size=1) | st.dictionaries(ORDERED, TEXT, min_size=1)
    | st.fixed_dictionaries({"in": st.lists(VALUES, min_size=1, max_size=4)}),
    max_size=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> Vectors:
    return Vectors(str(tmp_path_factory.mktemp("vectors")))


@settings(max_examples=12, deadline=None)
@given(
    metadata=st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=8, max_size=16),
    several=st.lists(ASKED, min_size=8, max_size=8),
)
def test_a_filter_means_what_its_slow_twin_says(vectors, metadata, several):
    name, ids = "twin", [f"{i}'\"\\\n" for i in range(len(metadata))]  # ids are any text
    if name in vectors.names():
        vectors.drop(name)
    vectors.create(name, Kept("m", "0", "euclidean", 2))
    known = [facts.facts(facts.checked(one, Settings(), "")) for one in metadata]
    vectors.put(name, ids, np.zeros((len(ids), 2), np.float32), ["{}"] * len(ids), known)
    assert vectors.new(name, [*ids, "other"]) == 1
    for asked in several:
        condition = facts.condition(asked, Settings())
        found = vectors.nearest(name, np.zeros((1, 2), np.float32), "euclidean", 100, condition)[0]
        expected = [i for i, one in zip(ids, metadata, strict=True) if matches(one, asked)]
        assert sorted(one.id for one in found) == sorted(expected)
    assert vectors.remove(name, ids[:1]) == 1 and vectors.count(name) == len(ids) - 1


@given(asked=ASKED)
def test_nothing_of_a_client_stands_in_a_condition_but_hexadecimal_digits(asked):
    condition = facts.condition(asked, Settings()) or ""
    quoted = condition.split("'")[1::2]
    assert all(set(text) <= set("0123456789abcdefstnx|=") for text in quoted)
    words = set("".join(condition.split("'")[::2]).replace("(", " ").replace(")", " ").replace(",", " ").split())
    assert words <= {"and", "or", "not", "contains", "split_part", "facts", "2", "1", "<", "<=", ">", ">="}


@given(one=NUMBERS, other=NUMBERS)
def test_the_digits_of_numbers_sort_as_the_numbers_do(one, other):
    a, b = (facts._digits(float(x)) for x in (one, other))
    assert (a < b, a == b) == (float(one) < float(other), float(one) == float(other))


def test_two_handles_see_what_the_other_commits_and_the_same_id_is_kept_once(tmp_path):
    one, other = (Vectors(str(tmp_path / "kept")) for _ in range(2))
    with pytest.raises(Unknown):
        other.count("a")
    assert one.create("a", Kept("m", "0", "euclidean", 2)) and not other.create("a", Kept("m", "0", "euclidean", 2))
    for handle, value in ((one, 1.0), (other, 2.0), (one, 3.0)):
        handle.put("a", ["same"], np.full((1, 2), value, np.float32), ["{}"], ["|"])
    assert one.count("a") == other.count("a") == 1
    assert other.nearest("a", np.full((1, 2), 3.0, np.float32), "euclidean", 1, None)[0][0].distance == 0
    one.drop("a")
    assert other.names() == []


def test_metadata_that_can_not_be_compared_is_refused():
    for value in (float("inf"), float("nan"), 2**53 + 1, [], {}):
        with pytest.raises(Refused):
            facts.checked({"a": value}, Settings(), "")
