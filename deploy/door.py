"""What every request passes: its id, its key, its place among the others, its time, and its line in the log.

BentoML has a limit of concurrency and of time of its own, which answer in another form and keep a timer for every request; they are
off, and these stand in their place. The order: id, key (401), rate (429), place (429), then the route, all within the time (504).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from time import perf_counter
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import meters, page_files, tell
from .answers import told_as_json
from .bucket import Buckets
from .keys import Keys
from .refusal import Refused
from .settings import Settings
from .visit import VISIT, Visit

OPEN = frozenset(("/docs", *page_files.FILES))
"""Paths that ask for no key: how to ask, without the names of models and channels, and the page, which asks."""

PATIENCE = 0.05
"""Seconds after which the service begins to look whether the client is still there."""


def refusal(refused: Refused, headers: MutableMapping[str, str] | None = None) -> Response:
    """The answer to a refused request, counted."""
    meters.REFUSED.labels(reason=refused.reason).inc()
    visit = VISIT.get()
    if visit is not None:
        visit.reason = refused.reason
    response = told_as_json(refused.to_dict(), refused.status)
    response.headers.update({**refused.headers(), **(headers or {})})
    return response


class Door:
    """ASGI middleware. keys: who may ask, everybody where there are none. routes: path of a route -> the name it is counted by."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: Keys | None, routes: Mapping[str, str]) -> None:
        self.app, self.settings, self.keys, self.routes = app, settings, keys, routes
        self.buckets = Buckets(settings.rate, settings.burst) if settings.rate else None
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        visit = Visit(headers.get(b"x-request-id"))
        token = VISIT.set(visit)
        talk = _Talk(visit, receive, send)
        try:
            try:
                self._admitted(scope["path"], headers, visit)
            except Refused as refused:
                await refusal(refused)(scope, receive, talk.send)
                return
            self._count(1)
            try:
                await self._within(scope, talk)
            finally:
                self._count(-1)
        finally:
            VISIT.reset(token)
            self._told(scope, visit)
            if self.settings.log == "json":
                tell.visited(scope, visit)

    def _count(self, change: int) -> None:
        self.inside += change
        meters.RUNNING.set(self.inside)

    def _told(self, scope: Scope, visit: Visit) -> None:
        path = scope["route"].path if "route" in scope else scope["path"]
        route, model = self.routes.get(path, meters.NONE), visit.model or ""
        meters.REQUESTS.labels(route, model, visit.status or 500).inc()
        meters.TOOK.labels(route, model).observe(perf_counter() - visit.begin)

    def _admitted(self, path: str, headers: dict[bytes, bytes], visit: Visit) -> None:
        if self.keys is not None and path not in OPEN:
            visit.key = self.keys.who(_key(headers))
            if visit.key is None:
                raise Refused(
                    "key",
                    "expected a key of this service, as Authorization: Bearer KEY or X-Api-Key: KEY; got none or another",
                )
        if self.buckets is not None and path not in OPEN:
            wait = self.buckets.take(visit.key or "")
            if wait:
                limit = self.settings.rate
                message = f"expected at most {limit} requests a minute, got more: try again in {wait:.0f} s"
                raise Refused("rate", message, limit, again=wait)
        if self.inside >= self.settings.concurrency:
            limit = self.settings.concurrency
            raise Refused(
                "concurrency",
                f"expected at most {limit} requests at a time, got one more: try again in a moment",
                limit,
                limit + 1,
            )

    async def _within(self, scope: Scope, talk: _Talk) -> None:
        """The route, until it has answered, its time is over, or its client is gone; what is given up leaves the queue.

        A request that is soon answered costs one timer: it is watched from a task of its own only after `PATIENCE`.
        """
        guard = _Guard(talk, self.settings.timeout)
        try:
            await self.app(scope, talk.receive, talk.send)
        except asyncio.CancelledError:
            if guard.why is None:  # the server stops
                raise
            guard.task.uncancel()
            limit = self.settings.timeout
            message = {
                "disconnected": "the client went away before it was answered",
                "timeout": f"expected to answer within {limit} s, it took longer: ask for less at a time",
            }[guard.why]
            answer = refusal(Refused(guard.why, message))
            if not talk.begun:
                await answer(scope, talk.receive, talk.send)
        finally:
            guard.stop()


class _Guard:
    """Cancels the task that made it when `timeout` seconds are over or the client is gone; `why` then says which."""

    def __init__(self, talk: _Talk, timeout: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task: asyncio.Task[object] = task
        self.why: str | None = None
        self._talk, self._left = talk, timeout - PATIENCE
        self._watch: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._begin)

    def stop(self) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def _begin(self) -> None:
        self._watch = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(self._left):
                await self._talk.gone()
            self.why = "disconnected"
        except TimeoutError:
            self.why = "timeout"
        self.task.cancel()


class _Talk:
    """The two directions of a request, looked at in passing."""

    def __init__(self, visit: Visit, receive: Receive, send: Send) -> None:
        self._visit, self._receive, self._send = visit, receive, send
        self._read = asyncio.Event()
        self.begun = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._visit.bytes_in += len(message.get("body", b""))
            if not message.get("more_body", False):
                self._read.set()
        return message

    async def gone(self) -> None:
        """Returns when the client has gone away; its body, which others read, is read by then."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun, self._visit.status = True, message["status"]
            own = [(b"x-request-id", self._visit.id.encode()), (b"server-timing", self._visit.timing().encode())]
            message = {**message, "headers": [*message["headers"], *own]}
        else:
            self._visit.bytes_out += len(message.get("body", b""))
        await self._send(message)


def _key(headers: dict[bytes, Any]) -> str:
    kind, _, key = headers.get(b"authorization", b"").partition(b" ")
    said = key.strip() if kind.lower() == b"bearer" else headers.get(b"x-api-key", b"")
    return str(said.decode("latin-1"))
