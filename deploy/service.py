"""What BentoML serves: `bentoml serve tsrep_deploy.service:Encoder`, with the model in TSREP_MODEL.

BentoML supervises the worker, answers /livez, /readyz and /metrics, limits concurrency and time; the routes are those of
`app`. This module is also imported by the supervisor, which needs no model: torch is imported with the first instance.
"""

from __future__ import annotations

import gc
import os
from typing import Any

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # before the import: BentoML would report its use

import bentoml
from _bentoml_sdk import Service
from starlette.types import ASGIApp, Receive, Scope, Send

import tsrep

from .app import make_app, refusal
from .engine import Engine
from .refusal import Refused
from .settings import Settings

settings = Settings.from_environment()


class Bounded(Service[Any]):
    """A service that answers unknown paths itself: BentoML keeps a set of metrics for every path that was ever asked for."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        inner: ASGIApp = super().to_asgi(is_main)
        own = {route.path for app, *_ in self.mount_apps for route in app.routes}
        known = sorted({"/livez", "/readyz", "/healthz", "/metrics", "/schema.json"} | own)

        async def outer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
            elif scope["type"] == "http" and scope["path"] not in known:
                message = f"expected one of the paths {', '.join(known)}, got {scope['path'][:100]}"
                await refusal(Refused("path", message, expected=known, got=scope["path"][:100]))(scope, receive, send)
            else:
                await inner(scope, receive, send)

        return outer


app = make_app(settings)


@bentoml.service(
    name="tsrep",
    service_class=Bounded,
    workers=1,
    threads=1,
    traffic={"timeout": settings.timeout, "max_concurrency": settings.concurrency},
    metrics={
        "enabled": True,
        "namespace": "tsrep",
        "duration": {"buckets": [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]},
    },
    logging={"access": {"enabled": False}},
    http={"host": "127.0.0.1"},
)
@bentoml.asgi_app(app, path="/")
class Encoder:
    """Embeddings of time series windows."""

    def __init__(self) -> None:
        self.engine = app.state.engine = Engine(tsrep.load(settings.model), settings)
        # What is loaded now stays: full collections over it were most of the slow answers.
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)

    async def __is_ready__(self) -> bool:
        return await self.engine.ready()

    @bentoml.on_shutdown
    def close(self) -> None:
        self.engine.close()
