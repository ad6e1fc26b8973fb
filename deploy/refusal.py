"""Every way in which the service says no: a reason, a status, and what was expected beside what came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STATUS: Mapping[str, int] = {
    "disconnected": 400,  # the client went away while it sent
    "path": 404,
    "accept": 406,
    "body_size": 413,
    "windows": 413,
    "samples": 413,
    "answer_size": 413,
    "content_type": 415,
    "content_encoding": 415,
    "pool": 422,
    "malformed": 422,
    "no_windows": 422,
    "shape": 422,
    "channels": 422,
    "infinite": 422,
    "all_missing": 422,
    "overflow": 422,  # finite windows of which the encoder makes infinite numbers
    "model": 422,
    "internal": 500,
    "not_ready": 503,
    "queue_full": 503,
}
"""reason -> status. The reasons are the only labels of the metric of refused requests."""


class Refused(Exception):
    """A request is not answered. `expected` and `got` are for programs, the message is for people."""

    def __init__(self, reason: str, message: str, expected: Any = None, got: Any = None) -> None:
        super().__init__(message)
        self.reason, self.message, self.expected, self.got = reason, message, expected, got

    @property
    def status(self) -> int:
        return STATUS[self.reason]

    def to_dict(self) -> dict[str, Any]:
        """{"error": {"reason", "message", "expected", "got"}}"""
        told = {"reason": self.reason, "message": self.message, "expected": self.expected, "got": self.got}
        return {"error": {key: value for key, value in told.items() if value is not None}}
