"""What the client sends and how it reads what comes back, without a connection: shared by the sync and the async one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

ARROW, NPY, JSON = "application/vnd.apache.arrow.stream", "application/x-npy", "application/json"
AGAIN = (429, 502, 503, 504)
"""Statuses after which the same request may succeed; every request here may be sent twice."""

LONGEST = 60.0
"""Seconds between two tries, at most, whatever the service asks for."""


class ServiceError(Exception):
    """The service refused, or is not there.

    status: of HTTP, 0 where there was no answer. reason: the service's own word, such as channels. request_id: for its log.
    """

    def __init__(self, status: int, reason: str, message: str, request_id: str = "") -> None:
        super().__init__(f"{message} ({status} {reason}{', request ' + request_id if request_id else ''})")
        self.status, self.reason, self.message, self.request_id = status, reason, message, request_id


@dataclass(frozen=True)
class Similarity:
    """cosine: of two embeddings, None where one is zero. euclidean: their distance. model, pool: by which they were made."""

    model: str
    pool: str | None
    cosine: float | None
    euclidean: float


@dataclass(frozen=True)
class Classes:
    """What the model's head says. classes: names (class,). label: of each window. probability: (n, class) float32."""

    classes: tuple[str, ...]
    label: tuple[str, ...]
    probability: np.ndarray


@dataclass(frozen=True)
class Retry:
    """times: tries after the first. first: seconds before the first of them, doubled each time; a random half of it is waited, or more
    where the service says so (Retry-After)."""

    times: int = 4
    first: float = 0.1

    def waits(self) -> Iterator[float]:
        draw = np.random.default_rng()
        for k in range(self.times):
            yield min(LONGEST, self.first * 2**k) * (0.5 + 0.5 * float(draw.random()))


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how its answer is read. done: what it gives where a later try finds nothing (404), since an earlier one, of
    which no answer came back, has done it."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    done: T | None = None

    def given(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "url": self.path,
            "params": self.params,
            "headers": self.headers,
            "content": self.content,
        }


@dataclass(frozen=True)
class Calls:
    """The requests of both clients."""

    model: str | None
    batch: int

    def embed(self, X: Any, pool: str | None, dtype: str, dimensions: int | None) -> Iterator[Call[np.ndarray]]:
        params = self._params(pool=pool, dtype=dtype, dimensions=dimensions)
        for part in self._parts(X):
            yield Call(
                "POST", "/v1/embed", _embeddings, params, {"Content-Type": ARROW, "Accept": ARROW}, arrow_stream(part)
            )

    def steps(self, X: Any, dtype: str, dimensions: int | None) -> Iterator[Call[list[np.ndarray]]]:
        params = self._params(dtype=dtype, dimensions=dimensions)
        for part in self._parts(X):
            yield Call(
                "POST", "/v1/steps", _steps, params, {"Content-Type": ARROW, "Accept": ARROW}, arrow_stream(part)
            )

    def similarity(self, one: Any, other: Any, pool: str | None) -> Call[Similarity]:
        body = arrow_stream([_window(one), _window(other)])
        headers = {"Content-Type": ARROW, "Accept": JSON}
        return Call(
            "POST", "/v1/similarity", lambda answer: Similarity(**answer.json()), self._params(pool=pool), headers, body
        )

    def classify(self, X: Any) -> Iterator[Call[Classes]]:
        for part in self._parts(X):
            yield Call(
                "POST",
                "/v1/classify",
                _classes,
                self._params(),
                {"Content-Type": ARROW, "Accept": JSON},
                arrow_stream(part),
            )

    def forecast(self, X: Any) -> Iterator[Call[np.ndarray]]:
        for part in self._parts(X):
            headers = {"Content-Type": ARROW, "Accept": ARROW}
            yield Call("POST", "/v1/forecast", _forecasts, self._params(), headers, arrow_stream(part))

    def info(self) -> Call[dict[str, Any]]:
        return Call("GET", "/v1/info", lambda answer: dict(answer.json()), self._params())

    def ready(self) -> Call[bool]:
        return Call("GET", "/readyz", lambda answer: True)

    def _params(self, **said: Any) -> dict[str, str]:
        return {name: str(value) for name, value in {"model": self.model, **said}.items() if value is not None}

    def _parts(self, X: Any) -> Iterator[list[np.ndarray]]:
        windows = as_windows(X)
        for begin in range(0, max(1, len(windows)), self.batch):  # none is sent too: the service says what it expected
            yield windows[begin : begin + self.batch]


