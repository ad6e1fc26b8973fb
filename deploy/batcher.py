"""Batches by length: what has queued while the last batch ran goes next. One thread, no added wait.

BentoML's own batching joins requests before they are checked, so that one bad request fails its whole batch. Here only
checked windows of like length (`windows.room`) ever meet, and where a batch fails all the same, its requests are tried one by one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import numpy as np

from . import meters
from .refusal import Refused
from .visit import VISIT, Visit
from .windows import padded, room

Compute = Callable[[np.ndarray, str | None], np.ndarray]
"""(windows (n, channel, time), pool) -> (n, feature) or (n, feature, time)."""

T = TypeVar("T")


@dataclass(eq=False, frozen=True)
class _Job:
    values: np.ndarray
    pool: str | None
    future: asyncio.Future[np.ndarray]
    since: float
    visit: Visit | None


class Batcher:
    """Puts windows of concurrent requests through `compute` together.

    compute: runs in the one thread, never twice at a time.
    batch:   most windows in a call of it.
    queue:   most windows that wait or run.
    start:   called once in the thread before its first work.
    model:   by whose name its numbers are counted.
    """

    def __init__(
        self, compute: Compute, *, batch: int, queue: int, start: Callable[[], object] = lambda: None, model: str = ""
    ) -> None:
        self._compute, self._batch, self._queue = compute, batch, queue
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tsrep-encoder", initializer=start)
        self._waiting, self._pace = 0, 0.0
        self._jobs: OrderedDict[tuple[int, int, str | None], deque[_Job]] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._queued, self._windows = meters.QUEUED.labels(model=model), meters.BATCH.labels(model=model)
        self._took, self._gauge = meters.INFERENCE.labels(model=model), meters.WAITING.labels(model=model)

    async def embed(self, blocks: Sequence[np.ndarray], pool: str | None) -> list[np.ndarray]:
        """Embeddings of each block (k, channel, time). Refused (429) where the queue has no room for them.

        A request has one part of at most `batch` windows in the queue at a time: a large one never holds up the others
        for longer than that.
        """
        windows = sum(map(len, blocks))
        if self._waiting + windows > self._queue:
            asked = self._waiting + windows
            message = f"expected at most {self._queue} windows to wait, got {asked}: try again in a moment"
            raise Refused("queue_full", message, expected=self._queue, got=asked, again=self._waiting * self._pace)
        self._count(windows)
        try:
            return [await self._parts(block, pool) for block in blocks]
        finally:
            self._count(-windows)

    async def aside(self, work: Callable[[], T]) -> T:
        """Runs something else in the encoder's thread, next after the batch that runs now."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Waits for the running batch; what still waits fails."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _parts(self, block: np.ndarray, pool: str | None) -> np.ndarray:
        parts = [await self._put(block[at : at + self._batch], pool) for at in range(0, len(block), self._batch)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _put(self, values: np.ndarray, pool: str | None) -> asyncio.Future[np.ndarray]:
        job = _Job(values, pool, asyncio.get_running_loop().create_future(), perf_counter(), VISIT.get())
        self._jobs.setdefault((values.shape[1], room(values.shape[2]), pool), deque()).append(job)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return job.future

    def _take(self) -> list[_Job]:
        """The oldest jobs of the next length, up to a batch; lengths take turns. Abandoned jobs are dropped."""
        key, waiting = self._jobs.popitem(last=False)
        taken: list[_Job] = []
        room = self._batch
        while waiting and len(waiting[0].values) <= room:
            job = waiting.popleft()
            if not job.future.done():
                taken.append(job)
                room -= len(job.values)
        if waiting:
            self._jobs[key] = waiting
        return taken

    async def _run(self) -> None:
        while self._jobs:
            jobs = self._take()
            if not jobs:
                continue
            try:
                found = await self.aside(lambda jobs=jobs: self._join(jobs))  # type: ignore[misc]
            except Exception as error:
                if len(jobs) == 1:
                    _fail(jobs[0], error)
                else:
                    await self._one_by_one(jobs)
                continue
            at = 0
            for job in jobs:
                if not job.future.done():
                    part = found[at : at + len(job.values)]
                    job.future.set_result(part[:, :, : job.values.shape[2]] if job.pool == "steps" else part)
                at += len(job.values)

    async def _one_by_one(self, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            try:
                found = await self.aside(lambda job=job: self._join([job]))  # type: ignore[misc]
            except Exception as error:
                _fail(job, error)
            else:
                if not job.future.done():
                    job.future.set_result(found)

    def _join(self, jobs: Sequence[_Job]) -> np.ndarray:
        """In the thread: one call for all jobs, which share the pool and are of like length."""
        begin = perf_counter()
        for job in jobs:
            self._queued.observe(begin - job.since)
        values = _joined([job.values for job in jobs])
        self._windows.observe(len(values))
        try:
            return self._compute(values, jobs[0].pool)
        finally:
            took = perf_counter() - begin
            self._took.observe(took)
            self._pace += 0.1 * (took / len(values) - self._pace)  # seconds a window, of the last ten batches or so
            for job in jobs:
                if job.visit is not None:
                    job.visit.queue += begin - job.since
                    job.visit.inference += took

    def _count(self, change: int) -> None:
        self._waiting += change
        self._gauge.set(self._waiting)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """(k, channel, time) of several lengths -> one array, NaN behind the end of shorter ones."""
    if len({part.shape[2] for part in parts}) == 1:
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
    return padded([window for part in parts for window in part])


def _fail(job: _Job, error: Exception) -> None:
    if not job.future.done():
        job.future.set_exception(error)
