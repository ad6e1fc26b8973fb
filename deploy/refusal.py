"""Every way in which the service says no: a reason, a status, and what was expected beside what came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STATUS: Mapping[str, int] = {
    "key": 401,
    "path": 404,
    "unknown_model": 404,
    "head": 404,  # the model carries none that could answer
    "search": 404,  # this service keeps no collections
    "collection": 404,
    "method": 405,
    "accept": 406,
    "body_timeout": 408,
    "exists": 409,  # a collection of this name, which is another one
    "identity": 409,  # the collection holds embeddings of another model
    "full": 409,
    "body_size": 413,
    "windows": 413,
    "samples": 413,
    "answer_size": 413,
    "content_type": 415,
    "content_encoding": 415,
    "query": 422,
    "pool": 422,
    "dtype": 422,
    "dimensions": 422,
    "malformed": 422,
    "no_windows": 422,
    "two_windows": 422,
    "shape": 422,
    "channels": 422,
    "infinite": 422,
    "all_missing": 422,
    "overflow": 422,  # finite windows of which the encoder makes infinite numbers
    "model": 422,
    "collection_name": 422,
    "ids": 422,
    "metadata": 422,
    "filter": 422,
    "neighbours": 422,
    "rate": 429,
    "concurrency": 429,
    "queue_full": 429,
    "disconnected": 499,  # the client went away; nobody reads this answer, the log and the metric do
    "internal": 500,
    "not_ready": 503,
    "timeout": 504,
}
"""reason -> status. The reasons are the only labels of the metric of refused requests."""

AGAIN = (429, 503)
"""Statuses after which the same request may succeed: the answer says after how many seconds."""


class Refused(Exception):
    """A request is not answered. `expected` and `got` are for programs, the message is for people.

    again: seconds after which it is worth trying the same again, at 429 and 503.
    """

    def __init__(self, reason: str, message: str, expected: Any = None, got: Any = None, again: float = 1.0) -> None:
        super().__init__(message)
        self.reason, self.message, self.expected, self.got, self.again = reason, message, expected, got, again

    @property
    def status(self) -> int:
        return STATUS[self.reason]

    def to_dict(self) -> dict[str, Any]:
        """{"error": {"reason", "message", "expected", "got"}}"""
        told = {"reason": self.reason, "message": self.message, "expected": self.expected, "got": self.got}
        return {"error": {key: value for key, value in told.items() if value is not None}}

    def headers(self) -> dict[str, str]:
        """Retry-After, in whole seconds as HTTP has it, and what a client that has no key must bring."""
        if self.status in AGAIN:
            return {"Retry-After": str(min(60, max(1, -int(-self.again // 1))))}
        return {"WWW-Authenticate": 'Bearer realm="tsrep"'} if self.status == 401 else {}
