"""A client of the embedding service: sync and async, Arrow by default, retries with back-off. It needs httpx, of the extra client.

    with Client("http://localhost:3000", key="tsrep_…") as client:
        Z = client.embed(X)                      # (n, feature) float32, as model.embed(X) gives
        client.similarity(X[0], X[1]).cosine

`AsyncClient` has the same methods to be awaited. Many windows are sent in several requests, one after another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from tsrep.integrations.client_calls import (
    Call,
    Calls,
    Classes,
    Retry,
    ServiceError,
    Similarity,
    headers_of,
    may_be_done,
    read,
    together,
    wait_before,
)
from tsrep.integrations.client_search import Collection, Neighbour, SearchCalls, Value

if TYPE_CHECKING:
    import httpx

__all__ = ["AsyncClient", "Classes", "Client", "Collection", "Neighbour", "Retry", "ServiceError", "Similarity"]

T = TypeVar("T")

PATIENT = Retry()

Pool = Literal["max", "mean", "last", "rich", "levels"]
Metric = Literal["euclidean", "cosine"]
Dtype = Literal["float32", "float16", "int8"]


class Client:
    """Asks a service.

    address: such as http://localhost:3000. key: where the service wants one. model: its name, the service's first by default.
    timeout: seconds for a try. batch: windows of a request. retry: how often and how soon it tries again.
    transport: of httpx, for tests.
    """

    def __init__(
        self, address: str, *, key: str | None = None, model: str | None = None, timeout: float = 30.0, batch: int = 256,
        retry: Retry = PATIENT, transport: Any = None,
    ) -> None:  # fmt: skip
        import httpx

        self._calls, self._search, self._retry = Calls(model, batch), SearchCalls(model, batch), retry
        self._http = httpx.Client(base_url=address, timeout=timeout, headers=headers_of(key), transport=transport)

    def embed(
        self, X: Any, pool: Pool | None = None, *, dtype: Dtype = "float32", dimensions: int | None = None
    ) -> np.ndarray:
        """Embeddings of windows, (n, feature) float32; NaN is missing.

        X:          (n, channel, time), a sequence of (channel, time) of any lengths, or whatever `tsrep.as_panel` takes.
        dtype:      in which they travel; int8 comes back as scale * q, near the float32 by half a scale of each vector.
        dimensions: only the first so many numbers.
        """
        return np.concatenate([self._ask(call) for call in self._calls.embed(X, pool, dtype, dimensions)])

    def steps(
        self, X: Any, *, dtype: Literal["float32", "float16"] = "float32", dimensions: int | None = None
    ) -> list[np.ndarray]:
        """An embedding of every time step: (feature, time) for each window."""
        return [one for call in self._calls.steps(X, dtype, dimensions) for one in self._ask(call)]

    def classify(self, X: Any) -> Classes:
        """What the model's head says of each window. ServiceError (404, head) where it carries none."""
        return together([self._ask(call) for call in self._calls.classify(X)])

    def forecast(self, X: Any) -> np.ndarray:
        """The steps after each window, (n, channel, horizon) float32 in the units of the data; which channels says `info`.
        ServiceError (404, head) where the model carries no such head."""
        return np.concatenate([self._ask(call) for call in self._calls.forecast(X)])

    def similarity(self, one: Any, other: Any, pool: Pool | None = None) -> Similarity:
        """How near the embeddings of two windows (channel, time) are."""
        return self._ask(self._calls.similarity(one, other, pool))

    def create_collection(self, name: str, *, metric: Metric = "euclidean", description: str = "") -> Collection:
        """A collection of windows that the model embeds. Where there is one of this name, it is left as it is, with the description it
        has; ServiceError (409, exists) where it is of another model or metric."""
        return self._ask(self._search.create(name, metric, description))

    def collections(self) -> list[Collection]:
        """Every collection of the service."""
        return self._ask(self._search.all())

    def collection(self, name: str) -> Collection:
        """Its model, metric and count. ServiceError (404, collection) where there is none."""
        return self._ask(self._search.one(name))

    def delete_collection(self, name: str) -> None:
        """With all its windows."""
        self._ask(self._search.drop(name))

    def add(
        self, name: str, ids: Sequence[str], X: Any, metadata: Sequence[Mapping[str, Value] | None] | None = None
    ) -> int:
        """Adds windows to a collection, or replaces those of the same ids. How many were new; when it returns, all are kept.

        X: as in `embed`. metadata: of each window, flat: texts, numbers, truths and None.
        """
        return sum([self._ask(call) for call in self._search.add(name, ids, X, metadata)])

    def delete(self, name: str, ids: Sequence[str]) -> int:
        """Deletes windows of a collection; how many were there."""
        return sum([self._ask(call) for call in self._search.delete(name, ids)])

    def query(self, name: str, X: Any, k: int = 10, where: Mapping[str, Any] | None = None) -> list[list[Neighbour]]:
        """The nearest windows of a collection, for each window, the nearest first.

        where: what their metadata must be: {"label": "walk"}, {"label": {"in": ["walk", "run"]}}, {"age": {">=": 18, "<": 65}}; of
               several keys all.
        """
        return [one for call in self._search.query(name, X, k, where) for one in self._ask(call)]

    def info(self) -> dict[str, Any]:
        """What the service says of the model and of its limits."""
        return self._ask(self._calls.info())

    def ready(self) -> bool:
        """Whether every model of the service is there and works; False too where nobody answers."""
        try:
            return self._ask(self._calls.ready(), Retry(0))
        except ServiceError:
            return False

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, call: Call[T], retry: Retry | None = None) -> T:
        import httpx

        waits, doubtful = (retry or self._retry).waits(), False
        while True:
            answer: httpx.Response | Exception
            try:
                answer = self._http.request(**call.given())
            except httpx.TransportError as error:
                answer = error
            wait = wait_before(answer, waits)
            if wait is None:
                return read(call, answer, doubtful)
            doubtful = doubtful or may_be_done(answer)
            time.sleep(wait)


