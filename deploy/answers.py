"""What each route makes of a request: windows in, numbers out. What is wrong with a request is said before it reaches the encoder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from . import wire
from .engine import STEPS, Engine
from .numbers import DTYPES, dimensions_of, dtype_of, sent
from .refusal import Refused
from .settings import Settings
from .visit import VISIT
from .windows import Block

T = TypeVar("T")

ASIDE = 2**16
"""Bytes beyond which a body is read or written in a thread, beside the event loop."""

COUNTED = "counted"
"""The query by which a client says that its windows are none of those whose drift is watched, as the page does."""

_readers = ThreadPoolExecutor(2, thread_name_prefix="tsrep-wire")


@dataclass(frozen=True)
class Asked:
    """A request that was read: windows such as the model takes, and the form of the answer."""

    blocks: list[Block]
    accept: str


async def embed(request: Request, engine: Engine) -> Response:
    """Windows in, an embedding of each out. Query: pool, dtype, dimensions, counted."""
    pool, counted = _pool(request.query_params.get("pool"), engine), _counted(request)
    dtype = dtype_of(request.query_params.get("dtype"))
    dimensions = dimensions_of(request.query_params.get("dimensions"), engine.model.width(pool))
    asked = await _read(request, engine, ("pool", "dtype", "dimensions", COUNTED))
    made = await engine.embed(asked.blocks, pool, counted)
    return await _written(asked.accept, wire.Answer(sent(made, dtype, dimensions), pool, engine.name))


async def steps(request: Request, engine: Engine) -> Response:
    """Windows in, an embedding of every time step out. Query: dtype, dimensions."""
    dtype = dtype_of(request.query_params.get("dtype"), DTYPES[:2])
    dimensions = dimensions_of(request.query_params.get("dimensions"), engine.model.features)
    asked = await _read(request, engine, ("dtype", "dimensions"))
    made = await engine.embed(asked.blocks, STEPS)
    return await _written(asked.accept, wire.Answer(sent(made, dtype, dimensions), STEPS, engine.name))


async def similarity(request: Request, engine: Engine) -> Response:
    """Two windows in, how near their embeddings are out: cosine similarity and Euclidean distance. Query: pool, counted."""
    pool, counted = _pool(request.query_params.get("pool"), engine), _counted(request)
    asked = await _read(request, engine, ("pool", COUNTED), only=wire.JSON)
    count = sum(len(block.rows) for block in asked.blocks)
    if count != 2:
        raise Refused("two_windows", f"expected two windows to compare, got {count}", 2, count)
    one, other = np.asarray(await engine.embed(asked.blocks, pool, counted), np.float64)
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    told = {
        "model": engine.name,
        "pool": pool,
        "cosine": float(one @ other) / size if size else None,
        "euclidean": float(np.linalg.norm(one - other)),
    }
    return told_as_json(told)


async def classify(request: Request, engine: Engine) -> Response:
    """Windows in, the class of each and the probabilities of all classes out. Refused (404) where the model carries no head."""
    head = engine.model.head
    if head is None:
        message = (
            f"expected a model that carries a classification head, '{engine.name}' carries none; see tsrep.fit_head"
        )
        raise Refused("head", message)
    counted = _counted(request)
    asked = await _read(request, engine, (COUNTED,))
    said = head(np.asarray(await engine.embed(asked.blocks, head.pool, counted)))
    classes = wire.Classes(head.classes, said.astype(np.float32), engine.name)
    content = await aside(said.size * 16, lambda: wire.write_classes(asked.accept, classes))
    return Response(content, media_type=asked.accept)


async def forecast(request: Request, engine: Engine) -> Response:
    """Windows in, the steps after each of them out, in the units of the data. Refused (404) where the model carries no such head."""
    head = engine.model.forecaster
    if head is None:
        message = (
            f"expected a model that carries a forecasting head, '{engine.name}' carries none; see tsrep.fit_forecaster"
        )
        raise Refused("head", message)
    counted = _counted(request)
    asked = await _read(request, engine, (COUNTED,))
    made = np.asarray(await engine.embed(asked.blocks, head.pool, counted))
    last = np.concatenate([head.last(block.values) for block in asked.blocks])
    order = np.argsort(np.concatenate([block.rows for block in asked.blocks]))
    with np.errstate(over="ignore"):
        said = head(made, last[order]).astype(np.float32)
    if not np.isfinite(said).all():
        raise Refused("overflow", "expected numbers of the size that the model was trained on, the forecast overflows")
    forecasts = wire.Forecasts(said, head.channels, engine.name)
    content = await aside(said.size * 16, lambda: wire.write_forecasts(asked.accept, forecasts))
    return Response(content, media_type=asked.accept)


async def body_of(request: Request, most: int, within: float) -> bytes:
    """The body. Refused: 413 by its announced length before any of it is read, or as soon as it grows beyond `most`; 408 where
    it takes longer than `within` seconds."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise _too_large(most, int(announced))
    parts, size = [], 0
    try:
        async with asyncio.timeout(within):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most, size)
                parts.append(part)
    except TimeoutError:
        message = f"expected the whole body within {within:g} s, got {size} bytes of it"
        raise Refused("body_timeout", message, expected=within, got=size) from None
    except ClientDisconnect:
        # An answer that nobody reads: without one, BentoML would keep the place of the request.
        raise Refused("disconnected", "the client went away before its request was whole") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def told_as_json(told: Any, status: int = 200) -> Response:
    return Response(to_json(told), status, media_type=wire.JSON)


