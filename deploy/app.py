"""The routes. Those of a model stand twice: /v1/embed asks the first or the one that the query names, /v1/models/NAME/embed another."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import answers, examples, openapi, openapi_search, page_files
from .answers import told_as_json
from .door import Door, refusal
from .drift import Watch
from .engine import Engine
from .keys import Keys
from .refusal import Refused
from .search import Collections
from .settings import Settings
from .shelf import Shelf
from .visit import VISIT
from .wire import JSON

log = logging.getLogger("tsrep.serve")

Handler = Callable[[Request], Awaitable[Response]]
Asking = Callable[[Request, Engine], Awaitable[Response]]

ASKING: dict[str, Asking] = {
    "embed": answers.embed,
    "steps": answers.steps,
    "similarity": answers.similarity,
    "classify": answers.classify,
    "forecast": answers.forecast,
}
"""What a model is asked for by POST."""

METHODS = ("GET", "POST", "PUT", "DELETE")
EXPOSED = ("X-Request-Id", "Server-Timing", "Retry-After")


def make_app(settings: Settings, shelf: Shelf | None = None) -> Starlette:
    """The application around a shelf of models; until a model is on it, its routes answer 503."""
    shelf = shelf or Shelf(settings)
    collections, drift = Collections(settings, shelf), Watch(shelf)
    documents: WeakKeyDictionary[Engine, tuple[bytes, str]] = WeakKeyDictionary()

    def told() -> tuple[bytes, str]:
        """The OpenAPI document as JSON and as a page, written once for an engine."""
        with shelf.borrow() as engine:
            if engine not in documents:
                said = openapi_search.beside(openapi.document(engine, shelf.names), engine)
                documents[engine] = to_json(said), openapi.page(said)
            return documents[engine]

    async def info(request: Request, engine: Engine) -> Response:
        """The model's card, channels, rate, length, features, and the limits of the service."""
        return told_as_json(engine.info() | {"models": list(shelf.names)})

    async def models(request: Request) -> Response:
        """The names of the models; the first is the default."""
        return told_as_json({"models": list(shelf.names)})

    async def drifts(request: Request) -> Response:
        """How the recent embeddings of each model compare with those of its training."""
        return told_as_json({"models": await drift.told()})

    async def document(request: Request) -> Response:
        """The OpenAPI document, with examples for the default model."""
        return Response(told()[0], media_type=JSON)

    async def page(request: Request) -> Response:
        return Response(told()[1], media_type="text/html; charset=utf-8")

    routes = [
        Route("/v1/models", answered(models), methods=["GET"]),
        Route("/v1/drift", answered(drifts), methods=["GET"]),
        Route("/v1/openapi.json", answered(document), methods=["GET"]),
        Route("/docs", answered(page), methods=["GET"]),
        *collections.routes(answered),
    ]
    routes += page_files.routes()
    shown = {"/page/examples": examples.sets, "/page/windows": examples.windows}
    routes += [Route(path, answered(_of(shelf, None, ask)), methods=["GET"]) for path, ask in shown.items()]
    asked = [(name, ask, "POST") for name, ask in ASKING.items()] + [("info", info, "GET")]
    for what, ask, method in asked:
        routes.append(Route(f"/v1/{what}", answered(_of(shelf, None, ask)), methods=[method]))
        # One path for each model, and none for names that a client makes up: metrics are kept for every path.
        routes += [
            Route(f"/v1/models/{name}/{what}", answered(_of(shelf, name, ask)), methods=[method])
            for name in shelf.names
        ]
    keys = Keys(settings.keys) if settings.keys else None
    counted = {route.path: _without_model(route.path, shelf.names) for route in routes}
    middleware = [Middleware(Door, settings=settings, keys=keys, routes=counted)]
    if settings.origins:
        cors: Any = {"allow_origins": settings.origins, "allow_methods": METHODS, "expose_headers": EXPOSED}
        headers = ["Authorization", "Content-Type", "Accept", "X-Api-Key", "X-Request-Id"]
        middleware.insert(0, Middleware(CORSMiddleware, allow_headers=headers, **cors))
    app = Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: _not_routed})
    app.router.redirect_slashes = False  # a path is as it is told, or none
    app.state.settings, app.state.shelf = settings, shelf
    app.state.collections, app.state.drift = collections, drift
    return app


def answered(handler: Handler) -> Handler:
    """Every refusal and every failure becomes an answer."""

    async def call(request: Request) -> Response:
        try:
            return await handler(request)
        except Refused as refused:
            return refusal(refused)
        except Exception:
            visit = VISIT.get()
            log.exception("request failed", extra={"told": {"id": visit.id if visit else None}})
            return refusal(Refused("internal", "the service failed on this request; its log says why"))

    return call


def _without_model(path: str, models: Sequence[str]) -> str:
    """/v1/models/NAME/embed -> /v1/embed: the model is told beside the route."""
    for name in models:
        path = path.replace(f"/models/{name}/", "/", 1)
    return path


def _of(shelf: Shelf, name: str | None, ask: Asking) -> Handler:
    """Asks a model, the one of this name or the one that the query names, and holds it until the answer is made."""

    async def call(request: Request) -> Response:
        said = request.query_params.get("model")
        if name is not None and said not in (None, name):
            raise Refused("query", f"expected one model, got '{name}' in the path and '{said[:64]}' in the query")
        with shelf.borrow(name or said) as engine:
            visit = VISIT.get()
            if visit is not None:
                visit.model = engine.name
            return await ask(request, engine)

    return call


async def _not_routed(request: Request, error: Exception) -> Response:
    """405 and 404, of requests that have passed the door."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:100]
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        refused = Refused(
            "method", f"expected {allowed} of {path}, got {request.method[:20]}", allowed, request.method[:20]
        )
        return refusal(refused, {"Allow": allowed})
    return refusal(Refused("path", f"expected a path of /v1/openapi.json, got {path}", got=path))
