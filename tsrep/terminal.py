"""What the commands say and print: tables to standard output, words to standard error. Rich is imported when it is used."""

from __future__ import annotations

import sys
from typing import Any


def table(title: str, *columns: str) -> Any:
    from rich.table import Table

    made = Table(title=title, title_justify="left", header_style="bold", show_lines=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def show(what: Any) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 180).print(what)


def say(text: str) -> None:
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(text)


def dimmed(text: str) -> None:
    say(f"[dim]{text}[/]")


def fail(text: str, code: int) -> None:
    """The error in red, and the end of the process."""
    from rich.console import Console
    from rich.markup import escape

    if text:
        Console(stderr=True, highlight=False, soft_wrap=True).print("[red]error:[/]", escape(text))
    sys.exit(code)
