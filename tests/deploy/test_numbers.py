"""What the routes offer beside the plain embedding: other numbers, fewer of them, similarity, classes."""

import io
from dataclasses import replace

import numpy as np
import pytest
from service_requests import FORMS, as_arrow, as_json, as_npy, embeddings_of
from tsrep_deploy import wire
from tsrep_deploy.engine import Engine
from tsrep_deploy.numbers import restored

X = np.random.default_rng(31).standard_normal((4, 3, 40)).astype(np.float32)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pool", [None, "rich"])
def test_half_and_one_byte_numbers_are_near_the_models_and_say_their_scale(service, model, form, pool):
    query = {"pool": pool} if pool else {}
    local, running = model.embed(X, pool), service()
    half = embeddings_of(running.post(**FORMS[form](X), params=query | {"dtype": "float16"}))
    np.testing.assert_array_equal(np.array(half), local.astype(np.float16).astype(np.float32))
    answer = running.post(**FORMS[form](X), params=query | {"dtype": "int8"})
    q, scale = coded(answer)
    assert np.abs(q).max(axis=1).tolist() == [127] * 4  # the whole byte is used
    assert (np.abs(restored(q, scale) - local) <= scale[:, None] * 0.5001).all()
    assert np.abs(restored(q, scale) - local).max() > 0


def coded(answer) -> tuple[np.ndarray, np.ndarray]:
    """int8 and scales of an answer."""
    assert answer.status_code == 200, answer.text
    form = answer.headers["content-type"]
    if form == wire.JSON:
        held = answer.json()
        assert held["dtype"] == "int8"
        return np.array(held["embeddings"]), np.array(held["scale"], np.float32)
    if form == wire.NPY:
        held = np.load(io.BytesIO(answer.content), allow_pickle=False)
        assert held["embedding"].dtype == np.int8
        return held["embedding"].astype(int), held["scale"]
    import pyarrow as pa

    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.schema.field("embedding").type.value_type == pa.int8()
    return np.array(table.column("embedding").to_pylist()), np.array(table.column("scale").to_pylist(), np.float32)


def test_dimensions_are_the_first_numbers(service, model):
    found = embeddings_of(service().post(**as_npy(X), params={"dimensions": 5}))
    np.testing.assert_allclose(found, model.embed(X)[:, :5], rtol=1e-6, atol=1e-6)
    steps = embeddings_of(service().post(**as_arrow(X), url="/v1/steps", params={"dimensions": 2, "dtype": "float16"}))
    np.testing.assert_array_equal(steps, model.embed(X, "steps")[:, :2].astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(
    ("url", "params", "reason"),
    [
        ("/v1/embed", {"dtype": "float64"}, "dtype"),
        ("/v1/steps", {"dtype": "int8"}, "dtype"),
        ("/v1/embed", {"dimensions": "0"}, "dimensions"),
        ("/v1/embed", {"dimensions": "17"}, "dimensions"),
        ("/v1/embed", {"dimensions": "1" * 5000}, "dimensions"),
        ("/v1/embed", {"dimensions": "²"}, "dimensions"),
        ("/v1/embed", {"pool": "steps"}, "pool"),
        ("/v1/embed", {"dimension": "3"}, "query"),
        ("/v1/steps", {"pool": "max"}, "query"),
        ("/v1/embed", {"model": "other"}, "unknown_model"),
        ("/v1/models/small/embed", {"model": "other"}, "query"),
        ("/v1/similarity", {}, "two_windows"),
    ],
)
def test_a_query_that_can_not_be_met_is_refused(service, url, params, reason):
    answer = service().post(**as_json(X), url=url, params=params)
    assert answer.json()["error"]["reason"] == reason
    assert answer.status_code == (404 if reason == "unknown_model" else 422)


def test_similarity_of_two_windows(service, model):
    told = service().post(**as_json([X[0], X[1][:, :9]]), url="/v1/similarity", params={"pool": "mean"}).json()
    one, other = model.embed([X[0], X[1][:, :9]], "mean").astype(float)
    assert told["cosine"] == pytest.approx(one @ other / np.linalg.norm(one) / np.linalg.norm(other), abs=1e-6)
    assert told["euclidean"] == pytest.approx(np.linalg.norm(one - other), abs=1e-5)
    same = service().post(**as_json([X[0], X[0]]), url="/v1/similarity").json()
    assert (same["cosine"], same["euclidean"]) == (pytest.approx(1), 0)


def test_the_beginning_of_an_embedding_that_float16_can_not_hold_is_refused():
    from tsrep_deploy.numbers import sent
    from tsrep_deploy.refusal import Refused

    with pytest.raises(Refused, match="65504"):
        sent(np.array([[1e6, 1.0]], np.float32), "float16", 2)
    assert sent(np.zeros((1, 4), np.float32), "int8", 4).scale.tolist() == [0.0]


@pytest.mark.parametrize("form", FORMS)
def test_classes_are_those_of_the_models_head(service, model, form):
    answer = service().post(**FORMS[form](X), url="/v1/classify")
    assert answer.status_code == 200, answer.text
    expected = model.head(model.embed(X, "mean"))
    if form == "json":
        held = answer.json()
        assert held["classes"] == ["0", "1", "2"]
        found, label = held["probability"], held["label"]
    elif form == "npy":
        found, label = np.load(io.BytesIO(answer.content), allow_pickle=False), None
    else:
        import pyarrow as pa

        held = pa.ipc.open_stream(answer.content).read_all().to_pydict()
        found, label = held["probability"], held["label"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert label is None or label == [str(i) for i in expected.argmax(axis=1)]


def test_a_model_without_a_head_says_so(service, model):
    running = service()
    running.shelf.put("small", Engine(replace(model, head=None), running.settings, "small"))
    answer = running.post(**as_json(X), url="/v1/classify")
    assert (answer.status_code, answer.json()["error"]["reason"]) == (404, "head")
