"""The models that are served, by name: loaded while the service already answers, and exchanged without a dropped request.

A folder or an address is looked at every `reload` seconds, and at SIGHUP. What is new there is loaded aside, must give its own stored
embeddings, and then takes the place of the old model in one assignment; requests that run keep the engine they began with, which is
closed after the last of them. What does not load or does not prove itself is logged, and the old model stays.
"""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time

import yaml

import tsrep

from . import meters
from .engine import Engine
from .refusal import Refused
from .settings import Settings

log = logging.getLogger("tsrep.serve")

FROM = "TSREP_FROM"
"""Variable of the folder in which the service was started: an address may be looked up relative to it."""

FETCH_WITHIN = 600
"""Seconds that a model may take to arrive from its address."""


class Shelf:
    """name -> engine. Made empty; `fill` loads everything, `watch` keeps looking for what is new.

    settled: called when models were loaded or exchanged.
    """

    def __init__(self, settings: Settings, settled: Callable[[], object] = lambda: None) -> None:
        self.settings, self._settled = settings, settled
        self._places = {name: Place(name, where) for name, where in settings.models.items()}
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()
        self._told, self._closed = threading.Event(), False

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models; the first is the default."""
        return tuple(self._places)

    @contextmanager
    def borrow(self, name: str | None = None) -> Iterator[Engine]:
        """The engine of a model, for one request. Refused: 404 for an unknown name, 503 where it is still being loaded."""
        name = next(iter(self._places), "") if name is None else name
        if name not in self._places:
            known = list(self._places)
            raise Refused(
                "unknown_model", f"expected one of the models {', '.join(known)}, got '{name[:64]}'", known, name[:64]
            )
        with self._lock:
            held = self._held.get(name)
            if held is not None:
                held.users += 1
        if held is None:
            raise Refused("not_ready", f"the model '{name}' is still being loaded: try again in a moment")
        try:
            yield held.engine
        finally:
            with self._lock:
                held.users -= 1
                last = held.retired and not held.users
            if last:
                _close(held.engine)

    async def ready(self) -> bool:
        """Whether every model is loaded and still embeds its own stored inputs as it should."""
        for name in self._places:
            if name not in self._held:
                return False
            with self.borrow(name) as engine:
                if not await engine.ready():
                    return False
        return True

    def put(self, name: str, engine: Engine) -> None:
        """From now on this engine answers under the name."""
        held = Held(engine)
        with self._lock:
            old, self._held[name] = self._held.get(name), held
            if old is not None:
                old.retired = True
        meters.LOADED.labels(model=name).set(time())
        meters.ROOM.labels(model=name).set(self.settings.queue)
        if old is not None and not old.users:  # none can come any more
            _close(old.engine)

    def fill(self) -> None:
        """Loads every model. InputError for one that does not load."""
        for name, place in self._places.items():
            folder = place.folder()
            mark = _mark(folder)  # before it is read: what is written meanwhile is news
            self.put(name, self._engine(folder, name))
            place.mark = mark
        self._settled()

    def look(self) -> list[str]:
        """Loads what is new; the names of the models that were exchanged."""
        changed = []
        for name, place in self._places.items():
            try:
                folder = place.news()
                if folder is None:
                    continue
                mark = _mark(folder)
                engine = self._engine(folder, name)  # proves itself by its stored inputs, or raises
                place.took(folder, mark)
                if place.folder() != folder:  # what a light model reads only when it is needed lies there now
                    engine.close()
                    engine = self._engine(place.folder(), name)
            except Exception as error:  # whatever is wrong with it, the old one goes on
                meters.RELOADS_FAILED.labels(model=name).inc()
                log.warning(
                    "a new model does not load, the old one stays",
                    extra={"told": {"model": name, "error": str(error)[:500]}},
                )
                continue
            self.put(name, engine)
            changed.append(name)
            log.info("model exchanged", extra={"told": {"model": name, "version": engine.version}})
        if changed:
            self._settled()
        return changed

    def watch(self) -> None:
        """Looks every `reload` seconds, or when it is told to, until the shelf is closed."""
        while True:
            self._told.wait(self.settings.reload or None)
            self._told.clear()
            if self._closed:
                return
            self.look()

    def look_now(self) -> None:
        """Whoever watches looks at once, also where `reload` is 0."""
        self._told.set()

    def _engine(self, folder: Path, name: str) -> Engine:
        model = tsrep.load_light(folder, threads=self.settings.threads or None)
        return Engine(model, self.settings, name, version(folder), identity(folder))

    def close(self) -> None:
        self._closed = True
        self._told.set()
        for held in self._held.values():
            held.engine.close()


class Held:
    """An engine and how many requests use it."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.users, self.retired = engine, 0, False


