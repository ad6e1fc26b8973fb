"""The client gives what the model gives, says what was refused, and tries again when it is worth it."""

import asyncio
import subprocess
import sys

import httpx
import numpy as np
import pytest
from tsrep_deploy.app import make_app
from tsrep_deploy.engine import Engine
from tsrep_deploy.settings import Settings
from tsrep_deploy.shelf import Shelf

import tsrep
from tsrep.integrations import client as module
from tsrep.integrations.client import AsyncClient, Client, Retry, ServiceError

RNG = np.random.default_rng(3)
X = RNG.standard_normal((7, 3, 40)).astype(np.float32)
RAGGED = [RNG.standard_normal((3, steps)).astype(np.float32) for steps in (40, 9, 30)]


class Served(httpx.BaseTransport):
    """The application as a transport for the sync client too."""

    def __init__(self, app) -> None:
        self.app = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def handle():
            answer = await self.app.handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(handle())


@pytest.fixture(scope="module")
def model():
    encoder = {"name": "dilated", "hidden": 8, "depth": 2, "features": 16}
    fitted = tsrep.fit_forecaster(tsrep.fit(X, encoder=encoder, training={"steps": 2}), X, 3, window=8)
    return tsrep.fit_head(fitted, X, list("abcabca"))


@pytest.fixture
def app(model):
    settings = Settings(model="a=x,b=x", log="none", max_windows=4)
    shelf = Shelf(settings)
    for name in shelf.names:
        shelf.put(name, Engine(model, settings, name))
    yield make_app(settings, shelf)
    shelf.close()


@pytest.fixture
def searched(model, tmp_path):
    """An application that keeps collections."""
    settings = Settings(model="a=x,b=x", log="none", max_windows=4, collections=str(tmp_path / "kept"))
    shelf = Shelf(settings)
    for name in shelf.names:
        shelf.put(name, Engine(model, settings, name))
    app = make_app(settings, shelf)
    yield app
    app.state.collections.close()
    shelf.close()


@pytest.fixture
def client(app):
    with Client("http://service", transport=Served(app), batch=3) as client:
        yield client


