"""What the client sends to the collections of a service, and how it reads what comes back."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from tsrep.integrations.client_calls import ARROW, JSON, Call, arrow_stream, as_windows

if TYPE_CHECKING:
    import httpx

Value = str | int | float | bool | None
"""Of metadata, which is flat."""

PATH = "/v1/collections"

QUERIED = 64
"""Windows of a query at most, as the service has it by default: each is compared with the whole collection."""


@dataclass(frozen=True)
class Collection:
    """A collection: the model that embeds its windows, and identity, the mark of what that model gives. metric: euclidean or cosine.
    features: numbers of an embedding. count: windows that it holds."""

    name: str
    model: str
    identity: str
    metric: str
    features: int
    description: str
    count: int


@dataclass(frozen=True)
class Neighbour:
    """A window of a collection. distance: Euclidean, or 1 − cosine similarity."""

    id: str
    distance: float
    metadata: Mapping[str, Value]


@dataclass(frozen=True)
class SearchCalls:
    """The requests of both clients."""

    model: str | None
    batch: int

    def create(self, name: str, metric: str, description: str) -> Call[Collection]:
        body = {"model": self.model, "metric": metric, "description": description}
        return Call("PUT", _path(name), _collection, {}, {"Content-Type": JSON}, json.dumps(body).encode())

    def all(self) -> Call[list[Collection]]:
        return Call("GET", PATH, lambda answer: [Collection(**one) for one in answer.json()["collections"]])

    def one(self, name: str) -> Call[Collection]:
        return Call("GET", _path(name), _collection)

    def drop(self, name: str) -> Call[bool]:
        return Call("DELETE", _path(name), lambda answer: bool(answer.json()["deleted"]), done=True)

    def add(
        self, name: str, ids: Sequence[str], X: Any, metadata: Sequence[Mapping[str, Value] | None] | None
    ) -> Iterator[Call[int]]:
        windows = as_windows(X)
        told: list[Mapping[str, Value] | None] = [None] * len(windows) if metadata is None else list(metadata)
        for many, what in ((len(ids), "ids"), (len(told), "metadata")):
            if many != len(windows):
                raise ValueError(f"expected {what} of each of {len(windows)} windows, got {many}")
        known = _ids(ids)
        # Before the first request: what can not be sent adds nothing.
        words = [None if one is None else _json(dict(one), f"metadata of window {i}") for i, one in enumerate(told)]
        for begin in range(0, max(1, len(windows)), self.batch):
            part = slice(begin, begin + self.batch)
            columns: dict[str, Sequence[str | None]] = {"id": known[part], "metadata": words[part]}
            headers = {"Content-Type": ARROW, "Accept": JSON}
            body = arrow_stream(windows[part], columns)
            yield Call("POST", _path(name) + "/windows", lambda answer: int(answer.json()["added"]), {}, headers, body)

    def delete(self, name: str, ids: Sequence[str]) -> Iterator[Call[int]]:
        known = _ids(ids)
        for begin in range(0, max(1, len(known)), self.batch):
            body = json.dumps({"ids": known[begin : begin + self.batch]}).encode()
            yield Call(
                "DELETE",
                _path(name) + "/windows",
                lambda answer: int(answer.json()["deleted"]),
                {},
                {"Content-Type": JSON},
                body,
            )

    def query(
        self, name: str, X: Any, k: int, where: Mapping[str, Any] | None
    ) -> Iterator[Call[list[list[Neighbour]]]]:
        windows = as_windows(X)
        params = {"k": str(k)} | ({} if where is None else {"filter": _json(where, "the filter")})
        batch = min(self.batch, QUERIED)
        for begin in range(0, max(1, len(windows)), batch):
            part = windows[begin : begin + batch]

            def neighbours(answer: httpx.Response, queries: int = len(part)) -> list[list[Neighbour]]:
                return _neighbours(answer, queries)

            headers = {"Content-Type": ARROW, "Accept": ARROW}
            yield Call("POST", _path(name) + "/query", neighbours, params, headers, arrow_stream(part))


def _path(name: str) -> str:
    """Of a collection. The name stays one part of the path, whatever it is; the service says whether it is a name."""
    return f"{PATH}/{quote(name, safe='').replace('.', '%2E')}"


def _ids(ids: Sequence[str]) -> list[str]:
    """Texts, also of a numpy array. TypeError for something else."""
    for one in ids:
        if not isinstance(one, str):
            raise TypeError(f"expected ids to be texts, got {one!r} ({type(one).__name__}): say str(id)")
    return [str(one) for one in ids]


def _json(told: Mapping[str, Any], what: str) -> str:
    """As JSON, numpy's numbers too. TypeError and ValueError for what is no metadata."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
            return value.item()
        raise TypeError(f"expected texts, numbers, truths and None in {what}, got {value!r} ({type(value).__name__})")

    try:
        return json.dumps(told, allow_nan=False, default=plain)
    except ValueError:  # of json itself, which does not say where
        raise ValueError(f"expected finite numbers in {what}, got {dict(told)!r:.200}: say None for missing") from None


def _collection(answer: httpx.Response) -> Collection:
    return Collection(**answer.json())


def _neighbours(answer: httpx.Response, queries: int) -> list[list[Neighbour]]:
    import pyarrow as pa

    rows = pa.ipc.open_stream(answer.content).read_all()
    ids, told = rows.column("id").to_pylist(), rows.column("metadata").to_pylist()
    found = [
        Neighbour(i, d, json.loads(m)) for i, d, m in zip(ids, rows.column("distance").to_pylist(), told, strict=True)
    ]
    edges = np.searchsorted(rows.column("query").to_numpy(), np.arange(queries + 1))
    return [found[low:high] for low, high in itertools.pairwise(edges)]