@dataclass
class Place:
    """Where a model comes from, a folder or an address, and what was seen there last."""

    name: str
    where: str
    mark: tuple[object, ...] = ()

    @property
    def is_address(self) -> bool:
        return ":/" in self.where

    @property
    def own(self) -> Path:
        """The folder in which the service keeps what an address held last: a worker that is started again needs nobody."""
        return home() / "tsrep-models" / self.name

    def folder(self) -> Path:
        if not self.is_address:
            return Path(self.where)
        if not (self.own / "plan.yaml").is_file():
            fetch(self.where, self.own)
        return self.own

    def news(self) -> Path | None:
        """Folder of a model that is not the one that was seen last, or None."""
        if not self.is_address:
            return Path(self.where) if _mark(Path(self.where)) != self.mark else None
        beside = self.own.with_name(f"{self.name}.new")
        shutil.rmtree(beside, ignore_errors=True)
        fetch(self.where, beside)
        if version(beside) == version(self.own):
            shutil.rmtree(beside)
            return None
        return beside

    def took(self, folder: Path, mark: tuple[object, ...]) -> None:
        """The model in this folder is loaded and is the one to start with from now on. mark: of the folder before it was loaded."""
        if self.is_address:
            shutil.rmtree(self.own, ignore_errors=True)
            folder.replace(self.own)
        self.mark = mark


def home() -> Path:
    return Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml")


def fetch(address: str, folder: Path) -> None:
    """The model at an address into a folder, in a process of its own: what speaks to a registry weighs more than the encoder."""
    code = "import os, sys, tsrep; os.nice(10); tsrep.load_light(sys.argv[1]).save(sys.argv[2])"
    command = [sys.executable, "-c", code, address, str(folder)]
    where = os.environ.get(FROM) or None
    done = subprocess.run(command, capture_output=True, text=True, cwd=where, timeout=FETCH_WITHIN, check=False)
    if done.returncode:
        raise tsrep.InputError(f"the model {address} did not arrive: {done.stderr.strip()[-500:]}")


def version(folder: Path) -> str:
    """Twelve digits that differ between models: of the description that holds the hash of the weights."""
    digest = hashlib.sha256()
    for name in ("plan.yaml", "data.json", *sorted(path.name for path in folder.glob("head*"))):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:12]


def identity(folder: Path) -> str:
    """Sixteen digits of what decides an embedding: weights, scaling, channels, encoder and the precision it is computed in. A head, a
    name, or a float32 export, which is exact to 1e-5, change nothing of it."""
    held = json.loads((folder / "data.json").read_text())
    plan = yaml.safe_load((folder / "plan.yaml").read_text())
    precision = (held.get("export") or {}).get("precision", "float32")
    told = [
        held.get("weights"),
        held.get("scaler"),
        held.get("channels"),
        plan.get("encoder"),
        plan.get("data"),
        precision,
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def settle() -> None:
    """What is loaded now stays: full collections over it were most of the slow answers."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _mark(folder: Path) -> tuple[object, ...]:
    """Changes when a file of the model does."""
    stats = [
        (path.name, path.stat())
        for path in sorted(folder.glob("*"))
        if path.suffix in (".yaml", ".json", ".safetensors", ".onnx")
    ]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def _close(engine: Engine) -> None:
    threading.Thread(target=engine.close, daemon=True).start()  # waits for the batch that runs
