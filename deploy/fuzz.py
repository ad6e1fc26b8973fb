"""Damaged bodies to a running service, and what became of it: `python -m tsrep_deploy.load fuzz`; the tests send fewer."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import psutil  # type: ignore[import-untyped]

from . import damage, search, wire
from .damage import Body
from .pressing import Answered, Line, closed, request

COLLECTION = f"{search.PATH}/damaged"
"""The collection that is made for it, where the service keeps any."""

ROUTES = (
    *(("POST", f"/v1/{what}") for what in ("embed", "embed", "embed", "steps", "classify", "forecast", "similarity")),
    *(("POST", f"{COLLECTION}/{what}") for what in ("windows", "query")),
    ("DELETE", f"{COLLECTION}/windows"),
    ("PUT", COLLECTION),
    ("PUT", f"{search.PATH}/%2e%2e%2fdamaged"),
)
QUERIES = ("pool", "dtype", "dimensions", "counted", "model", "k", "filter", "x", "\0")
VALUES = (
    "mean",
    "rich",
    "levels",
    "steps",
    "int8",
    "float16",
    "1",
    "0",
    "-1",
    "9" * 40,
    "١",
    "nan",
    "",
    "../../etc/passwd",
    "a" * 3000,
)
ACCEPTS = (*wire.FORMS, "*/*", "text/html", "", ",;q=,*/*;q=x", "*/*;q=0")


@dataclass(frozen=True)
class Found:
    """What became of a service under damaged requests.

    statuses: how many answers of each. lost: requests without an answer. slowest: seconds of the slowest answer.
    wrong:    good requests in between that were refused or answered with other numbers.
    grown:    memory of the worker at the end / after the first fifth. restarted: whether the worker is another process now.
    unpickled: whether somebody read a pickle.
    """

    statuses: dict[int, int]
    lost: int
    slowest: float
    wrong: int
    grown: float
    restarted: bool
    unpickled: bool

    @property
    def failed(self) -> int:
        """Answers that say that the service is at fault."""
        return sum(count for status, count in self.statuses.items() if status >= 500)


def fuzz(address: str, windows: np.ndarray, right: np.ndarray, rounds: int, seed: int = 0) -> Found:
    """Damages `rounds` bodies of each form and what collections are told and asked, and sends all of `damage.lies` besides.

    windows: (n, channel, time) that the model takes. right: their embeddings (n, feature).
    """
    worker = worker_of(address)
    good = request("/v1/embed", damage.as_npy(windows), [("Content-Type", wire.NPY), ("Accept", wire.NPY)])
    found: list[Answered] = []
    with tempfile.TemporaryDirectory() as folder:
        trap = Path(folder) / "unpickled"
        sent, wrong, early = list(damage.lies(str(trap))), 0, 0
        rng = np.random.default_rng(seed)
        bodies = [_whole(body, rng) for body in (*sent, *_damaged(windows, rounds, rng))]
        bodies += _of_collections(windows, rounds, rng)
        rng.shuffle(bodies)
        asyncio.run(_one(address, request(COLLECTION, b"{}", [("Content-Type", wire.JSON)], "PUT")))
        steps = max(1, len(bodies) // 20)
        for at in range(0, len(bodies), steps):
            found += asyncio.run(closed(address, bodies[at : at + steps], lines=8))
            status, answer = asyncio.run(_one(address, good))
            wrong += status != 200 or not np.allclose(
                np.load(io.BytesIO(answer), allow_pickle=False), right, rtol=1e-6, atol=1e-6
            )
            early = worker.memory_info().rss if at <= len(bodies) // 5 and worker.is_running() else early
        alive = worker.is_running() and worker_of(address).pid == worker.pid
        return Found(
            statuses=dict(sorted(Counter(one.status for one in found if one.status).items())),
            lost=sum(one.status == 0 for one in found),
            slowest=max(one.seconds for one in found),
            wrong=wrong,
            grown=worker.memory_info().rss / early if alive and early else float("nan"),
            restarted=not alive,
            unpickled=trap.exists(),
        )


def worker_of(address: str) -> psutil.Process:
    """The process that answers at this address: of those that hold its port, the one with the most memory."""
    port = int(address.rsplit(":", 1)[1])
    holders = [one for one in psutil.process_iter() if _listens(one, port)]
    return max(holders, key=lambda one: one.memory_info().rss)


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        held = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in held)


async def _one(address: str, whole: bytes) -> tuple[int, bytes]:
    line = Line(address)
    try:
        return await line.ask(whole)
    finally:
        line.close()


def _damaged(windows: np.ndarray, rounds: int, rng: np.random.Generator) -> Iterator[Body]:
    whole = damage.good(windows)
    for _ in range(rounds):
        for form, body in whole.items():
            said = form if rng.random() < 0.97 else str(rng.choice(wire.FORMS))
            yield Body(said, damage.damaged(form, body, rng))


def _of_collections(windows: np.ndarray, rounds: int, rng: np.random.Generator) -> Iterator[bytes]:
    """As many requests of each route of a collection, to that route alone."""
    held, ids = np.asarray(windows, float).round(4).tolist(), [f"w{row}" for row in range(len(windows))]
    told = [{"subject": row, "label": "walk", "rest": None} for row in range(len(windows))]
    asked = {"windows": held, "k": 2, "filter": {"subject": {">=": 1, "<": 9}, "label": {"in": ["walk", "run"]}}}
    bodies = {
        ("PUT", COLLECTION): {"metric": "euclidean", "description": "damaged"},
        ("POST", f"{COLLECTION}/windows"): {"ids": ids, "windows": held, "metadata": told},
        ("DELETE", f"{COLLECTION}/windows"): {"ids": ids[:1]},
        ("POST", f"{COLLECTION}/query"): asked,
    }
    for _ in range(rounds):
        for route, body in bodies.items():
            yield _whole(Body(wire.JSON, damage.damaged(wire.JSON, json.dumps(body).encode(), rng)), rng, route)


def _whole(body: Body, rng: np.random.Generator, route: tuple[str, str] | None = None) -> bytes:
    """The request around a body, at times with a query or an Accept that is as odd. route: one of `ROUTES` by default."""
    method, path = route or ROUTES[rng.integers(len(ROUTES))]
    headers = dict(body.headers)
    if rng.random() < 0.1:
        path += f"?{quote(str(rng.choice(QUERIES)))}={quote(str(rng.choice(VALUES)))}"
    if rng.random() < 0.3:
        headers["Accept"] = str(rng.choice(ACCEPTS))
    return request(path, body.content, [("Content-Type", body.form), *headers.items()], method)
