"""Damaged bodies: whatever bytes come, the answer is a refusal or right, never a failure, and nothing is allocated for a lie."""

import os
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from service_requests import FORMS, as_arrow, as_json, as_npy, embeddings_of
from tsrep_deploy import wire
from tsrep_deploy.refusal import Refused
from tsrep_deploy.settings import Settings
from tsrep_deploy.windows import checked

ROUNDS = int(os.environ.get("TSREP_FUZZ", "400"))
"""Damaged bodies of each form; set the variable for a longer search."""

GOOD = np.random.default_rng(5).standard_normal((3, 3, 20)).astype(np.float32)
SETTINGS = Settings(model="small", max_windows=64)
NAMES = {"json": wire.JSON, "npy": wire.NPY, "arrow": wire.ARROW}


def bodies() -> dict[str, bytes]:
    import httpx

    made = {form: make(GOOD) for form, make in FORMS.items()}
    return {form: httpx.Request("POST", "http://x", **request).content for form, request in made.items()}


def damaged(body: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, cut out, doubled or put in; most damage goes where the structure is, at the beginning."""
    held = bytearray(body)
    for _ in range(rng.integers(1, 5)):
        if not held:
            break
        at = int(rng.integers(len(held) if rng.random() < 0.3 else min(len(held), 400)))
        match rng.integers(6):
            case 0:
                held[at] = rng.integers(256)
            case 1:
                held[at] ^= 1 << int(rng.integers(8))
            case 2:
                del held[at : at + int(rng.integers(1, 16))]
            case 3:
                held[at:at] = rng.bytes(int(rng.integers(1, 9)))
            case 4:
                held[at : at + 4] = rng.choice(
                    [b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff\xff\xff\xff", b"\0\0\0\0"]
                )
            case _:
                held = held[: at + 1] if rng.random() < 0.3 else held + held[at:]
    return bytes(held)


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_body_is_refused_or_read_and_never_fails(form):
    rng = np.random.default_rng(11)
    body, statuses, refused, read = bodies()[form], set(), 0, 0
    for _ in range(ROUNDS):
        try:
            blocks = checked(wire.read(NAMES[form], damaged(body, rng), SETTINGS), ("x", "y", "z"), SETTINGS)
        except Refused as refusal:
            statuses.add(refusal.status)
            refused += 1
        else:
            assert sum(len(block.rows) for block in blocks) <= 64
            assert all(block.values.dtype == np.float32 for block in blocks)
            read += 1
    assert statuses <= {413, 422}
    assert refused > ROUNDS / 4
    assert read > 0


def test_after_damaged_bodies_a_good_one_is_right(service, model):
    rng = np.random.default_rng(13)
    running = service()
    good = {"json": as_json(GOOD), "npy": as_npy(GOOD), "arrow": as_arrow(GOOD)}
    for form, body in bodies().items():
        headers = {"Content-Type": NAMES[form]}
        answers = running.ask(*({"content": damaged(body, rng), "headers": headers} for _ in range(40)), good[form])
        assert all(answer.status_code < 500 for answer in answers)
        np.testing.assert_allclose(embeddings_of(answers[-1]), model.embed(GOOD), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", ["npy", "arrow"])
def test_a_damaged_body_costs_no_more_memory_than_it_holds(form):
    rng = np.random.default_rng(17)
    body = bodies()[form]
    tracemalloc.start()
    for _ in range(100):
        with suppress(Refused):
            wire.read(NAMES[form], damaged(body, rng), SETTINGS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
