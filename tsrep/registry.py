"""What can be chosen by name: every file of a room that holds a configuration with `build` is found by itself."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from tsrep.errors import InputError, nearest


@cache
def choices(room: str) -> Mapping[str, type]:
    """name -> configuration class of a room: "methods", "encoders" or "mining". The name is that of the file."""
    package = importlib.import_module(f"tsrep.{room}")
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(package.__path__):
        for part in vars(importlib.import_module(f"{package.__name__}.{module.name}")).values():
            own = inspect.isclass(part) and part.__module__ == f"{package.__name__}.{module.name}"
            if own and is_dataclass(part) and hasattr(part, "build"):
                found[module.name] = part
    return found


def choice(room: str, name: str) -> type:
    known = choices(room)
    if name not in known:
        raise InputError(f"unknown {_noun(room)} '{name}'; {nearest(name, known)}")
    kind: type = known[name]
    return kind


def spoken(room: str, text: str) -> dict[str, Any]:
    """ "ts2vec" -> {name: ts2vec};  "tsai(TSTPlus)" -> {name: tsai, arch: TSTPlus}: the argument is the first field."""
    called = re.fullmatch(r"(\w+)\(\s*['\"]?([\w.\-]+)['\"]?\s*\)", text.strip())
    if not called:
        return {"name": text.strip()}
    name, argument = called.groups()
    return {"name": name, fields(choice(room, name))[0].name: argument}


def name_of(room: str, part: object) -> str:
    """The name under which a configuration is chosen."""
    for name, kind in choices(room).items():
        if kind is type(part):
            return name
    raise InputError(f"expected the configuration of a {_noun(room)}, got {type(part).__name__}")


def summary(kind: type) -> str:
    """First line of the docstring: what it does and where it is from."""
    return (inspect.getdoc(kind) or "").split("\n", 1)[0]


def field_texts(kind: type) -> dict[str, str]:
    """What the docstring says of each field ("name: text", continued on deeper lines)."""
    texts: dict[str, str] = {}
    current = None
    for line in (inspect.getdoc(kind) or "").splitlines():
        begin = re.match(r"(\w+(?:, \w+)*):\s+(\S.*)", line)
        if begin:
            current = begin[1].split(", ")
            texts |= dict.fromkeys(current, begin[2])
        elif current and line.startswith("  "):
            texts |= {name: f"{texts[name]} {line.strip()}" for name in current}
        else:
            current = None
    return {f.name: texts.get(f.name, "") for f in fields(kind)}


def table(room: str) -> str:
    """Markdown table of a room, "methods" or "mining": name, what it does, where it is from. The README holds it between two marks."""
    lines = [f"| {_noun(room)} | what it does | source |", "| --- | --- | --- |"]
    for name, kind in sorted(choices(room).items()):
        what, _, source = summary(kind).partition(". ")
        lines.append(f"| `{name}` | {what} | {source.removesuffix('.')} |")
    return "\n".join(lines)


def _noun(room: str) -> str:
    """What one part of a room is called."""
    return "miner" if room == "mining" else room.removesuffix("s")
