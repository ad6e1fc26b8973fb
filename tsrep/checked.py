"""A configuration from what a user said, checked by pydantic; its errors are ours."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from tsrep.errors import InputError, nearest

SHORT = reprlib.Repr()
"""How an error shows what was given: a file may hold anything."""
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother = 2, 120, 120


@cache
def adapter(kind: type) -> Any:
    """Pydantic's reading of a configuration; made once, it is slow to make."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def checked(kind: type, content: Mapping[str, Any], where: str) -> Any:
    """An instance of a configuration; InputError names the key, what was expected and what came."""
    from pydantic import ValidationError

    known = [f.name for f in fields(kind)]
    prefix = f"{where}." if where else ""
    for name in content:
        if name not in known:
            raise InputError(f"unknown key '{prefix}{name}' in the plan; {nearest(str(name), known)}")
    try:
        return adapter(kind).validate_python(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        key = prefix + ".".join(str(part) for part in first["loc"] if isinstance(part, str) and part in known)
        raise InputError(f"plan key '{key}': {first['msg'].lower()}, got {SHORT.repr(first['input'])}") from error
