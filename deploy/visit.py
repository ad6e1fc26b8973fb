"""What is known of the request that is being answered: told in the headers of its answer and in its line of the log."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from time import perf_counter

_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class Visit:
    """One request. Written by whoever learns something of it; seconds are sums over the parts of a large request."""

    __slots__ = (
        "begin",
        "bytes_in",
        "bytes_out",
        "id",
        "inference",
        "key",
        "model",
        "queue",
        "reason",
        "status",
        "windows",
    )

    def __init__(self, said: bytes | None = None) -> None:
        """said: the client's own X-Request-Id, which is kept where it is harmless."""
        self.id = said.decode() if said and _ID.fullmatch(said) else secrets.token_hex(16)
        self.begin = perf_counter()
        self.key: str | None = None
        self.model: str | None = None
        self.reason: str | None = None
        self.status = self.windows = self.bytes_in = self.bytes_out = 0
        self.queue = self.inference = 0.0

    def timing(self) -> str:
        """The header Server-Timing, in milliseconds."""
        total = perf_counter() - self.begin
        return (
            f"queue;dur={self.queue * 1e3:.2f}, inference;dur={self.inference * 1e3:.2f}, total;dur={total * 1e3:.2f}"
        )


VISIT: ContextVar[Visit | None] = ContextVar("visit", default=None)
