"""The routes: POST /embed and GET /info. What is wrong with a request is said before it reaches the encoder."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from . import meters, wire
from .engine import POOLS, Engine
from .refusal import Refused
from .settings import Settings

log = logging.getLogger("tsrep.serve")

Handler = Callable[[Request], Awaitable[Response]]


def make_app(settings: Settings) -> Starlette:
    """The application; `app.state.engine` is set once the model is loaded, and until then it answers 503."""
    routes = [
        Route("/embed", answered(embed), methods=["POST"]),
        Route("/info", answered(info), methods=["GET"]),
    ]
    app = Starlette(routes=routes)
    app.state.settings, app.state.engine = settings, None
    return app


async def embed(request: Request) -> Response:
    """Windows in, embeddings out, in the forms of `wire`. Query: pool = max, mean, last, rich or steps."""
    engine, headers = _engine(request), request.headers
    if headers.get("content-encoding", "identity") != "identity":
        got = headers["content-encoding"]
        message = f"expected a body without Content-Encoding, got {got[:50]}"
        raise Refused("content_encoding", message, expected="identity", got=got[:50])
    form, answer = wire.form_of(headers.get("content-type")), wire.wanted(headers.get("accept"))
    pool = request.query_params.get("pool")
    if pool not in POOLS:
        known = [name for name in POOLS if name]
        message = f"expected pool to be one of {', '.join(known)}, or none, got '{pool[:50]}'"
        raise Refused("pool", message, expected=known, got=pool[:50])
    blocks = wire.read(form, await body_of(request, engine.settings.max_body_bytes), engine.settings)
    return Response(wire.write(answer, await engine.embed(blocks, pool)), media_type=answer)


async def info(request: Request) -> Response:
    """The model's card, channels, rate, length, features, and the limits of the service."""
    return Response(to_json(_engine(request).info()), media_type=wire.JSON)


async def body_of(request: Request, most: int) -> bytes:
    """The body. Refused (413) by its announced length before any of it is read, or as soon as it grows beyond `most`."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise _too_large(most, int(announced))
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise _too_large(most, size)
            parts.append(part)
    except ClientDisconnect:
        # An answer that nobody reads: without one, BentoML would keep the place of the request until the time-out.
        raise Refused("disconnected", "the client went away before its request was whole") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def answered(handler: Handler) -> Handler:
    """Every refusal and every failure becomes an answer: BentoML lets a request without one hang until the time-out."""

    async def call(request: Request) -> Response:
        try:
            return await handler(request)
        except Refused as refused:
            return refusal(refused)
        except Exception:
            log.exception("request failed")
            return refusal(Refused("internal", "the service failed on this request; its log says why"))

    return call


def refusal(refused: Refused) -> Response:
    """The answer to a refused request, counted."""
    meters.REFUSED.labels(reason=refused.reason).inc()
    headers = {"Retry-After": "1"} if refused.status == 503 else None
    return Response(to_json(refused.to_dict()), refused.status, headers, wire.JSON)


def _engine(request: Request) -> Engine:
    engine: Engine | None = request.app.state.engine
    if engine is None:
        raise Refused("not_ready", "the model is still being loaded: try again in a moment")
    return engine


def _too_large(most: int, got: int) -> Refused:
    message = f"expected a body of at most {most} bytes, got {got} or more: send fewer windows, or a binary form"
    return Refused("body_size", message, expected=most, got=got)
