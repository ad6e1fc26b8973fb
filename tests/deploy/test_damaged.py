"""Damaged bodies: whatever bytes come, the answer is a refusal or right, never a failure, and nothing is allocated for a lie."""

import os
import pickle
import subprocess
import sys
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from service_requests import as_arrow, as_json, as_npy, embeddings_of
from tsrep_deploy import damage, meters, wire
from tsrep_deploy.refusal import Refused
from tsrep_deploy.settings import Settings
from tsrep_deploy.windows import checked

ROUNDS = int(os.environ.get("TSREP_FUZZ", "3500"))
"""Damaged bodies of each form; set the variable for a longer search."""

GOOD = np.random.default_rng(5).standard_normal((3, 3, 20)).astype(np.float32)
SETTINGS = Settings(model="small", max_windows=64)
NAMES = {"json": wire.JSON, "npy": wire.NPY, "arrow": wire.ARROW}


def asked(form, body):
    """The windows of a body, as a route would take them."""
    return checked(wire.read(form, body, SETTINGS), ("x", "y", "z"), SETTINGS)


@pytest.mark.parametrize("form", NAMES.values(), ids=NAMES)
def test_a_damaged_body_is_refused_or_read_and_never_fails(form):
    rng = np.random.default_rng(11)
    body, statuses, refused, read = damage.good(GOOD)[form], set(), 0, 0
    for _ in range(ROUNDS):
        try:
            blocks = asked(form, damage.damaged(form, body, rng))
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


def test_every_lie_is_refused_and_no_pickle_is_read(service, tmp_path):
    """Huge shapes, deep nesting, objects, bombs: through the whole application."""
    trap, running, seen = tmp_path / "unpickled", service(), set()
    for body in damage.lies(str(trap)):
        answer = running.post(content=body.content, headers={"Content-Type": body.form, **body.headers})
        assert 400 <= answer.status_code < 500, (body.form, body.content[:80], answer.text[:200])
        seen.add(answer.json()["error"]["reason"])
    assert not trap.exists()
    assert {"malformed", "content_type", "content_encoding", "channels", "shape", "no_windows", "windows"} <= seen
    with suppress(Exception):  # what it makes is no array
        pickle.loads(damage.trapped(str(trap)))
    assert trap.exists()  # it is a trap


def test_after_damaged_bodies_a_good_one_is_right(service, model):
    rng = np.random.default_rng(13)
    running = service()
    good = {wire.JSON: as_json(GOOD), wire.NPY: as_npy(GOOD), wire.ARROW: as_arrow(GOOD)}
    for form, body in damage.good(GOOD).items():
        headers = {"Content-Type": form}
        bad = ({"content": damage.damaged(form, body, rng), "headers": headers} for _ in range(40))
        answers = running.ask(*bad, good[form])
        assert all(answer.status_code < 500 for answer in answers)
        np.testing.assert_allclose(embeddings_of(answers[-1]), model.embed(GOOD), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", [wire.NPY, wire.ARROW])
def test_a_damaged_body_costs_no_more_memory_than_it_holds(form):
    rng = np.random.default_rng(17)
    body = damage.good(GOOD)[form]
    tracemalloc.start()
    for _ in range(100):
        with suppress(Refused):
            wire.read(form, damage.damaged(form, body, rng), SETTINGS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_large_null_does_not_end_the_process():
    """Arrow's reader of JSON, which reads what is large, dies of a null in the place of the first object (pyarrow 25.0.1)."""
    code = (
        "from tsrep_deploy import wire\nfrom tsrep_deploy.refusal import Refused\nfrom tsrep_deploy.settings import Settings\n"
        "for text in (b'null', b' null {}'):\n    try: wire.read(wire.JSON, text + b' ' * wire.LARGE, Settings(model='a'))\n"
        "    except Refused as refused: print(refused.reason)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["malformed", "malformed"]), done.stderr


def test_gauges_of_a_dead_worker_are_taken_away_and_those_of_a_living_one_kept(tmp_path, monkeypatch):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    for pid in (int(dead.stdout), os.getpid()):
        (tmp_path / f"gauge_livesum_{pid}.db").touch()
        (tmp_path / f"counter_{pid}.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    meters.forget_the_dead()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"gauge_livesum_{os.getpid()}.db", f"counter_{os.getpid()}.db", f"counter_{int(dead.stdout)}.db"}
