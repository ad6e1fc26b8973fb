"""Numbers of a run, handed over in no time and sent in batches by a thread of its own."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

LAST_ATTEMPTS = 3
"""How often the last numbers are sent to a store that fails."""


class Point(NamedTuple):
    """One number: name, value, step, and when it came about in milliseconds since 1970."""

    name: str
    value: float
    step: int
    when: int


class MetricWriter:
    """Collects the numbers of steps and sends them, oldest first, in batches of whole steps.

    send:  takes a batch, blocks until it is stored, raises where that fails. Called from one thread alone.
    most:  numbers that make a batch; a batch leaves when it is full (one step with more numbers makes several).
    pause: seconds after which an unfull batch leaves too, and between two attempts after a failure.

    What could not be sent is kept and tried again; `close` says how many numbers were lost in the end, `error` why.
    """

    def __init__(self, send: Callable[[list[Point]], None], *, most: int = 1000, pause: float = 5.0) -> None:
        self.error: Exception | None = None
        self._send, self._most, self._pause = send, most, pause
        self._waiting: list[list[Point]] = []  # a list of points for every step
        self._count = 0
        self._closing = False
        self._hurry = False
        self._retry_at = -math.inf  # no attempt before this time: a full buffer must not hammer a store that fails
        self._change = threading.Condition()
        # A daemon: a store that hangs cannot keep a process from ending, `close` waits as long as it was told to.
        self._thread = threading.Thread(target=self._work, name="tsrep-metrics", daemon=True)
        self._thread.start()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Note the numbers of a step. Never waits for the store."""
        now = int(time.time() * 1000)
        points = [Point(name, float(value), step, now) for name, value in values.items()]
        with self._change:
            self._waiting.append(points)
            self._count += len(points)
            if self._count >= self._most:
                self._change.notify()

    def hurry(self) -> None:
        """Send soon what is there, without waiting for it."""
        with self._change:
            self._hurry = True
            self._change.notify()

    def close(self, patience: float = 60.0) -> int:
        """Send what is left, wait for it at most `patience` seconds, and return how many numbers did not arrive."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(patience)
        with self._change:
            if self._thread.is_alive() and self.error is None:
                self.error = TimeoutError(f"no answer within {patience:g} s")
            return self._count

    def _work(self) -> None:
        last = LAST_ATTEMPTS
        while True:
            with self._change:
                self._change.wait_for(self._ready, self._pause)
                closing, self._hurry = self._closing, False
                if not closing and time.monotonic() < self._retry_at:
                    continue
            try:
                while batch := self._batch():
                    self._send([point for step in batch for point in step])
                    with self._change:
                        del self._waiting[: len(batch)]
                        self._count -= sum(map(len, batch))
                self.error = None
            except Exception as error:  # whatever the store raises: training goes on, and the end of it tells
                self.error, self._retry_at = error, time.monotonic() + self._pause
            if closing:
                last -= 1
                if self.error is None or not last:
                    return
                time.sleep(min(self._pause, 1.0))

    def _ready(self) -> bool:
        if self._closing:
            return True
        return (self._hurry or self._count >= self._most) and time.monotonic() >= self._retry_at

    def _batch(self) -> list[list[Point]]:
        """The oldest steps whose numbers fit one batch, at least one step."""
        with self._change:
            size = taken = 0
            for points in self._waiting:
                size += len(points)
                if taken and size > self._most:
                    break
                taken += 1
            return self._waiting[:taken]
