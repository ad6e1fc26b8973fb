"""What is served is what `model.embed` gives, in every form, whatever else is in the batch."""

from typing import Any

import numpy as np
import pytest
from service_requests import FORMS, arrow_of, as_arrow, as_json, as_npy, embeddings_of

from tsrep.pools import WIDTHS

TOLERANCE = 1e-6
RNG = np.random.default_rng(7)
EQUAL = RNG.standard_normal((5, 3, 40)).astype(np.float32)
RAGGED = [RNG.standard_normal((3, steps)).astype(np.float32) for steps in (40, 7, 48, 1, 129, 33, 40, 8, 9)]


def close(served: Any, local: Any) -> None:
    assert len(served) == len(local)
    for one, other in zip(served, local, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE)
    assert max(np.nanmax(np.abs(one)) for one in served) > 0.01


@pytest.mark.parametrize("pool", [None, "max", "mean", "last", "rich", "steps"])
@pytest.mark.parametrize("form", FORMS)
def test_equal_windows_are_embedded_as_by_the_model(service, model, form, pool):
    query = {"url": "/v1/steps"} if pool == "steps" else {"params": {"pool": pool}} if pool else {}
    close(embeddings_of(service().post(**FORMS[form](EQUAL), **query)), model.embed(EQUAL, pool))


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_windows_of_unequal_length_are_embedded_as_by_the_model(service, model, form):
    close(embeddings_of(service().post(**FORMS[form](RAGGED))), model.embed(RAGGED))


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_steps_of_unequal_windows_are_as_many_as_the_windows_have(service, model, form):
    served = embeddings_of(service().post(**FORMS[form](RAGGED), url="/v1/steps"))
    local = model.embed(RAGGED, "steps")
    close(served, [local[row, :, : window.shape[1]] for row, window in enumerate(RAGGED)])


def test_npy_of_unequal_steps_ends_in_nan_as_the_model_gives_it(service, model):
    request = as_json(RAGGED) | {"headers": {"Accept": "application/x-npy"}, "url": "/v1/steps"}
    close(embeddings_of(service().post(**request)), model.embed(RAGGED, "steps"))


@pytest.mark.parametrize("form", FORMS)
def test_missing_values_are_missing(service, model, form):
    X = EQUAL.copy()
    X[0, :, :6] = np.nan  # before its beginning
    X[1, :, 30:] = np.nan  # behind its end
    X[2, 1] = np.nan  # a channel
    X[3, 0, 5:9] = np.nan  # a gap
    close(embeddings_of(service().post(**FORMS[form](X))), model.embed(X))
    steps = embeddings_of(service().post(**FORMS[form](X), url="/v1/steps"))
    close(steps, model.embed(X, "steps"))
    assert np.isnan(steps[0][:, :6]).all()
    assert np.isfinite(steps[3]).all()


@pytest.mark.parametrize("kind", [">f4", "<f8", "<f2", "<i2", "|u1", "<i8"])
def test_npy_takes_every_kind_of_real_number(service, model, kind):
    X = (EQUAL * 20 + 100).astype(kind)
    close(embeddings_of(service().post(**as_npy(X))), model.embed(X.astype(np.float32)))


def test_npy_in_fortran_order_is_read_in_its_order(service, model):
    close(embeddings_of(service().post(**as_npy(np.asfortranarray(EQUAL)))), model.embed(EQUAL))


@pytest.mark.parametrize("kind", ["fixed", "large", "double", "half"])
def test_arrow_takes_every_kind_of_list(service, model, kind):
    import pyarrow as pa

    kinds = {
        "fixed": pa.list_(pa.list_(pa.float32(), 40), 3),
        "large": pa.large_list(pa.large_list(pa.float32())),
        "double": pa.list_(pa.list_(pa.float64())),
        "half": pa.list_(pa.list_(pa.float16())),
    }
    X = EQUAL.astype(np.float16).astype(np.float32)
    column = pa.array(
        [[list(steps) for steps in w] for w in X.astype(np.float16 if kind == "half" else float)], kinds[kind]
    )
    close(embeddings_of(service().post(**arrow_of(pa.record_batch({"window": column})))), model.embed(X))


def test_arrow_may_come_in_several_batches(service, model):
    import pyarrow as pa

    column = pa.array([w.tolist() for w in RAGGED], pa.list_(pa.list_(pa.float32())))
    batches = pa.table({"window": column}).to_batches(max_chunksize=2)
    close(embeddings_of(service().post(**arrow_of(*batches))), model.embed(RAGGED))


def test_the_answer_has_the_form_that_is_accepted(service, model):
    for accept, form in {
        "": "application/json",
        "*/*": "application/json",
        "application/x-npy": "application/x-npy",
        "text/html, application/x-npy;q=0.5, application/json;q=0.4": "application/x-npy",
        "application/json;q=0, application/*": "application/json",
    }.items():
        answer = service().post(**as_npy(EQUAL) | {"headers": {"Content-Type": "application/x-npy", "Accept": accept}})
        assert answer.headers["content-type"] == form
        close(embeddings_of(answer), model.embed(EQUAL))


def test_json_tells_what_it_holds(service, model):
    held = service().post(**as_json(EQUAL[:2]), params={"pool": "mean"}).json()
    assert {key: held[key] for key in ("model", "pool", "features")} == {
        "model": "small",
        "pool": "mean",
        "features": model.features,
    }
    assert len(held["embeddings"]) == 2


def test_rich_embeddings_are_offered_and_their_width_is_told(service, model):
    held = service().post(**as_json(EQUAL[:2]), params={"pool": "rich"}).json()
    assert held["features"] == len(held["embeddings"][0]) == 4 * model.features
    assert "rich" in service().within(lambda client: client.get("/v1/info")).json()["pools"]


@pytest.mark.parametrize("pool", WIDTHS)
def test_every_pool_of_the_model_is_a_pool_of_the_service(service, pool):
    assert service().post(**as_json(EQUAL[:1]), params={"pool": pool}).status_code == 200


def test_many_requests_of_mixed_shapes_at_once_all_get_their_own(service, model):
    requests, local = [], []
    for number in range(60):
        windows = [
            w * (1 + 0.1 * number) for w in (RAGGED[number % 9 :][:3] if number % 3 else list(EQUAL[: 1 + number % 5]))
        ]
        form = [as_json, as_arrow, as_npy if number % 3 == 0 else as_json][number % 3 - 1]
        requests.append(form(windows))
        local.append(model.embed(windows))
    for answer, expected in zip(service(batch=8).ask(*requests), local, strict=True):
        close(embeddings_of(answer), expected)


def test_a_large_request_is_cut_into_batches_and_joined_again(service, model):
    X = RNG.standard_normal((50, 3, 20)).astype(np.float32)
    close(embeddings_of(service(batch=7).post(**as_npy(X))), model.embed(X))


def test_info_says_what_a_client_must_know(service, model):
    told = service(max_windows=5).within(lambda client: client.get("/v1/info")).json()
    assert told["channels"] == list(model.data.channels)
    assert (told["length"], told["features"], told["rate"]) == (model.data.length, model.features, model.data.rate)
    assert (told["method"]["name"], told["encoder"]["name"], told["encoder"]["hidden"]) == ("ts2vec", "dilated", 8)
    assert told["limits"]["max_windows"] == 5
    assert {"torch", "tsrep", "bentoml"} <= told["versions"].keys()
    assert told["card"].startswith("# ts2vec")
