"""Collections in LanceDB: the one file that speaks to it. Plain blocking calls, for threads; nothing here knows a model or a request.

A collection is a table: `id` (its primary key: of two processes that add the same id at the same time one replaces the other's row,
none adds a second), `vector`, `metadata` (JSON) and `facts` (see facts.py). What belongs to the whole collection stands in the
table's schema. Every change is one commit, which is there or is not: a process that is killed leaves a table of its last commit.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
from pydantic_core import from_json, to_json

T = TypeVar("T")
log = logging.getLogger("tsrep.serve")

KEPT = b"tsrep"
METRICS = {"euclidean": "l2", "cosine": "cosine"}

TIDY = 64
"""Commits after which the small pieces of a table are joined."""
OLD = timedelta(minutes=2)
"""Age from which what an earlier state of a table held alone is deleted: no query takes that long."""
CACHE = 64 * 2**20
"""Bytes of each of two caches; by default LanceDB takes gigabytes."""
TRIES = 8
"""Of a change that another process was faster than."""


@dataclass(frozen=True)
class Kept:
    """What a collection is. identity: of the model's numbers. features: of an embedding."""

    model: str
    identity: str
    metric: str
    features: int
    description: str = ""


@dataclass(frozen=True)
class Found:
    """A neighbour of a query. distance: Euclidean, or 1 − cosine. metadata: JSON."""

    id: str
    distance: float
    metadata: str


class Unknown(Exception):
    """There is no such collection."""


class TooLarge(Exception):
    """What was found is larger than it may be."""


class GivenUp(Exception):
    """Nobody waits for it any more."""


