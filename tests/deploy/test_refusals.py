"""Every bad request gets the status that means what it is, with what was expected and what came, and harms nobody."""

import asyncio
import io
import pickle
import struct

import numpy as np
import pytest
from service_requests import arrow_of, as_arrow, as_json, as_npy, embeddings_of
from tsrep_deploy.settings import Settings

import tsrep

GOOD = np.random.default_rng(3).standard_normal((2, 3, 40)).astype(np.float32)
JSON = {"Content-Type": "application/json"}


def text(content: str) -> dict:
    return {"content": content, "headers": JSON}


def npy(shape: str, kind: str = "'<f4'", data: bytes = b"") -> dict:
    """A body with this header, true or not."""
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data
    return {"content": content, "headers": {"Content-Type": "application/x-npy"}}


def pickled() -> dict:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    return {"content": file.getvalue(), "headers": {"Content-Type": "application/x-npy"}}


def changed(values: dict[tuple[int, ...], float], **request: object) -> np.ndarray:
    X = GOOD.copy()
    for place, value in values.items():
        X[place] = value
    return X


BAD = {
    "no content type": (415, "content_type", {"content": b"{}"}),
    "text": (415, "content_type", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
    "pickle": (
        415,
        "content_type",
        {"content": pickle.dumps([1]), "headers": {"Content-Type": "application/vnd.bentoml+pickle"}},
    ),
    "gzip": (415, "content_encoding", {"content": b"x", "headers": JSON | {"Content-Encoding": "gzip"}}),
    "html wanted": (406, "accept", as_json(GOOD) | {"headers": {"Accept": "text/html"}}),
    "json forbidden": (406, "accept", as_json(GOOD) | {"headers": {"Accept": "application/json;q=0"}}),
    "unknown pool": (422, "pool", as_json(GOOD) | {"params": {"pool": "median"}}),
    "empty body": (422, "malformed", text("")),
    "not json": (422, "malformed", text('{"windows": [[[1, 2')),
    "not utf-8": (422, "malformed", {"content": b'{"windows": "\xff"}', "headers": JSON}),
    "deep json": (422, "malformed", text("[" * 100_000)),
    "a list": (422, "malformed", text("[[[1.0]]]")),
    "no windows key": (422, "malformed", text("{}")),
    "another key": (422, "malformed", text('{"windows": [[[1], [2], [3]]], "pool": "max"}')),
    "text for a number": (422, "malformed", text('{"windows": [[["1"], [2], [3]]]}')),
    "truth for a number": (422, "malformed", text('{"windows": [[[true], [2], [3]]]}')),
    "one axis less": (422, "malformed", text('{"windows": [[1, 2, 3]]}')),
    "a huge integer": (422, "infinite", text('{"windows": [[[1' + "0" * 400 + "], [2], [3]]]}")),
    "an endless integer": (422, "malformed", text('{"windows": [[[1' + "0" * 5000 + "], [2], [3]]]}")),
    "no window": (422, "no_windows", text('{"windows": []}')),
    "no channel": (422, "channels", text('{"windows": [[]]}')),
    "no step": (422, "shape", text('{"windows": [[[], [], []]]}')),
    "ragged channels": (422, "shape", text('{"windows": [[[1], [2, 3], [4]]]}')),
    "two channels": (422, "channels", as_json(GOOD[:, :2])),
    "infinity": (422, "infinite", text('{"windows": [[[1], [Infinity], [4]]]}')),
    "too large for float32": (422, "infinite", text('{"windows": [[[1], [1e39], [4]]]}')),
    "all missing": (422, "all_missing", text('{"windows": [[[1], [2], [3]], [[null], [NaN], [null]]]}')),
    "overflow": (422, "overflow", as_npy(changed({(1, 0, 3): 3e38, (1, 1, 3): -3e38, (1, 2, 3): 3e38}))),
    "npy of objects": (422, "malformed", pickled()),
    "npy of text": (422, "malformed", as_npy(np.array([[["a"]]]))),
    "npy of truths": (422, "malformed", as_npy(GOOD > 0)),
    "npy of complex": (422, "malformed", as_npy(GOOD + 1j)),
    "npy of records": (422, "malformed", npy("(1, 3, 1)", "[('a', '<f4')]", b"\0" * 12)),
    "npy of two axes": (422, "shape", as_npy(GOOD[0])),
    "npy of other channels": (422, "channels", as_npy(GOOD[:, :1])),
    "npy infinite": (422, "infinite", as_npy(changed({(1, 2, 3): np.inf}))),
    "npy all missing": (422, "all_missing", as_npy(changed({(0,): np.nan}))),
    "npy without magic": (422, "malformed", {"content": b"NUMPY", "headers": {"Content-Type": "application/x-npy"}}),
    "npy that promises more": (422, "malformed", npy("(2, 3, 40)", data=b"\0" * 100)),
    "npy that promises everything": (422, "malformed", npy("(1000, 1000000, 1000000000)")),
    "npy that holds more": (422, "malformed", npy("(1, 3, 1)", data=b"\0" * 13)),
    "npy of negative size": (422, "shape", npy("(-1, 3, 40)")),
    "npy of endless nothing": (413, "windows", npy("(1000000000000, 3, 0)")),
    "npy with code": (422, "malformed", npy("__import__('os').system('true')")),
    "npy with a deep header": (422, "malformed", npy("(" * 2000)),
    "npy with a long header": (422, "malformed", npy("(1, 3, 1)" + " " * 5000, data=b"\0" * 12)),
    "arrow of nothing": (
        422,
        "malformed",
        {"content": b"", "headers": {"Content-Type": "application/vnd.apache.arrow.stream"}},
    ),
    "arrow of two columns": (422, "malformed", as_arrow(GOOD, id=[1, 2])),
    "arrow of other channels": (422, "channels", as_arrow(GOOD[:, :2])),
    "arrow infinite": (422, "infinite", as_arrow(changed({(1, 2, 3): -np.inf}))),
    "arrow all missing": (422, "all_missing", as_arrow(changed({(0,): np.nan}))),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_refused_for_what_it_is(service, case):
    status, reason, request = BAD[case]
    answer = service().post(**request)
    told = answer.json()["error"]
    assert (answer.status_code, told["reason"]) == (status, reason), answer.text
    assert "expected" in told["message"]
    assert len(answer.content) < 1500


def test_a_refusal_says_what_was_expected_and_what_came(service):
    told = service().post(**as_json(GOOD[:, :2])).json()["error"]
    assert (told["expected"], told["got"]) == (3, 2)
    assert "expected 3 channels" in told["message"]


def arrow_column(kind: str) -> dict:
    import pyarrow as pa

    column = {
        "flat": lambda: pa.array([1.0, 2.0]),
        "one list": lambda: pa.array([[1.0], [2.0]]),
        "of whole numbers": lambda: pa.array([[[1], [2], [3]]]),
        "of text": lambda: pa.array([[["1"]]]),
        "dictionary": lambda: pa.array(["a", "b"]).dictionary_encode(),
        "lists of size nothing": lambda: pa.array([[[], [], []]], pa.list_(pa.list_(pa.float32(), 0))),
        "a window null": lambda: pa.array([None, [[1.0], [2.0], [3.0]]]),
        "a channel null": lambda: pa.array([[[1.0], None, [3.0]]]),
        "ragged channels": lambda: pa.array([[[1.0], [2.0, 2.0], [3.0]]]),
        "no rows": lambda: pa.array([], pa.list_(pa.list_(pa.float32()))),
    }[kind]()
    return arrow_of(pa.record_batch({"window": column}))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("flat", "malformed"),
        ("one list", "malformed"),
        ("of whole numbers", "malformed"),
        ("of text", "malformed"),
        ("dictionary", "malformed"),
        ("lists of size nothing", "malformed"),
        ("a window null", "malformed"),
        ("a channel null", "malformed"),
        ("ragged channels", "shape"),
        ("no rows", "no_windows"),
    ],
)
def test_an_arrow_column_of_another_kind_is_refused(service, kind, reason):
    answer = service().post(**arrow_column(kind))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (422, reason)


