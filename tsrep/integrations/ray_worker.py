"""What runs inside the processes that Ray starts: the loop, checkpoints through Ray, and the board where driver and workers meet."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tsrep

CHECKPOINT = "checkpoint.safetensors"

POLL = 0.1
"""Seconds between two looks of the driver at the workers, and of Ray's controller: every checkpoint waits for one of these."""

FAULTS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, AssertionError, ImportError)
"""Errors of data, settings or code: a restart would meet them again, so they go to the caller as they are."""


@dataclass(frozen=True)
class Job:
    """What a worker must know beside the data.

    out: the folder of the run, or None. storage: Ray's. home: where the driver stands. All absolute.
    """

    plan: tsrep.Plan
    licence: str | None
    out: str | None
    storage: str
    home: str


class Board:
    """An actor on which the workers write how far they are, and the driver that it wants them to stop."""

    def __init__(self) -> None:
        self.news: list[tuple[Any, ...]] = []
        self.stopping = False

    def tell(self, *what: Any) -> bool:
        """From the first worker: what happened. -> whether to stop."""
        self.news.append(what)
        return self.stopping

    def take(self) -> list[tuple[Any, ...]]:
        """What was told since the last time."""
        news, self.news = self.news, []
        return news

    def stop(self) -> None:
        self.stopping = True


class Reporter(tsrep.Observer):
    """One on every worker: checkpoints go to Ray; the first worker tells the board how far it is, ten times a second at most."""

    def __init__(self, board: Any, first: bool) -> None:
        self.board, self.first = board, first
        self.reached, self.at, self.stopping = 0, 0.0, False
        self.values: dict[str, float] = {}
        self.told: Any = None

    def start(self, length: int, done: int) -> None:
        self.reached = done
        if self.first:
            self.told = self.board.tell.remote("start", length, done)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        import ray

        self.reached = step
        if not self.first:
            return
        self.values |= values  # numbers of the meters come seldom and must not be skipped
        if time.monotonic() - self.at >= POLL and ray.wait([self.told], timeout=0)[0]:
            self.stopping = ray.get(self.told)
            self._tell()

    def saved(self, step: int, path: Path) -> None:
        import ray.train

        numbers = {"step": step}
        if not self.first:
            ray.train.report(numbers)  # all workers must report
            return
        with tempfile.TemporaryDirectory() as beside:
            shutil.copy2(path, beside)
            ray.train.report(numbers, checkpoint=ray.train.Checkpoint.from_directory(beside))

    def stop(self) -> None:
        if self.first and self.values:
            self._tell()

    def _tell(self) -> None:
        self.told = self.board.tell.remote("step", self.reached, self.values)
        self.values, self.at = {}, time.monotonic()


def work(config: dict[str, Any]) -> None:
    """What every worker runs, and runs again when one of them was lost. config: job, board (actor), panel (reference)."""
    import ray
    import ray.train
    import torch

    job, board, world = config["job"], config["board"], tsrep.World.current()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // ray.train.get_context().get_local_world_size()))
    with suppress(OSError):  # relative paths mean what they mean to the driver, where the machine has its folder
        os.chdir(job.home)
    reporter = Reporter(board, world.rank == 0)
    try:
        _train(job, ray.get(config["panel"]), world, reporter)
    except tsrep.Interrupted:
        if world.rank == 0:
            ray.get(board.tell.remote("interrupted", reporter.reached))
    except FAULTS as error:
        error.add_note(f"On worker {world.rank} of {world.size}:\n{traceback.format_exc()}")
        raise


def _train(job: Job, panel: tsrep.Panel | tsrep.Streams, world: tsrep.World, reporter: Reporter) -> None:
    import ray.train

    prepared = tsrep.prepare(panel, job.plan, job.licence)
    if len(prepared.train) < world.size:
        raise tsrep.InputError(
            f"expected at least {world.size} windows to train on, one for each worker, got {len(prepared.train)}"
        )
    watching = tsrep.observers_of(job.plan, panel) if world.rank == 0 else []
    with ExitStack() as stack:
        folder = Path(job.out or stack.enter_context(tempfile.TemporaryDirectory()))
        former, resume = ray.train.get_checkpoint(), None
        if former is not None:  # workers were lost
            resume = Path(stack.enter_context(former.as_directory())) / CHECKPOINT
        elif (folder / CHECKPOINT).is_file():
            resume = folder / CHECKPOINT
        observers = [reporter, *watching]
        model = tsrep.learn(job.plan, prepared, observers, folder, resume, world, stopping=lambda: reporter.stopping)
        if world.rank == 0:
            tsrep.finish(model, folder if job.out else None, watching)
            if not job.out:
                model.save(Path(job.storage) / "model")
