"""The progress bar: loss, learning rate, windows per second, time left, and a warning in words when embeddings collapse."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tsrep.training import Observer


class Progress(Observer):
    """A line on standard error that is rewritten.

    title:   what is being trained.
    windows: series in one step.
    verdict: numbers of a step -> a warning in words, or None.
    """

    def __init__(self, title: str, windows: int, verdict: Callable[[Mapping[str, float]], str | None]) -> None:
        self.title, self.windows, self.verdict = title, windows, verdict
        self.bar: Any = None

    def start(self, length: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=False,
        )
        self.task = self.bar.add_task(self.title, total=length, completed=done, numbers="")
        self.begun_at, self.began, self.meter, self.warned = done, time.perf_counter(), "", ""
        self.bar.start()

    def step(self, step: int, values: Mapping[str, float]) -> None:
        pace = (step - self.begun_at) * self.windows / (time.perf_counter() - self.began)
        loss = sum(value for name, value in values.items() if name.startswith("loss/"))
        if "rank" in values:
            self.meter = f"uniformity {values['uniformity']:.2f} · rank {values['rank']:.0f}"
            warning = self.verdict(values)
            if warning and warning != self.warned:
                self.bar.console.print(f"[yellow]step {step}: {warning}[/]")
                self.warned = warning
        numbers = f"loss {loss:.4f} · rate {values['rate']:.1e} · {pace:,.0f} windows/s · {self.meter}"
        self.bar.update(self.task, completed=step, numbers=numbers)

    def stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