async def received(
    request: Request,
    settings: Settings,
    known: Sequence[str],
    forms: Sequence[str] = wire.FORMS,
    answers: Sequence[str] = wire.FORMS,
    most: int | None = None,
) -> tuple[str, str, bytes]:
    """Form of the body, form of the answer, and the body. Refused for an unknown query, and for what has none of these forms.

    most: bytes of the body, where it is less than the service's own limit."""
    headers = request.headers
    no_query_but(known, request)
    if headers.get("content-encoding", "identity") != "identity":
        got = headers["content-encoding"][:50]
        raise Refused("content_encoding", f"expected a body without Content-Encoding, got {got}", "identity", got)
    form = wire.form_of(headers.get("content-type"), forms)
    accept = wire.wanted(headers.get("accept"), answers)
    return (
        form,
        accept,
        await body_of(request, min(settings.max_body_bytes, most or settings.max_body_bytes), settings.body_timeout),
    )


def no_query_but(known: Sequence[str], request: Request) -> None:
    """Refused for an unknown query."""
    for name in request.query_params:
        if name not in known:
            expected = f"no query but {', '.join(known)}" if known else "no query"
            raise Refused("query", f"expected {expected}, got '{name[:50]}'", list(known), name[:50])


def counted_in_log(blocks: list[Block]) -> None:
    visit = VISIT.get()
    if visit is not None:
        visit.windows = sum(len(block.rows) for block in blocks)


async def _read(request: Request, engine: Engine, known: tuple[str, ...], only: str | None = None) -> Asked:
    """Everything of a request that can be read and refused before the encoder is asked."""
    forms = wire.FORMS if only is None else (only,)
    form, accept, body = await received(request, engine.settings, ("model", *known), answers=forms)
    blocks = await aside(len(body), lambda: engine.checked(wire.read(form, body, engine.settings)))
    counted_in_log(blocks)
    return Asked(blocks, accept)


async def _written(form: str, answer: wire.Answer) -> Response:
    size = sum(one.size for one in answer.sent.values) * (16 if form == wire.JSON else 4)
    return Response(await aside(size, lambda: wire.write(form, answer)), media_type=form)


async def aside(size: int, work: Callable[[], T]) -> T:
    """In a thread where it is large, so that no small request waits for it."""
    if size <= ASIDE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_readers, work)


def _pool(asked: str | None, engine: Engine) -> str | None:
    if asked in engine.model.pools:
        return asked
    known = [name for name in engine.model.pools if name]
    hint = "; ask /v1/steps for every step" if asked == STEPS else ""
    raise Refused(
        "pool",
        f"expected pool to be one of {', '.join(known)}, or none, got '{str(asked)[:50]}'{hint}",
        known,
        str(asked)[:50],
    )


def _counted(request: Request) -> bool:
    said = request.query_params.get(COUNTED, "yes")
    if said not in ("yes", "no"):
        raise Refused("query", f"expected {COUNTED} to be yes or no, got '{said[:50]}'", ["yes", "no"], said[:50])
    return said == "yes"


def _too_large(most: int, got: int) -> Refused:
    message = f"expected a body of at most {most} bytes, got {got} or more: send fewer windows, or a binary form"
    return Refused("body_size", message, expected=most, got=got)
