"""Whether what comes is still like what the models were trained on: the last embeddings of each model against its stored reference.

Compared at most once in `FRESH` seconds a model, when somebody asks or in a thread every --drift-every seconds; never for a request.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from . import meters
from .engine import Engine

if TYPE_CHECKING:
    from .shelf import Shelf

log = logging.getLogger("tsrep.serve")

STATISTIC = "mmd"
FRESH = 5.0


class Watch:
    """Tells how the models drift, and keeps the gauges of it."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._told: dict[str, tuple[Engine, int, float, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    async def told(self) -> dict[str, Any]:
        """{name: {statistic, value, threshold, recent, reference, drifted, says}}. Refused (503) where a model is not there yet."""
        return await asyncio.get_running_loop().run_in_executor(None, self.look)

    def look(self) -> dict[str, Any]:
        """`told`, computed here where it is not fresh."""
        found = {}
        for name in self._shelf.names:
            with self._shelf.borrow(name) as engine, self._lock:
                found[name] = self._of(engine)
        return found

    def watch(self, every: float) -> None:
        """Looks every so many seconds until it is closed, so that the gauges are those of now."""
        while not self._closed.wait(every):
            try:
                self.look()
            except Exception:
                log.exception("drift was not measured")

    def close(self) -> None:
        self._closed.set()

    def _of(self, engine: Engine) -> dict[str, Any]:
        known, seen = self._told.get(engine.name), engine.recent.seen
        if known is not None and known[0] is engine and (known[1] == seen or monotonic() - known[2] < FRESH):
            return known[3]
        made = measured(engine)
        self._told[engine.name] = engine, seen, monotonic(), made
        for gauge, value in (
            (meters.DRIFT, made["value"]),
            (meters.DRIFT_THRESHOLD, made["threshold"]),
            (meters.DRIFT_WINDOWS, made["recent"]),
        ):
            gauge.labels(model=engine.name).set(np.nan if value is None else value)
        return made


def measured(engine: Engine) -> dict[str, Any]:
    """What is said of a model, in numbers and in words."""
    reference, recent = engine.model.reference, engine.recent.now()
    told: dict[str, Any] = {"statistic": STATISTIC, "value": None, "threshold": None, "recent": len(recent)}
    told |= {"reference": 0 if reference is None else len(reference), "drifted": None}
    if reference is None:
        return told | {
            "says": "This model was saved without a reference of its training: train or save it again to see drift."
        }
    if len(reference) < reference.least:
        return told | {
            "says": f"The reference holds {told['reference']} training windows, too few to compare with: {reference.least} are needed."
        }
    if len(recent) < reference.least:
        return told | {
            "says": f"{len(recent)} windows came of late (embedded with the default pool), {reference.least} are needed for an answer."
        }
    found = reference.compare(recent)
    says = (
        f"The last {len(recent)} windows differ from the training: look at them, and consider to train again."
        if found.drifted
        else f"The last {len(recent)} windows look like those of the training."
    )
    return told | {"value": found.value, "threshold": found.threshold, "drifted": found.drifted, "says": says}
