"""A server beside this process, for demonstrations, notebooks and tests: it is ready when the block begins and gone after it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from .launch import HOST, STOP_WITHIN
from .settings import flag


@contextmanager
def running(
    model: str | Path | Sequence[str | Path],
    port: int = 0,
    *,
    within: float = 90.0,
    by: Sequence[str] = ("-m", "tsrep_deploy"),
    **said: Any,
) -> Iterator[str]:
    """The address (http://127.0.0.1:port) of a server of this model, or of several.

    port:   0 takes a free one. within: seconds that it may take until it is ready. said: fields of `Settings`.
    by:     what Python is told to run.
    Raises RuntimeError with what the server printed where it does not become ready. No process is left behind.
    """
    port = port or free_port()
    models = [model] if isinstance(model, str | Path) else model
    options = [
        ("--port", port),
        *(("--model", one) for one in models),
        *((flag(name), value) for name, value in said.items()),
    ]
    command = [sys.executable, *by, *(str(text) for pair in options for text in pair)]
    with tempfile.TemporaryDirectory(prefix="tsrep-serve-") as home, tempfile.TemporaryFile() as log:
        environ = os.environ | {"BENTOML_HOME": home}
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environ, start_new_session=True)
        try:
            address = f"http://{HOST}:{port}"
            _await(server, f"{address}/readyz", within, log)
            yield address
        finally:
            _stop(server)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _await(server: subprocess.Popen[bytes], address: str, within: float, said: IO[bytes]) -> None:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    said.seek(0)
    told = said.read().decode(errors="replace")[-4000:]
    how = f"ended with {server.returncode}" if server.returncode is not None else f"was not ready within {within:g} s"
    raise RuntimeError(f"the server {how}; it said:\n{told}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Asks it to stop, then makes sure that nothing of its process group is left."""
    if server.poll() is None:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(STOP_WITHIN + 5)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