class Vectors:
    """where: a folder, an object store such as s3://bucket/path, or a server as db://name (LANCEDB_API_KEY, LANCEDB_HOST)."""

    def __init__(self, where: str) -> None:
        import lancedb

        host = os.environ.get("LANCEDB_HOST") or None
        said: dict[str, Any] = {"host_override": host} if where.startswith("db://") and host else {}
        if not where.startswith("db://"):  # a server has caches of its own
            said["session"] = lancedb.Session(index_cache_size_bytes=CACHE, metadata_cache_size_bytes=CACHE)
        # Every look at a table finds what any other process has committed before it.
        self._database = lancedb.connect(where, read_consistency_interval=timedelta(0), **said)
        self._changes: dict[str, int] = {}
        self._changed: dict[str, float] | None = None

    def names(self) -> list[str]:
        return sorted(self._database.table_names(limit=10_000))

    def create(self, name: str, kept: Kept) -> bool:
        """Whether it was made; False where one of this name is there."""
        import pyarrow as pa

        key = pa.field("id", pa.string(), False, {"lance-schema:unenforced-primary-key": "true"})
        vector = pa.field("vector", pa.list_(pa.float32(), kept.features), False)
        text = [pa.field(name, pa.string(), False) for name in ("metadata", "facts")]
        if name in self.names():
            return False
        try:
            self._database.create_table(name, schema=pa.schema([key, vector, *text], {KEPT: to_json(asdict(kept))}))
        except ValueError:  # made by another at the same time
            if name not in self.names():
                raise
            return False
        return True

    def drop(self, name: str) -> None:
        self._on(name, lambda _: self._database.drop_table(name))
        self._changes.pop(name, None)

    def tidy(self) -> None:
        """Deleted and replaced windows leave the disk, those of the last changes `OLD` after them: to be called now and then.

        Joining pieces alone leaves a piece of which less than a tenth is deleted as it is; so all rows are written anew, which is a
        commit like any other, and what earlier states held alone is deleted. The first call looks at every collection.
        """
        now = time.monotonic()
        if self._changed is None:
            self._changed = dict.fromkeys(self.names(), now)
        for name, when in list(self._changed.items()):
            try:
                rewritten = self._on(name, _rewritten)
            except Unknown:
                del self._changed[name]
            except Exception as error:  # another process was faster
                log.info("a collection stays untidy", extra={"told": {"collection": name, "error": str(error)[:200]}})
            else:
                if rewritten:
                    self._changed[name] = now
                elif now - when > OLD.total_seconds():
                    del self._changed[name]

    def kept(self, name: str) -> Kept:
        return Kept(**from_json(self._on(name, lambda table: table.schema.metadata[KEPT])))

    def count(self, name: str) -> int:
        return int(self._on(name, lambda table: table.count_rows()))

    def new(self, name: str, ids: Sequence[str]) -> int:
        """How many of the ids the collection does not hold yet."""
        return len(ids) - int(self._on(name, lambda table: table.count_rows(_among(ids))))

    def put(
        self, name: str, ids: Sequence[str], vectors: np.ndarray, metadata: Sequence[str], facts: Sequence[str]
    ) -> None:
        """Adds windows, or replaces those of the same ids, in one commit. vectors: (n, feature) float32. ids: no one twice."""
        import pyarrow as pa

        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])

        def write(table: Any) -> None:
            rows = pa.table([pa.array(ids), column, pa.array(metadata), pa.array(facts)], schema=table.schema)
            table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)

        _again(lambda: self._on(name, write))
        self._tidy(name)

    def remove(self, name: str, ids: Sequence[str]) -> int:
        """How many were there and are deleted, in one commit."""
        done = _again(lambda: self._on(name, lambda table: table.delete(_among(ids))))
        self._tidy(name)
        return int(done.num_deleted_rows)

    def nearest(
        self,
        name: str,
        queries: np.ndarray,
        metric: str,
        k: int,
        condition: str | None,
        most: int = 2**31,
        over: Callable[[], bool] = bool,
    ) -> list[list[Found]]:
        """The k nearest of those that the condition lets through, for each query (n, feature): exact, all vectors are compared.

        most: bytes that may be found, TooLarge beyond. over: whether nobody waits any more, asked before each query; then GivenUp.
        """

        def search(table: Any) -> list[list[Found]]:
            found, size = [], 0
            for query in queries:
                if over():
                    raise GivenUp
                asked = table.search(query, vector_column_name="vector").distance_type(METRICS[metric])
                asked = asked.select(["id", "metadata", "_distance"]).limit(k)
                if condition is not None:
                    asked = asked.where(condition, prefilter=True)
                rows = asked.to_arrow()
                size += rows.nbytes
                if size > most:
                    raise TooLarge
                apart = np.maximum(rows.column("_distance").to_numpy().astype(np.float64), 0.0)
                apart = np.sqrt(apart) if metric == "euclidean" else apart
                ids, told = rows.column("id").to_pylist(), rows.column("metadata").to_pylist()
                found.append([Found(*one) for one in zip(ids, apart.tolist(), told, strict=True)])
            return found

        return self._on(name, search)

    def _on(self, name: str, work: Callable[[Any], T]) -> T:
        """What is made of the table. Unknown where there is none, or none any more: another may delete it meanwhile."""
        try:
            return work(self._database.open_table(name))
        except (GivenUp, TooLarge):
            raise
        except Exception:
            if name in self.names():
                raise
            raise Unknown(name) from None

    def _tidy(self, name: str) -> None:
        """Many small commits become few large pieces, now and then."""
        if self._changed is not None:
            self._changed[name] = time.monotonic()
        count = self._changes.get(name, TIDY - 1) + 1  # the first change after a start tidies up too
        self._changes[name] = count % TIDY
        if count < TIDY:
            return
        try:
            self._on(name, lambda table: table.optimize(cleanup_older_than=OLD))
        except Exception as error:  # another process was faster; the next one tidies up
            log.info("a collection stays untidy", extra={"told": {"collection": name, "error": str(error)[:200]}})


def _rewritten(table: Any) -> bool:
    """Joins the pieces of a table, and writes those rows anew that lie beside deleted ones; whether there were such."""
    table.optimize(cleanup_older_than=OLD)
    pieces = table.stats()["fragment_stats"]
    if round(pieces["lengths"]["mean"] * pieces["num_fragments"]) <= table.count_rows():
        return False
    table.update(where="true", values_sql={"facts": "facts"})
    return True


def _among(ids: Sequence[str]) -> str:
    """`id` is one of these. The library writes it: no text of a client is pasted into a condition here."""
    from lancedb.expr import col, lit

    return str(col("id").isin([lit(one) for one in ids]).to_sql())


def _again(work: Callable[[], T]) -> T:
    for left in reversed(range(TRIES)):
        try:
            return work()
        except (RuntimeError, OSError, ValueError) as error:
            if not left or "conflict" not in str(error).lower():
                raise
            time.sleep(0.02 + 0.1 * np.random.default_rng().random())
    raise AssertionError
