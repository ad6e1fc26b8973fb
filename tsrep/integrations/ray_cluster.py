"""The surroundings of a run on Ray: its settings, a cluster that ends with the run, its storage, and signals that are heard."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tsrep.integrations.ray_worker import POLL

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": str(POLL),
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
STORE = 100 * 2**20
"""Bytes of shared memory beside those for the data."""

LINGER = 10.0
"""Seconds that the processes of a cluster have to end by themselves."""


@contextmanager
def settings() -> Iterator[None]:
    """What Ray reads from the environment, where nobody has said otherwise."""
    mine = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


@contextmanager
def cluster(size: int) -> Iterator[Any]:
    """Ray, connected: to the cluster there is, or to one of this machine that ends with the block. size: bytes of the data."""
    import ray

    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    folder = None
    if "RAY_ADDRESS" not in os.environ:
        folder = tempfile.mkdtemp(
            prefix="ray-", dir="/tmp" if os.path.isdir("/tmp") else None
        )  # sockets want short paths
        quiet |= {"address": "local", "include_dashboard": False, "_temp_dir": folder}
        quiet["object_store_memory"] = 2 * size + STORE
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    try:
        ray.init(**quiet)
        if main:
            signal.signal(signal.SIGTERM, before)  # Ray has put its own in its place
        yield ray
    finally:
        _end(folder)


def _end(folder: str | None) -> None:
    """Leave the cluster; the one that was started here, in this folder, leaves no process and no file behind."""
    import psutil  # type: ignore[import-untyped]  # comes with ray
    import ray

    if folder is None:
        ray.shutdown()
        return
    everyone = _started(folder)
    ray.shutdown()
    _, lingering = psutil.wait_procs(everyone, LINGER)
    for process in lingering:
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def _started(folder: str) -> list[Any]:
    """The children of this process whose command names the folder, and theirs. One that has died has no command any more."""
    import psutil

    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if any(folder in word for word in child.cmdline()):
                found += [child, *child.children(recursive=True)]
    return found


@contextmanager
def storage(out: str | None) -> Iterator[Path]:
    """Ray's storage: in the folder of the run, or a temporary one."""
    folder = Path(tempfile.mkdtemp(prefix="tsrep-")) if out is None else Path(out).resolve() / ".ray"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