def headers_of(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def _window(one: Any) -> np.ndarray:
    return np.asarray(one, np.float32)


def as_windows(X: Any) -> list[np.ndarray]:
    """(channel, time) float32 of each window."""
    plain = isinstance(X, np.ndarray) and X.ndim == 3
    if plain or (isinstance(X, Sequence) and all(getattr(one, "ndim", 0) == 2 for one in X)):
        return [_window(one) for one in X]
    import tsrep

    return [_window(one) for one in tsrep.as_panel(X).values]


def arrow_stream(windows: list[np.ndarray], beside: Mapping[str, Sequence[str | None]] | None = None) -> bytes:
    """An Arrow stream with the column `window` of list<list<float>>, and columns of text beside it."""
    import pyarrow as pa

    lengths = np.repeat([one.shape[1] for one in windows], [one.shape[0] for one in windows])
    values = pa.array(np.concatenate([one.ravel() for one in windows]) if windows else np.empty(0, np.float32))
    inner = pa.ListArray.from_arrays(_edges(lengths), values)
    column = pa.ListArray.from_arrays(_edges([one.shape[0] for one in windows]), inner)
    text = {name: pa.array(held, pa.string()) for name, held in (beside or {}).items()}
    batch = pa.record_batch({"window": column, **text})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as out:
        out.write_batch(batch)
    return bytes(sink.getvalue())


def _edges(sizes: Any) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)


def _embeddings(answer: httpx.Response) -> np.ndarray:
    import pyarrow as pa

    table = pa.ipc.open_stream(answer.content).read_all()
    column = table.column("embedding").combine_chunks()
    values: np.ndarray = column.values.to_numpy(zero_copy_only=False).reshape(len(column), -1).astype(np.float32)
    if "scale" in table.column_names:
        values *= table.column("scale").to_numpy().astype(np.float32)[:, None]
    return values


def _classes(answer: httpx.Response) -> Classes:
    told = answer.json()
    return Classes(tuple(told["classes"]), tuple(told["label"]), np.array(told["probability"], np.float32))


def together(parts: Sequence[Classes]) -> Classes:
    """What several requests said, as of one."""
    labels = [label for part in parts for label in part.label]
    return Classes(parts[0].classes, tuple(labels), np.concatenate([part.probability for part in parts]))


def _steps(answer: httpx.Response) -> list[np.ndarray]:
    return _lists(answer, "embedding")


def _forecasts(answer: httpx.Response) -> np.ndarray:
    return np.stack(_lists(answer, "forecast"))


def _lists(answer: httpx.Response, name: str) -> list[np.ndarray]:
    import pyarrow as pa

    column = pa.ipc.open_stream(answer.content).read_all().column(name).combine_chunks()
    outer, inner = column.offsets.to_numpy(), column.values.offsets.to_numpy()
    flat = column.values.values.to_numpy(zero_copy_only=False).astype(np.float32)
    pairs = itertools.pairwise(outer)
    return [flat[inner[low] : inner[high]].reshape(high - low, -1) for low, high in pairs]


def wait_before(answer: httpx.Response | Exception, waits: Iterator[float]) -> float | None:
    """Seconds until the next try, None where there is none."""
    if not isinstance(answer, Exception) and answer.status_code not in AGAIN:
        return None
    wait = next(waits, None)
    if wait is None:
        return None
    asked = "" if isinstance(answer, Exception) else answer.headers.get("retry-after", "")
    return min(LONGEST, max(wait, float(asked))) if asked.isdecimal() else wait


def may_be_done(answer: httpx.Response | Exception) -> bool:
    """Whether the service may have done what was asked all the same: the way there or back failed."""
    return isinstance(answer, Exception) or answer.status_code in (502, 504)


def read(call: Call[T], answer: httpx.Response | Exception, doubtful: bool = False) -> T:
    """What the answer gives, or ServiceError. doubtful: an earlier try may have done it."""
    if isinstance(answer, Exception):
        raise ServiceError(
            0, "unreachable", f"the service does not answer: {answer or type(answer).__name__}"
        ) from answer
    if answer.status_code in (200, 201):
        return call.read(answer)
    if doubtful and call.done is not None and answer.status_code == 404:
        return call.done
    try:
        told = answer.json()["error"]
        reason, message = str(told["reason"]), str(told["message"])
    except (ValueError, KeyError, TypeError):  # something else stands at that address, or before the service
        reason, message = "unknown", answer.text[:200]
    raise ServiceError(answer.status_code, reason, message, answer.headers.get("x-request-id", ""))
