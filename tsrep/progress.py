"""The progress bar: loss, learning rate, windows per second, time left, and a warning in words when embeddings collapse."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tsrep.observers import Observer


class Progress(Observer):
    """A line on standard error that is rewritten.

    title:   what is being trained.
    windows: series in one step.
    verdict: numbers of a step -> a warning in words, or None.
    """

    def __init__(self, title: str, windows: int, verdict: Callable[[Mapping[str, float]], str | None]) -> None:
        self.title, self.windows, self.verdict = title, windows, verdict
        self.bar: Any = None
        self.live: Any = None

    def start(self, length: int, done: int) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.text import Text

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(compact=True),
        )
        self.meter = Text("", style="dim")
        self.live = Live(Group(self.bar, self.meter), console=Console(stderr=True), refresh_per_second=4)
        self.task = self.bar.add_task(self.title, total=length, completed=done, numbers="")
        self.done_before, self.began = done, time.perf_counter()
        self.warned: set[str] = set()
        self.live.start()

    def step(self, step: int, values: Mapping[str, float]) -> None:
        pace = (step - self.done_before) * self.windows / (time.perf_counter() - self.began)
        loss = sum(value for name, value in values.items() if name.startswith("loss/"))
        numbers = f"loss {loss:.4f} · rate {values['rate']:.0e} · {pace:,.0f} windows/s"
        self.bar.update(self.task, completed=step, numbers=numbers)
        if "rank" in values:
            told = f"alignment {values['alignment']:.2f} · uniformity {values['uniformity']:.2f} · rank {values['rank']:.1f}"
            self.meter.plain = f"{told} of {values['rank_of']:.0f}"
            warning = self.verdict(values)
            kind = (warning or "").split(":", 1)[0]  # what follows are numbers, which change at every look
            if warning and kind not in self.warned:
                self.live.console.print(f"[yellow]step {step}: {warning}[/]")
                self.warned.add(kind)

    def stop(self) -> None:
        if self.bar is not None:
            self.live.stop()
            if not self.live.console.is_terminal:
                self.live.console.print()  # the last line of what is not rewritten has no end of its own
