"""A client that presses: many requests over kept connections, at a rate or as fast as answers come. For load.py and fuzz.py.

It costs a tenth of what a general client does, because it shares the machine with the service it measures. Latency under a rate is
counted from the moment at which a request was due, not from when a connection was free: a service that stands still for a second is
charged for all that should have come in that second (coordinated omission).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

LOST = 0
"""Status of a request that got no answer."""


@dataclass(frozen=True)
class Answered:
    """One request. status: of HTTP, or `LOST`. due, done: seconds on the clock of `perf_counter`."""

    status: int
    due: float
    done: float
    body: bytes = b""

    @property
    def seconds(self) -> float:
        return self.done - self.due


class Line(asyncio.Protocol):
    """One connection, one request at a time. Opened again where the service closed it."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._held, self._wanted, self._head = bytearray(), -1, 0
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    async def ask(self, request: bytes, within: float = 60.0) -> tuple[int, bytes]:
        """Status and body. (LOST, b"") where the connection ended, or nothing came in time."""
        loop = asyncio.get_running_loop()
        try:
            if self._transport is None or self._transport.is_closing():
                await loop.create_connection(lambda: self, self._host, self._port)
            self._held.clear()
            self._wanted, self._answer = -1, loop.create_future()
            assert self._transport is not None
            self._transport.write(request)
            timer = loop.call_later(within, self._end, None)
            try:
                return await self._answer
            finally:
                timer.cancel()
        except OSError:
            return LOST, b""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end(None)

    def data_received(self, data: bytes) -> None:
        held = self._held
        held += data
        if self._wanted < 0:
            end = held.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = end + 4
            self._wanted = self._head + _length(bytes(held[:end]).lower())
        if len(held) >= self._wanted:
            self._end((int(held[9:12]), bytes(held[self._head : self._wanted])))

    def _end(self, answer: tuple[int, bytes] | None) -> None:
        if self._answer is not None and not self._answer.done():
            if answer is None:
                self.close()
            self._answer.set_result(answer or (LOST, b""))


def request(path: str, body: bytes, headers: Iterable[tuple[str, str]] = (), method: str = "POST") -> bytes:
    """A whole request of HTTP/1.1."""
    told = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {path} HTTP/1.1\r\nHost: service\r\n{told}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def closed(address: str, requests: Sequence[bytes], lines: int, within: float = 60.0) -> list[Answered]:
    """Each of `lines` connections sends its next request when the last was answered, until all are."""
    left, found = iter(requests), []

    async def one() -> None:
        line = Line(address)
        for each in left:
            begin = perf_counter()
            status, body = await line.ask(each, within)
            found.append(Answered(status, begin, perf_counter(), body))
        line.close()

    await asyncio.gather(*(one() for _ in range(lines)))
    return found


async def opened(
    address: str, make: Callable[[int], bytes], rate: float, seconds: float, lines: int, within: float = 60.0
) -> list[Answered]:
    """Requests come at `rate` a second, whether the earlier ones are answered or not, over as many as `lines` connections."""
    free = [Line(address) for _ in range(lines)]
    waiting: asyncio.Queue[Line] = asyncio.Queue()
    for line in free:
        waiting.put_nowait(line)
    found: list[Answered] = []

    async def one(k: int, due: float, line: Line) -> None:
        status, body = await line.ask(make(k), within)
        found.append(Answered(status, due, perf_counter(), body))
        waiting.put_nowait(line)

    begin, tasks = perf_counter() + 0.05, set()
    for k in range(int(rate * seconds)):
        due = begin + k / rate
        early = due - perf_counter()
        if early > 0:
            await asyncio.sleep(early)
        task = asyncio.ensure_future(one(k, due, await waiting.get()))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for line in free:
        line.close()
    return found


def pressed(work: Awaitable[list[Answered]]) -> list[Answered]:
    async def run() -> list[Answered]:
        return await work

    return asyncio.run(run())


def _length(head: bytes) -> int:
    at = head.find(b"\r\ncontent-length:")
    return int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