def test_a_compressed_arrow_stream_is_refused_before_it_grows(service):
    import pyarrow as pa

    column = pa.array([np.zeros((3, 60_000)).tolist()], pa.list_(pa.list_(pa.float32())))
    for codec in ("zstd", "lz4"):
        answer = service().post(
            **arrow_of(pa.record_batch({"window": column}), options=pa.ipc.IpcWriteOptions(compression=codec))
        )
        assert answer.status_code == 422
        assert "compression" in answer.json()["error"]["message"]


@pytest.mark.parametrize("form", [as_json, as_npy, as_arrow])
def test_limits_of_windows_and_steps_hold_in_every_form(service, form):
    limited = service(max_windows=4, max_samples=50, queue=4)
    assert limited.post(**form(np.ones((4, 3, 50), np.float32))).status_code == 200
    many, long = (limited.post(**form(np.ones(shape, np.float32))) for shape in ((5, 3, 50), (1, 3, 51)))
    assert (many.status_code, many.json()["error"]["reason"]) == (413, "windows")
    assert (long.status_code, long.json()["error"]["reason"]) == (413, "samples")


def test_an_answer_that_would_be_too_large_is_refused_before_it_is_made(service):
    limited = service(max_answer_bytes=16 * 40 * 4 * 2)
    assert limited.post(**as_npy(GOOD), url="/v1/steps").status_code == 200
    answer = limited.post(**as_npy(np.concatenate([GOOD, GOOD])), url="/v1/steps")
    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "answer_size")


