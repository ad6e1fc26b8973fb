"""kill -9 of the whole service while it is written to and asked: what was acknowledged is there, and nothing is half there."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import psutil
from tsrep_deploy.running import running
from tsrep_deploy.vectors import Kept, Vectors

from tsrep.integrations.client import Client, Retry, ServiceError

SAME = Kept("m", "0", "euclidean", 4)
BATCH = 5


def windows(writer: int, batch: int) -> np.ndarray:
    """Of this writer's batch, and of no other."""
    return np.random.default_rng((writer, batch)).standard_normal((BATCH, 3, 16)).astype(np.float32)


def ids(writer: int, batch: int) -> list[str]:
    return [f"{writer}-{batch}-{i}" for i in range(BATCH)]


def test_what_was_acknowledged_survives_kill_9_and_nothing_is_half_there(folder: Path, model, tmp_path):
    kept, acknowledged, asked = tmp_path / "kept", set(), []
    enough = threading.Event()

    def write(address: str, writer: int) -> None:
        with Client(address, retry=Retry(0)) as client:
            for batch in range(10_000):
                told = [{"writer": writer, "batch": batch}] * BATCH
                try:
                    client.add("walks", ids(writer, batch), windows(writer, batch), told)
                except ServiceError:
                    return
                acknowledged.add((writer, batch))
                if len(acknowledged) >= 30:
                    enough.set()

    def ask(address: str) -> None:
        with Client(address, retry=Retry(0)) as client:
            while True:
                try:
                    asked.append(len(client.query("walks", windows(0, 0), k=3)))
                except ServiceError:
                    return

    with running(folder, collections=kept, log="none") as address:
        with Client(address) as client:
            client.create_collection("walks")
        threads = [threading.Thread(target=write, args=(address, writer)) for writer in range(3)]
        threads.append(threading.Thread(target=ask, args=(address,)))
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        served = [
            child for child in psutil.Process().children(recursive=True) if "bentoml" in " ".join(child.cmdline())
        ]
        assert len(served) >= 2
        for process in served:
            os.kill(process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join(30)
    assert asked and len(acknowledged) >= 30

    with running(folder, collections=kept, log="none") as address, Client(address) as client:
        count = client.collection("walks").count
        batches = sorted(acknowledged)
        for writer, batch in batches[:: max(1, len(batches) // 12)] + batches[-3:]:
            found = client.query("walks", windows(writer, batch), k=1, where={"writer": writer, "batch": batch})
            assert [each[0].id for each in found] == ids(writer, batch)
            assert all(each[0].distance < 1e-3 for each in found)
        assert client.add("walks", ["after"], windows(9, 9)[:1]) == 1
        _names_never_become_labels(address)
    # Every row, read without the service: whole batches alone, each id once, each vector that of its window.
    table = Vectors(str(kept))._on("walks", lambda table: table.to_arrow().to_pydict())
    rows = {one: np.array(vector, np.float32) for one, vector in zip(table["id"], table["vector"], strict=True)}
    assert len(rows) == len(table["id"]) == count + 1
    assert {one for key in acknowledged for one in ids(*key)} <= set(rows)
    told = Counter(tuple(map(int, one.split("-")[:2])) for one in rows if one != "after")
    assert set(told.values()) == {BATCH}
    assert len(told) <= len(acknowledged) + 3  # at most one batch of each writer was kept and not yet acknowledged
    for writer, batch in told:
        made = np.stack([rows[one] for one in ids(writer, batch)])
        np.testing.assert_allclose(made, model.embed(windows(writer, batch)), atol=1e-5)


def _names_never_become_labels(address: str) -> None:
    """Paths with a name in them are counted under their pattern."""
    with httpx.Client(base_url=address) as client:
        assert client.put("/v1/collections/oranges").status_code == 201
        assert client.get("/v1/collections/Pears").json()["error"]["reason"] == "collection_name"
        assert client.get("/v1/collections/pears").json()["error"]["reason"] == "collection"
        assert client.get("/v1/collections/oranges/other").json()["error"]["reason"] == "path"
        assert client.delete("/v1/collections/oranges").status_code == 200
        told = client.get("/metrics").text
    assert 'route="/v1/collections/{name}"' in told
    assert not [line for line in told.splitlines() if "oranges" in line or "pears" in line]


WRITER = """
import sys, numpy as np
from tsrep_deploy.vectors import Vectors
where, me = sys.argv[1], int(sys.argv[2])
vectors = Vectors(where)
for k in range(25):
    for name in (f"{me}-{k}", f"same-{k}"):
        vectors.put("a", [name], np.full((1, 4), me, np.float32), ["{}"], ["|"])
"""


def test_writers_in_several_processes_lose_nothing_and_keep_every_id_once(tmp_path):
    one = Vectors(str(tmp_path))
    one.create("a", SAME)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(k)], stderr=subprocess.PIPE, text=True)
        for k in range(2)
    ]
    told = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], told
    held = one._on("a", lambda table: table.to_arrow().column("id").to_pylist())
    expected = [f"{k}-{i}" for k in ("0", "1", "same") for i in range(25)]
    assert sorted(held) == sorted(expected)


def test_the_same_code_asks_a_server_where_the_address_names_one(monkeypatch):
    """Of LanceDB's own kind; here one that only says what it was asked."""
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["x-api-key"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"tables": ["walks"]}')

        def log_message(self, *said: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("LANCEDB_API_KEY", "sk_test")
        monkeypatch.setenv("LANCEDB_HOST", f"http://127.0.0.1:{server.server_port}")
        assert Vectors("db://house").names() == ["walks"]
        server.shutdown()
    path, key = asked[0]
    assert path.startswith("/v1/table") and key == "sk_test"