class AsyncClient:
    """`Client`, to be awaited."""

    def __init__(
        self, address: str, *, key: str | None = None, model: str | None = None, timeout: float = 30.0, batch: int = 256,
        retry: Retry = PATIENT, transport: Any = None,
    ) -> None:  # fmt: skip
        import httpx

        self._calls, self._search, self._retry = Calls(model, batch), SearchCalls(model, batch), retry
        self._http = httpx.AsyncClient(base_url=address, timeout=timeout, headers=headers_of(key), transport=transport)

    async def embed(
        self, X: Any, pool: Pool | None = None, *, dtype: Dtype = "float32", dimensions: int | None = None
    ) -> np.ndarray:
        """As `Client.embed`."""
        return np.concatenate([await self._ask(call) for call in self._calls.embed(X, pool, dtype, dimensions)])

    async def steps(
        self, X: Any, *, dtype: Literal["float32", "float16"] = "float32", dimensions: int | None = None
    ) -> list[np.ndarray]:
        """As `Client.steps`."""
        return [one for call in self._calls.steps(X, dtype, dimensions) for one in await self._ask(call)]

    async def classify(self, X: Any) -> Classes:
        """As `Client.classify`."""
        return together([await self._ask(call) for call in self._calls.classify(X)])

    async def forecast(self, X: Any) -> np.ndarray:
        """As `Client.forecast`."""
        return np.concatenate([await self._ask(call) for call in self._calls.forecast(X)])

    async def similarity(self, one: Any, other: Any, pool: Pool | None = None) -> Similarity:
        """As `Client.similarity`."""
        return await self._ask(self._calls.similarity(one, other, pool))

    async def create_collection(self, name: str, *, metric: Metric = "euclidean", description: str = "") -> Collection:
        """As `Client.create_collection`."""
        return await self._ask(self._search.create(name, metric, description))

    async def collections(self) -> list[Collection]:
        """As `Client.collections`."""
        return await self._ask(self._search.all())

    async def collection(self, name: str) -> Collection:
        """As `Client.collection`."""
        return await self._ask(self._search.one(name))

    async def delete_collection(self, name: str) -> None:
        """As `Client.delete_collection`."""
        await self._ask(self._search.drop(name))

    async def add(
        self, name: str, ids: Sequence[str], X: Any, metadata: Sequence[Mapping[str, Value] | None] | None = None
    ) -> int:
        """As `Client.add`."""
        return sum([await self._ask(call) for call in self._search.add(name, ids, X, metadata)])

    async def delete(self, name: str, ids: Sequence[str]) -> int:
        """As `Client.delete`."""
        return sum([await self._ask(call) for call in self._search.delete(name, ids)])

    async def query(
        self, name: str, X: Any, k: int = 10, where: Mapping[str, Any] | None = None
    ) -> list[list[Neighbour]]:
        """As `Client.query`."""
        return [one for call in self._search.query(name, X, k, where) for one in await self._ask(call)]

    async def info(self) -> dict[str, Any]:
        """As `Client.info`."""
        return await self._ask(self._calls.info())

    async def ready(self) -> bool:
        """As `Client.ready`."""
        try:
            return await self._ask(self._calls.ready(), Retry(0))
        except ServiceError:
            return False

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, call: Call[T], retry: Retry | None = None) -> T:
        import httpx

        waits, doubtful = (retry or self._retry).waits(), False
        while True:
            answer: httpx.Response | Exception
            try:
                answer = await self._http.request(**call.given())
            except httpx.TransportError as error:
                answer = error
            wait = wait_before(answer, waits)
            if wait is None:
                return read(call, answer, doubtful)
            doubtful = doubtful or may_be_done(answer)
            await asyncio.sleep(wait)