def test_embeddings_are_those_of_the_model_in_parts_too(client, model):
    np.testing.assert_allclose(client.embed(X), model.embed(X), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(client.embed(RAGGED, "mean"), model.embed(RAGGED, "mean"), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(client.embed(tsrep.as_panel(X)), model.embed(X), rtol=1e-6, atol=1e-6)
    few = client.embed(X, dtype="int8", dimensions=5)
    assert few.shape == (7, 5) and few.dtype == np.float32
    np.testing.assert_allclose(few, model.embed(X)[:, :5], atol=np.abs(few).max() / 200)
    half = client.embed(X, dtype="float16")
    np.testing.assert_array_equal(half, model.embed(X).astype(np.float16).astype(np.float32))


def test_steps_similarity_and_info(client, model):
    local = model.embed(RAGGED, "steps")
    for row, one in enumerate(client.steps(RAGGED)):
        np.testing.assert_allclose(one, local[row][:, : RAGGED[row].shape[1]], rtol=1e-6, atol=1e-6)
    assert client.similarity(X[0], X[0]).euclidean == 0
    assert -1 <= client.similarity(X[0], RAGGED[1]).cosine < 1
    assert client.info()["features"] == 16


def test_classes_are_those_of_the_head(client, model):
    said = client.classify(X)
    np.testing.assert_allclose(said.probability, model.head(model.embed(X)), atol=1e-6)
    assert said.label == tuple(said.classes[i] for i in said.probability.argmax(axis=1))


def test_forecasts_are_those_of_the_head(client, model):
    head, padded = model.forecaster, tsrep.as_panel(RAGGED).values
    expected = head(model.embed(RAGGED, head.pool), head.last(padded))
    np.testing.assert_allclose(client.forecast(RAGGED), expected, rtol=1e-4, atol=1e-5)
    assert expected.shape == (3, 3, 3) and client.info()["forecast"]["horizon"] == 3


def test_the_async_client_gives_the_same(app, model):
    async def scene():
        async with AsyncClient("http://service", model="b", transport=httpx.ASGITransport(app), batch=3) as client:
            both = await asyncio.gather(client.embed(X), client.steps(RAGGED))
            assert (await client.forecast(X)).shape == (7, 3, 3)
            return *both, await client.similarity(X[0], X[1]), await client.info()

    embedded, steps, similarity, info = asyncio.run(scene())
    np.testing.assert_allclose(embedded, model.embed(X), rtol=1e-6, atol=1e-6)
    assert [one.shape[1] for one in steps] == [40, 9, 30]
    assert (similarity.model, info["model"]) == ("b", "b")


def test_a_collection_is_made_filled_asked_and_deleted(searched, model):
    ids, told = [f"w{i}" for i in range(7)], [{"place": i % 2, "name": f"ü{i}"} for i in range(7)]
    with Client("http://service", transport=Served(searched), batch=3, model="b") as client:
        made = client.create_collection("walks", metric="cosine", description="few")
        assert (made.model, made.metric, made.count, made.features) == ("b", "cosine", 0, model.features)
        assert client.add("walks", ids, X, told) == 7 and client.add("walks", ids[:2], X[:2], told[:2]) == 0
        assert client.collection("walks").count == 7 and [one.name for one in client.collections()] == ["walks"]
        found = client.query("walks", X, k=2, where={"place": 1})
        assert len(found) == 7 and all(len(each) == 2 for each in found)
        assert [each[0].id for each in found[1::2]] == ids[1::2] and found[3][0].metadata == told[3]
        assert client.delete("walks", ids[:4]) == 4 and client.query("walks", X[:1], where={"place": 7}) == [[]]
        with pytest.raises(ServiceError, match="another metric") as error:
            client.create_collection("walks")
        assert error.value.status == 409
        with pytest.raises(ValueError, match="ids of each of 7 windows, got 2"):
            client.add("walks", ids[:2], X)
        made = client.create_collection("walks", metric="cosine", description="another")
        assert (made.description, made.count) == ("few", 3)  # it is there and stays as it is
        client.delete_collection("walks")
        assert client.collections() == []


def test_a_name_that_is_none_reaches_no_other_collection(searched):
    with Client("http://service", transport=Served(searched)) as client:
        client.create_collection("walks")
        for name in ("e/../walks", "../collections/walks", "..", "walks?x=1", "walks#x", "walks/", "e%2F..%2Fwalks"):
            for ask in (client.collection, client.delete_collection, lambda name: client.delete(name, ["a"])):
                with pytest.raises(ServiceError) as error:
                    ask(name)
                assert error.value.status in (404, 422)
        assert [one.name for one in client.collections()] == ["walks"]


def test_what_can_not_be_sent_to_a_collection_is_told_before_anything_is_sent(searched):
    with Client("http://service", transport=Served(searched), batch=1) as client:
        client.create_collection("walks")
        for wrong, kind, words in (
            ({"ids": ["a", 1]}, TypeError, r"ids to be texts, got 1 \(int\)"),
            ({"metadata": [None, {"x": float("nan")}]}, ValueError, "finite numbers in metadata of window 1"),
            ({"metadata": [None, {"x": np.float32("inf")}]}, ValueError, "finite numbers in metadata of window 1"),
            (
                {"metadata": [None, {"x": object()}]},
                TypeError,
                "texts, numbers, truths and None in metadata of window 1",
            ),
        ):
            given = {"ids": ["a", "b"], "metadata": None} | wrong
            with pytest.raises(kind, match=words):
                client.add("walks", given["ids"], X[:2], given["metadata"])
        assert client.collection("walks").count == 0
        with pytest.raises(TypeError, match="ids to be texts"):
            client.delete("walks", [1])
        with pytest.raises(ValueError, match="finite numbers in the filter"):
            client.query("walks", X[:1], where={"x": float("nan")})
        numbers = {"x": np.float32(0.5), "n": np.int64(3), "on": np.bool_(True), "name": np.str_("ü")}
        assert client.add("walks", np.array(["a"]), X[:1], [numbers]) == 1
        ((found,),) = client.query("walks", X[:1], where={"n": np.int64(3)})
        assert found.metadata == {"x": 0.5, "n": 3, "on": True, "name": "ü"}


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_deletion_whose_answer_was_lost_is_done_when_it_is_tried_again(kind):
    def delete(*statuses):
        transport, left = answering(*statuses)
        client = kind("http://x", transport=transport, retry=Retry(4, 0.0))
        made = client.delete_collection("walks")
        if made is not None:
            asyncio.run(made)
        assert left == []

    delete(0, 404)
    delete(504, 404)
    for statuses in ([404], [429, 404], [503, 404]):  # it was not there before either
        with pytest.raises(ServiceError) as error:
            delete(*statuses)
        assert error.value.status == 404


def test_the_async_client_searches_too(searched):
    async def scene():
        async with AsyncClient("http://service", transport=httpx.ASGITransport(searched), batch=3) as client:
            await client.create_collection("walks")
            added = await client.add("walks", list("abcdefg"), X)
            found = await client.query("walks", X[:4], k=1)
            gone = await client.delete("walks", ["a"])
            left = await client.collection("walks")
            names = [one.name for one in await client.collections()]
            await client.delete_collection("walks")
            return added, [each[0].id for each in found], gone, left.count, names

    assert asyncio.run(scene()) == (7, list("abcd"), 1, 6, ["walks"])


def test_a_refusal_is_an_error_with_its_reason_and_is_not_tried_again(client):
    with pytest.raises(ServiceError, match="expected 3 channels") as error:
        client.embed(X[:, :2])
    assert (error.value.status, error.value.reason, len(error.value.request_id)) == (422, "channels", 32)
    with pytest.raises(ServiceError, match="at least one window"):
        client.embed(X[:0])


def answering(*statuses: int, after: str | None = None):
    """A transport that answers with these statuses in turn, 0 being no answer; and the statuses that are left."""
    left = list(statuses)

    def handle(request: httpx.Request) -> httpx.Response:
        status = left.pop(0)
        if status == 0:
            raise httpx.ConnectError("refused")
        if status == 200:
            return httpx.Response(200, json={"features": 1})
        body = {"error": {"reason": "queue_full", "message": "full"}}
        return httpx.Response(status, json=body, headers={"Retry-After": after} if after else {})

    return httpx.MockTransport(handle), left


def test_what_may_succeed_later_is_tried_again_and_not_sooner_than_asked(monkeypatch):
    waited = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    transport, left = answering(429, 503, 0, 504, 200, after="2")
    assert Client("http://x", transport=transport).info() == {"features": 1}
    assert left == []
    assert [wait >= 2 for wait in waited] == [True, True, False, True]
    assert 0.2 <= waited[2] <= 0.4  # the third wait of its own: half of 0.4 s, or more


def test_it_gives_up_in_the_end(monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    transport, left = answering(*[429] * 10)
    with pytest.raises(ServiceError, match="full") as error:
        Client("http://x", transport=transport, retry=Retry(2)).info()
    assert (error.value.status, len(left)) == (429, 7)
    transport, left = answering(*[0] * 3)
    assert not Client("http://x", transport=transport).ready()
    assert len(left) == 2


def test_something_else_at_the_address_is_told():
    transport = httpx.MockTransport(lambda request: httpx.Response(404, text="<html>not here"))
    with pytest.raises(ServiceError, match="not here"):
        Client("http://x", transport=transport).info()


def test_the_client_needs_no_torch():
    code = (
        "import sys, numpy as np\nfrom tsrep.integrations.client import Client\n"
        "from tsrep.integrations.client_calls import as_windows, arrow_stream\n"
        "Client('http://x'); arrow_stream(as_windows(np.zeros((1, 2, 3), 'f4'))); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
