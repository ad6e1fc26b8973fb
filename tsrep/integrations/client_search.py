"""What the client sends to the collections of a service, and how it reads what comes back."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsrep.integrations.client_calls import ARROW, JSON, Call, as_windows, stream_of

if TYPE_CHECKING:
    import httpx

Value = str | int | float | bool | None
"""Of metadata, which is flat."""

PATH = "/v1/collections"


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
        return Call("PUT", f"{PATH}/{name}", _collection, {}, {"Content-Type": JSON}, json.dumps(body).encode())

    def all(self) -> Call[list[Collection]]:
        return Call("GET", PATH, lambda answer: [Collection(**one) for one in answer.json()["collections"]])

    def one(self, name: str) -> Call[Collection]:
        return Call("GET", f"{PATH}/{name}", _collection)

    def drop(self, name: str) -> Call[bool]:
        return Call("DELETE", f"{PATH}/{name}", lambda answer: bool(answer.json()["deleted"]))

    def add(
        self, name: str, ids: Sequence[str], X: Any, metadata: Sequence[Mapping[str, Value] | None] | None
    ) -> Iterator[Call[int]]:
        windows = as_windows(X)
        told = [None] * len(windows) if metadata is None else list(metadata)
        for many, what in ((len(ids), "ids"), (len(told), "metadata")):
            if many != len(windows):
                raise ValueError(f"expected {what} of each of {len(windows)} windows, got {many}")
        for begin in range(0, max(1, len(windows)), self.batch):
            part = slice(begin, begin + self.batch)
            words = [None if one is None else json.dumps(dict(one)) for one in told[part]]
            columns: dict[str, Sequence[str | None]] = {"id": list(ids[part]), "metadata": words}
            headers = {"Content-Type": ARROW, "Accept": JSON}
            body = stream_of(windows[part], columns)
            yield Call("POST", f"{PATH}/{name}/windows", lambda answer: int(answer.json()["added"]), {}, headers, body)

    def delete(self, name: str, ids: Sequence[str]) -> Iterator[Call[int]]:
        for begin in range(0, max(1, len(ids)), self.batch):
            body = json.dumps({"ids": list(ids[begin : begin + self.batch])}).encode()
            yield Call(
                "DELETE",
                f"{PATH}/{name}/windows",
                lambda answer: int(answer.json()["deleted"]),
                {},
                {"Content-Type": JSON},
                body,
            )

    def query(
        self, name: str, X: Any, k: int, where: Mapping[str, Any] | None
    ) -> Iterator[Call[list[list[Neighbour]]]]:
        windows = as_windows(X)
        params = {"k": str(k)} | ({} if where is None else {"filter": json.dumps(where)})
        for begin in range(0, max(1, len(windows)), self.batch):
            part = windows[begin : begin + self.batch]

            def neighbours(answer: httpx.Response, queries: int = len(part)) -> list[list[Neighbour]]:
                return _neighbours(answer, queries)

            headers = {"Content-Type": ARROW, "Accept": ARROW}
            yield Call("POST", f"{PATH}/{name}/query", neighbours, params, headers, stream_of(part))


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
