"""Bodies of the routes of collections, read and judged: what is created, added, deleted and asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

from pydantic import FailFast, TypeAdapter
from pydantic_core import from_json
from typing_extensions import TypedDict

from . import arrow, facts, npy, wire
from .refusal import Refused
from .settings import Settings
from .windows import Block

LONGEST_DESCRIPTION = 1000
"""Characters."""
LONGEST_CREATED = 2**14
"""Bytes of the body that creates a collection."""

CREATED = '{"model": "first", "metric": "cosine", "description": "walks of 2024"}'
ADDED = '{"ids": ["a"], "windows": [[[0.1, null, 0.3]]], "metadata": [{"subject": 3}]}'
DELETED = '{"ids": ["a", "b"]}'
ASKED = '{"windows": [[[0.1, null, 0.3]]], "k": 5, "filter": {"subject": 3}}'


class _Created(TypedDict):
    __pydantic_config__ = wire.STRICT  # type: ignore[misc]
    model: NotRequired[str | None]
    metric: NotRequired[str]
    description: NotRequired[str]


class _Added(TypedDict):
    __pydantic_config__ = wire.STRICT  # type: ignore[misc]
    ids: Annotated[list[str], FailFast()]
    windows: Annotated[list[wire.Window], FailFast()]
    metadata: NotRequired[Annotated[list[dict[str, Any] | None], FailFast()]]


class _Deleted(TypedDict):
    __pydantic_config__ = wire.STRICT  # type: ignore[misc]
    ids: Annotated[list[str], FailFast()]


class _Asked(TypedDict):
    __pydantic_config__ = wire.STRICT  # type: ignore[misc]
    windows: Annotated[list[wire.Window], FailFast()]
    k: NotRequired[int]
    filter: NotRequired[dict[str, Any] | None]


_CREATED, _ADDED, _DELETED, _ASKED = map(TypeAdapter, (_Created, _Added, _Deleted, _Asked))


@dataclass(frozen=True)
class Added:
    """Windows with their ids and metadata, in the order of the request."""

    ids: list[str]
    blocks: list[Block]
    metadata: list[dict[str, facts.Value]]


@dataclass(frozen=True)
class Asked:
    """Windows whose neighbours are asked for. condition: on their metadata, as the database takes it."""

    blocks: list[Block]
    k: int
    condition: str | None


def created(body: bytes) -> dict[str, Any]:
    """{model, metric, description}; what is not said is left out."""
    held = wire.parsed(_CREATED, body, ["model", "metric", "description"], CREATED) if body.strip() else {}
    if len(held.get("description", "")) > LONGEST_DESCRIPTION:
        got = len(held["description"])
        message = f"expected a description of at most {LONGEST_DESCRIPTION} characters, got {got}"
        raise Refused("metadata", message, LONGEST_DESCRIPTION, got)
    return held


def added(form: str, body: bytes, settings: Settings) -> Added:
    if form == wire.ARROW:
        ids, blocks, told = arrow.read_entries(body, settings)
        metadata: Sequence[Any] = [
            None if one is None else _object(one, f"of window {row}") for row, one in enumerate(told)
        ]
        count = len(ids)
    else:
        held = wire.parsed(_ADDED, body, ["ids", "windows", "metadata"], ADDED)
        ids, count = held["ids"], len(held["windows"])
        blocks = wire.windows_of(held["windows"], settings)
        metadata = held.get("metadata", [None] * count)
    for name, many in (("ids", len(ids)), ("metadata", len(metadata))):
        if many != count:
            raise Refused("ids", f"expected as many {name} as windows, {count}, got {many}", count, many)
    told_of = [facts.checked(one, settings, f"of window {row}") for row, one in enumerate(metadata)]
    return Added(_ids(ids, settings), blocks, told_of)


def longest_deleted(settings: Settings) -> int:
    """Bytes of the body that deletes windows: as many ids as may be, each character of them written as \\uXXXX\\uXXXX."""
    return 1024 + settings.max_windows * (12 * settings.max_id + 8)


def deleted(body: bytes, settings: Settings) -> list[str]:
    ids = wire.parsed(_DELETED, body, ["ids"], DELETED)["ids"]
    if not 1 <= len(ids) <= settings.max_windows:
        most = settings.max_windows
        raise Refused("ids", f"expected 1 to {most} ids in a request, got {len(ids)}", most, len(ids))
    return _ids(ids, settings)


def asked(form: str, body: bytes, query: Mapping[str, str], settings: Settings) -> Asked:
    """JSON says k and filter itself, beside npy and Arrow the query does."""
    if form == wire.JSON:
        held = wire.parsed(_ASKED, body, ["windows", "k", "filter"], ASKED)
        blocks, k, wanted = wire.windows_of(held["windows"], settings), held.get("k", 10), held.get("filter")
        if query:
            raise Refused("query", "expected k and filter in the body of JSON, got them in the query")
    else:
        said = query.get("k", "10")
        k = int(said) if said.isascii() and said.isdecimal() and len(said) < 9 else 0
        wanted = _object(query["filter"], "as filter", "filter") if "filter" in query else None
        blocks = (npy if form == wire.NPY else arrow).read(body, settings)
    if not 1 <= k <= settings.max_neighbours:
        most = settings.max_neighbours
        raise Refused("neighbours", f"expected k to be a whole number from 1 to {most}", most, k)
    windows = sum(len(block.rows) for block in blocks)
    if windows > settings.max_query_windows:
        most = settings.max_query_windows
        raise Refused("windows", f"expected at most {most} windows in a query, got {windows}", most, windows)
    return Asked(blocks, k, facts.condition(wanted, settings))


def _ids(ids: Sequence[str | None], settings: Settings) -> list[str]:
    most, seen = settings.max_id, set()
    for row, one in enumerate(ids):
        if one is None or not 1 <= len(one) <= most:
            got = "null" if one is None else len(one)
            raise Refused("ids", f"expected ids of 1 to {most} characters, got {got} at {row}", most, got)
        if one in seen:
            raise Refused("ids", f"expected each id once in a request, got '{one[:50]}' twice", got=one[:50])
        seen.add(one)
    return [one for one in ids if one is not None]


def _object(text: str, where: str, reason: str = "metadata") -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(reason, f"expected a JSON object {where}, got: {str(error)[:100]}") from None