def test_a_body_that_is_announced_too_large_is_not_read(service):
    limited, read = service(max_body_bytes=1000), []

    async def parts():
        read.append(1)
        yield b" " * 2000

    answer = limited.post(content=parts(), headers=JSON | {"Content-Length": "2000"})
    assert (answer.status_code, answer.json()["error"]["reason"], read) == (413, "body_size", [])


def test_a_body_without_length_is_read_up_to_the_limit(service):
    limited, read = service(max_body_bytes=1000), []

    async def parts():
        for _ in range(1000):
            read.append(1)
            yield b" " * 100

    answer = limited.post(content=parts(), headers=JSON)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "body_size")
    assert 11 <= len(read) <= 12


def test_bad_requests_among_good_ones_change_nothing_for_these(service, model):
    running = service()
    bad = [request for _, _, request in BAD.values()]
    mixed = [request for one in bad for request in (as_npy(GOOD), one)]
    answers = running.ask(*mixed)
    expected = model.embed(GOOD)
    for good, poor in zip(answers[::2], answers[1::2], strict=True):
        np.testing.assert_allclose(embeddings_of(good), expected, rtol=1e-6, atol=1e-6)
        assert 400 <= poor.status_code < 500


def test_a_service_without_its_model_yet_says_so(service):
    loading = service(loading=True)
    answer = loading.post(**as_npy(GOOD))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["reason"] == "not_ready"
    assert not asyncio.run(loading.shelf.ready())


def test_readiness_ends_when_the_model_no_longer_gives_its_own_embeddings(folder):
    import torch
    from tsrep_deploy.engine import Engine

    engine = Engine(tsrep.load(folder), Settings(model=str(folder)), "small")
    assert asyncio.run(engine.ready())
    with torch.no_grad():
        next(engine.model.encoder.parameters()).add_(0.01)
    engine._proved = -10.0  # as a second later
    assert not asyncio.run(engine.ready())
    engine.close()
