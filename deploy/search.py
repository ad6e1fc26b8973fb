"""Collections for search: the routes under /v1/collections. Windows are embedded here and kept by vectors.py.

A collection belongs to the numbers that a model gives (`Engine.identity`), whatever its name: when no model gives them, the collection
refuses (409) instead of comparing embeddings of two models. One thread writes, one change after another, so that a collection never
outgrows its limit; queries have threads of their own, and so has what only tells. A change is acknowledged when it is committed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache, cached_property
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import entries, facts, wire
from .answers import aside, counted_in_log, no_query_but, received, told_as_json
from .collected import changed, named, told_of
from .engine import Engine
from .numbers import comparable
from .refusal import Refused
from .settings import Settings
from .shelf import Shelf
from .visit import VISIT

if TYPE_CHECKING:
    from .vectors import Found, Kept, Vectors

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("tsrep.serve")

PATH = "/v1/collections"
METRICS = ("euclidean", "cosine")
SEARCHERS = 2
TIDIED = 60.0
"""Seconds between looks whether something that was deleted still lies on the disk."""


class Collections:
    """What the routes do. Without a place to keep collections in, or without LanceDB, each of them says what is missing (404)."""

    def __init__(self, settings: Settings, shelf: Shelf) -> None:
        self.settings, self.shelf = settings, shelf
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="tsrep-collections")
        self._closed = Event()
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="tsrep-collections-told")
        self._searchers = ThreadPoolExecutor(SEARCHERS, thread_name_prefix="tsrep-neighbours")

    def routes(self, answered: Callable[[Handler], Handler]) -> list[Route]:
        one = PATH + "/{name}"
        ways = [
            (PATH, "GET", self.all),
            (one, "GET", self.one),
            (one, "PUT", self.create),
            (one, "DELETE", self.drop),
            (f"{one}/windows", "POST", self.add),
            (f"{one}/windows", "DELETE", self.remove),
            (f"{one}/query", "POST", self.query),
        ]
        by_path: dict[str, dict[str, Handler]] = {}
        for path, method, handler in ways:
            by_path.setdefault(path, {})[method] = answered(handler)
        return [Route(path, _by_method(handlers), methods=list(handlers)) for path, handlers in by_path.items()]

    async def all(self, request: Request) -> Response:
        """Every collection."""
        no_query_but((), request)
        self._refuse_without()
        from .vectors import Unknown

        def look(vectors: Vectors) -> list[dict[str, Any]]:
            found = []
            for name in vectors.names():
                with suppress(Unknown):  # deleted meanwhile
                    found.append(told_of(name, vectors))
            return found

        return told_as_json({"collections": await self._read(look)})

    async def one(self, request: Request) -> Response:
        no_query_but((), request)
        name = named(request)
        return told_as_json(await self._read(lambda vectors: told_of(name, vectors)))

    async def create(self, request: Request) -> Response:
        """Makes it, or finds that it is there as it should be; 409 where one of this name is another one."""
        from .vectors import Kept

        name = named(request)
        self._refuse_without()
        said = await self._created(request)
        metric = said.get("metric", METRICS[0])
        if metric not in METRICS:
            known = ", ".join(METRICS)
            raise Refused(
                "metadata", f"expected metric to be one of {known}, got '{metric[:50]}'", METRICS, metric[:50]
            )
        with self._engine(said.get("model")) as engine:
            kept = Kept(engine.name, engine.identity, metric, engine.model.features, said.get("description", ""))

        def make(vectors: Vectors) -> tuple[bool, dict[str, Any]]:
            most, names = self.settings.max_collections, vectors.names()
            if name not in names and len(names) >= most:
                raise Refused("full", f"expected at most {most} collections, this would be one more", most, most + 1)
            made = vectors.create(name, kept)
            found = vectors.kept(name)
            # Another description is no other collection, and a model's name is for people: `identity` says which it is.
            told = {key: value for key, value in asdict(found).items() if key not in ("description", "model")}
            other = {key: value for key, value in told.items() if value != asdict(kept)[key]}
            if other:
                message = f"expected a new collection, '{name}' is there, with another {', '.join(other)}: choose another name"
                raise Refused("exists", message, got=other)
            return made, told_of(name, vectors)

        made, told = await self._write(make)
        return told_as_json(told, 201 if made else 200)

    async def drop(self, request: Request) -> Response:
        no_query_but((), request)
        name = named(request)
        await self._write(lambda vectors: vectors.drop(name))
        return told_as_json({"collection": name, "deleted": True})

    async def add(self, request: Request) -> Response:
        """Windows, embedded here; those of ids that are there already are replaced. All of them in one commit, or none."""
        name = named(request)
        kept = await self._read(lambda vectors: vectors.kept(name))
        with self._of(name, kept) as engine:
            form, _, body = await received(request, self.settings, (), (wire.JSON, wire.ARROW), (wire.JSON,))
            given = await aside(len(body), lambda: entries.added(form, body, self.settings))
            counted_in_log(given.blocks)
            made = comparable(await engine.embed(engine.checked(given.blocks), None), kept.metric)

        def put(vectors: Vectors) -> dict[str, Any]:
            most, new = self.settings.max_collection_windows, vectors.new(name, given.ids)
            if vectors.count(name) + new > most:
                message = (
                    f"expected at most {most} windows in a collection, '{name}' would hold {vectors.count(name) + new}"
                )
                raise Refused("full", message, most)
            if vectors.kept(name) != kept:  # deleted and made again in between
                raise changed(name, kept)
            told = [to_json(one).decode() for one in given.metadata]
            known = [facts.facts(one) for one in given.metadata]
            vectors.put(name, given.ids, made, told, known)
            return {"collection": name, "added": new, "replaced": len(given.ids) - new, "windows": vectors.count(name)}

        return told_as_json(await self._write(put))

    async def remove(self, request: Request) -> Response:
        """Deletes windows by their ids; those that are not there are none to it."""
        name = named(request)
        self._refuse_without()
        most = entries.longest_deleted(self.settings)
        _, _, body = await received(request, self.settings, (), (wire.JSON,), (wire.JSON,), most)
        ids = await aside(len(body), lambda: entries.deleted(body, self.settings))

        def take(vectors: Vectors) -> dict[str, Any]:
            gone = vectors.remove(name, ids)
            return {"collection": name, "deleted": gone, "windows": vectors.count(name)}

        return told_as_json(await self._write(take))

    async def query(self, request: Request) -> Response:
        """The nearest windows of the collection, of each window of the request, the nearest first."""
        name = named(request)
        kept = await self._read(lambda vectors: vectors.kept(name))
        with self._of(name, kept) as engine:
            form, accept, body = await received(
                request, self.settings, ("k", "filter"), answers=(wire.JSON, wire.ARROW)
            )
            asked = await aside(len(body), lambda: entries.asked(form, body, request.query_params, self.settings))
            counted_in_log(asked.blocks)
            made = comparable(await engine.embed(engine.checked(asked.blocks), None), kept.metric)

        over, most = Event(), self.settings.max_answer_bytes

        def look(vectors: Vectors) -> list[list[Found]]:
            if vectors.kept(name) != kept:  # deleted and made again in between
                raise changed(name, kept)
            return vectors.nearest(name, made, kept.metric, asked.k, asked.condition, most, over.is_set)

        try:
            found = await self._in(self._searchers, look)
        finally:  # also where it is given up: its thread must not go on
            over.set()
        told = {"collection": name, "model": kept.model, "metric": kept.metric}
        size = sum(len(one.id) + len(one.metadata) + 64 for each in found for one in each)
        return Response(await aside(size, lambda: wire.write_neighbours(accept, found, told)), media_type=accept)

    def warm(self) -> None:
        """Opens the database, which takes a second or two, before somebody waits for it; from now on it is kept tidy."""
        if self.settings.collections and _installed():
            self._readers.submit(lambda: self._vectors)
        if self.settings.collections and _installed() and not self.settings.collections.startswith("db://"):
            Thread(target=self._keep_tidy, name="tsrep-tidy", daemon=True).start()

    def _keep_tidy(self) -> None:
        vectors = self._vectors
        while not self._closed.wait(TIDIED):
            try:
                self._writer.submit(vectors.tidy).result()
            except Exception as error:  # the place does not answer: the next look may do better
                if not self._closed.is_set():
                    log.warning("collections stay untidy", extra={"told": {"error": str(error)[:200]}})

    def close(self) -> None:
        self._closed.set()
        self._writer.shutdown(wait=True, cancel_futures=True)
        for threads in (self._readers, self._searchers):
            threads.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _vectors(self) -> Vectors:
        from .vectors import Vectors

        return Vectors(self.settings.collections)

    def _refuse_without(self) -> None:
        wanted = [] if self.settings.collections else ["start the service with --collections FOLDER"]
        if not _installed():
            wanted.append('install LanceDB: pip install "tsrep[search]"')
        if wanted:
            raise Refused(
                "search", f"expected a service that keeps collections, this one does not: {' and '.join(wanted)}"
            )

    async def _created(self, request: Request) -> dict[str, Any]:
        no_query_but((), request)
        if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
            return {}
        _, _, body = await received(request, self.settings, (), (wire.JSON,), (wire.JSON,), entries.LONGEST_CREATED)
        return await aside(len(body), lambda: entries.created(body))

    @contextmanager
    def _engine(self, name: str | None) -> Iterator[Engine]:
        with self.shelf.borrow(name) as engine:
            visit = VISIT.get()
            if visit is not None:
                visit.model = engine.name
            yield engine

    @contextmanager
    def _of(self, name: str, kept: Kept) -> Iterator[Engine]:
        """The engine whose embeddings the collection holds, whatever it is called now."""
        for model in sorted(self.shelf.names, key=lambda one: one != kept.model):  # of two alike the one of its name
            with self.shelf.borrow(model) as found:
                alike = found.identity == kept.identity
            if alike:
                break
        else:
            raise changed(name, kept)
        with self._engine(model) as engine:
            if engine.identity != kept.identity:  # exchanged in this moment
                raise changed(name, kept)
            yield engine

    async def _read(self, work: Callable[[Vectors], T]) -> T:
        return await self._in(self._readers, work)

    async def _write(self, work: Callable[[Vectors], T]) -> T:
        return await self._in(self._writer, work)

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[Vectors], T]) -> T:
        self._refuse_without()

        def call() -> T:
            from .vectors import TooLarge, Unknown

            try:
                return work(self._vectors)
            except Unknown as missing:
                name = str(missing)
                raise Refused(
                    "collection", f"expected a collection that is there, got '{name}': PUT makes it"
                ) from None
            except TooLarge:
                most = self.settings.max_answer_bytes
                message = f"expected an answer of at most {most} bytes, got more: ask for fewer windows or neighbours"
                raise Refused("answer_size", message, most) from None

        return await asyncio.get_running_loop().run_in_executor(threads, call)


@cache
def _installed() -> bool:
    return importlib.util.find_spec("lancedb") is not None


def _by_method(handlers: dict[str, Handler]) -> Handler:
    async def call(request: Request) -> Response:
        return await handlers.get(request.method, handlers.get("GET", next(iter(handlers.values()))))(request)

    return call
