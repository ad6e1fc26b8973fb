"""What BentoML serves: `bentoml serve tsrep_deploy.service:Encoder`, with the models in TSREP_MODEL.

BentoML supervises the worker and answers /livez, /readyz and /metrics; the routes are those of `app`, and what every request passes
is `door`. The models are loaded while the worker already answers: 503 until they are there. This module is also imported by the
supervisor, which needs no model; an instance whose models were all exported needs no torch.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import Any

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # before the import: BentoML would report its use

import bentoml
from _bentoml_sdk import Service
from starlette.types import ASGIApp, Receive, Scope, Send

from . import meters, signals, tell
from .app import make_app
from .settings import Settings
from .shelf import Shelf, settle

log = logging.getLogger("tsrep.serve")
settings = Settings.from_environment()


class Bounded(Service[Any]):
    """A service whose routes are reached without BentoML's layers, which cost as much as they: a span of a trace that nobody collects,
    a temporary folder, and metrics for every path that was ever asked for. BentoML answers for itself: /livez, /readyz, /metrics."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        from _bentoml_impl.server.app import ServiceAppFactory

        self.inject_config()
        factory = ServiceAppFactory(self, is_main=is_main)
        factory.timeout = None  # that of `door`, whose answers have our form
        inner: ASGIApp = factory()
        its = {"/livez", "/readyz", "/healthz", "/metrics", "/schema.json"}

        async def outer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
            elif scope["type"] != "http" or scope["path"] in its:
                await inner(scope, receive, send)
            else:  # an unknown path too: it passes the door before it is told what there is
                await app(scope, receive, send)

        return outer


app = make_app(settings, Shelf(settings, settle))


@bentoml.service(
    name="tsrep",
    service_class=Bounded,
    workers=1,
    threads=1,
    metrics={
        "enabled": True,
        "namespace": "bentoml",  # its own requests; ours are in `meters`
        "duration": {"buckets": [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]},
    },
    logging={"access": {"enabled": False}},
    http={"host": "127.0.0.1"},
)
@bentoml.asgi_app(app, path="/")
class Encoder:
    """Embeddings of time series windows."""

    def __init__(self) -> None:
        tell.to_standard_error()
        signals.end_with_the_supervisor()
        signals.on_hang_up(app.state.shelf.look_now)
        meters.forget_the_dead()
        meters.begin(app.state.shelf.names)
        self.shelf = app.state.shelf
        threading.Thread(target=self._load, name="tsrep-models", daemon=True).start()

    def _load(self) -> None:
        try:
            self.shelf.fill()
        except Exception:
            log.exception("the models do not load: the worker stops")
            os.kill(os.getpid(), signal.SIGTERM)
            return
        app.state.collections.warm()
        if settings.drift_every:
            threading.Thread(target=app.state.drift.watch, args=(settings.drift_every,), daemon=True).start()
        log.info("ready", extra={"told": {"models": list(self.shelf.names)}})
        self.shelf.watch()

    async def __is_ready__(self) -> bool:
        return bool(await self.shelf.ready())

    @bentoml.on_deployment
    @staticmethod
    def supervise() -> None:
        signals.hand_on()

    @bentoml.on_shutdown
    def close(self) -> None:
        app.state.drift.close()
        app.state.collections.close()
        self.shelf.close()
