"""The log: one JSON object a line on standard error, never a payload and never a key.

A request: {"time", "level", "event": "request", "id", "method", "path", "status", "reason", "model", "key" (the name of it), "windows",
"bytes_in", "bytes_out", "queue_ms", "inference_ms", "total_ms"}; what is unknown is left out.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from pydantic_core import to_json
from starlette.types import Scope

from .visit import Visit

log = logging.getLogger("tsrep.serve")
LONGEST = 200
"""Characters of a path that are told."""


class Json(logging.Formatter):
    """A record with its `told` (a dict) as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "told", {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return to_json(line, fallback=str).decode()


def to_standard_error() -> None:
    """From now on everything that `tsrep.serve` logs goes there, as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json())
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


def visited(scope: Scope, visit: Visit) -> None:
    """One line for a request that was answered."""
    told = {
        "id": visit.id,
        "method": scope["method"],
        "path": scope["path"][:LONGEST],
        "status": visit.status,
        "reason": visit.reason,
        "model": visit.model,
        "key": visit.key,
        "windows": visit.windows or None,
        "bytes_in": visit.bytes_in,
        "bytes_out": visit.bytes_out,
        "queue_ms": round(visit.queue * 1e3, 3),
        "inference_ms": round(visit.inference * 1e3, 3),
        "total_ms": round((perf_counter() - visit.begin) * 1e3, 3),
    }
    log.info("request", extra={"told": {key: value for key, value in told.items() if value is not None}})
