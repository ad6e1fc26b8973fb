"""Who watches a run from outside, and how a signal ends it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tsrep.series import Embedding


class Observer:
    """Sees a run from outside and changes nothing. All workers call it; most observers act on the first alone."""

    def start(self, length: int, done: int) -> None:
        """Training begins after step `done` of `length`."""

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Step `step` (from one) is done."""

    def saved(self, step: int, path: Path) -> None:
        """A checkpoint of this step lies at the path."""

    def stop(self) -> None:
        """Training ends, well or not."""

    def done(self, model: Any) -> None:
        """Training went well; the model is complete and saved where the plan says."""


Meter = Callable[[Mapping[str, Embedding]], Mapping[str, float]]
"""Embeddings of a step -> numbers to watch: alignment, uniformity, rank."""


class Interrupted(RuntimeError):
    """SIGINT or SIGTERM came: the state was saved (where there is a folder) and training stopped."""

    def __init__(self, signum: int, step: int, path: Path | None) -> None:
        kept = (
            f"saved at step {step} in {path.parent}; continue with: tsrep resume {path.parent}"
            if path
            else "nothing was saved"
        )
        super().__init__(f"interrupted by {signal.Signals(signum).name}: {kept}")
        self.signum = signum


@contextmanager
def signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM are noted and answered after the step. Outside the main thread signals are not ours."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    names = (signal.SIGINT, signal.SIGTERM)
    before = {name: signal.signal(name, lambda number, _: caught.append(number)) for name in names}
    try:
        yield caught
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
