"""The model behind the routes: what it makes of windows, whether it still works, and what it tells about itself."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Any

import numpy as np

import tsrep

from .batcher import Batcher
from .numbers import DTYPES
from .recent import Recent
from .refusal import Refused
from .settings import Settings, limits
from .windows import Block, checked
from .wire import FORMS

STEPS = "steps"
FRESH = 1.0
"""Seconds for which a proof of readiness counts: probes, however many, cost the encoder little."""
TOLERANCE = 1e-5


class Engine:
    """One model, one queue.

    name, version: what the service calls the model. identity: the same for models that embed alike; collections keep it.
    InputError for a model of several streams.
    """

    def __init__(
        self, model: tsrep.Model | tsrep.Light, settings: Settings, name: str, version: str = "", identity: str = ""
    ) -> None:
        self.model, self.settings, self.name, self.version = servable(model), settings, name, version
        self.identity = identity or version
        # `tsrep.load` has compared these with the stored ones; making them also warms the encoder up.
        self._reference = model.embed(model.check)
        self._proved = -FRESH
        self.recent = Recent(0 if model.reference is None else settings.drift_windows, model.features)
        self.batcher = Batcher(model.embed, batch=settings.batch, queue=settings.queue, start=self._start, model=name)

    async def embed(
        self, blocks: list[Block], pool: str | None, counted: bool = False
    ) -> np.ndarray | list[np.ndarray]:
        """What `model.embed` gives for the windows: (n, feature), or for steps (feature, time) of each as long as the window.

        blocks:  such as `windows.checked` lets through.
        counted: whether drift is measured by them, where they are embedded with the default pool.
        """
        n = sum(len(block.rows) for block in blocks)
        if pool == STEPS:
            self._room(n, max(block.values.shape[2] for block in blocks))
        try:
            found = await self.batcher.embed([block.values for block in blocks], pool)
        except tsrep.InputError as error:  # something that the model minds and the checks above do not know
            raise Refused("model", str(error)) from None
        for block, embeddings in zip(blocks, found, strict=True):
            _finite(block, embeddings, pool)
        made = _ordered(blocks, found, pool)
        if counted and pool is None and isinstance(made, np.ndarray):
            self.recent.put(made)
        return made

    def checked(self, blocks: list[Block]) -> list[Block]:
        """The blocks themselves. Refused where they are not such as the model takes."""
        return checked(blocks, self.model.data.channels, self.settings)

    async def ready(self) -> bool:
        """Whether the model's own stored inputs are still embedded as they should be."""
        if monotonic() - self._proved >= FRESH:
            made = await self.batcher.aside(lambda: self.model.embed(self.model.check))
            if not np.all(np.abs(made - self._reference) <= TOLERANCE * (1 + np.abs(self._reference))):
                return False
            self._proved = monotonic()
        return True

    def info(self) -> dict[str, Any]:
        """What a client must know to ask well."""
        model, data = self.model, self.model.data
        plan = model.plan if isinstance(model.plan, dict) else tsrep.plan_dict(model.plan)
        return {
            "model": self.name,
            "version": self.version,
            "channels": list(data.channels),
            "rate": data.rate,
            "unit": getattr(data, "unit", None),  # older models do not say
            "length": data.length,
            "features": model.features,
            "pools": list(model.pools),
            "dtypes": list(DTYPES),
            "runtime": model.runtime,
            "method": plan["method"],
            "encoder": plan["encoder"],
            "data": {
                key: value for key, value in vars(data).items() if key not in ("channels", "rate", "unit", "length")
            },
            "classes": None if model.head is None else list(model.head.classes),
            "forecast": _forecast(model),
            "forms": list(FORMS),
            "limits": {name: getattr(self.settings, name) for name in limits()},
            "versions": versions(),
            "card": model.card(),
        }

    def close(self) -> None:
        self.batcher.close()

    def _room(self, windows: int, steps: int) -> None:
        """Refused where embeddings of every step would not fit an answer."""
        size = windows * self.model.features * steps * 4
        if size > self.settings.max_answer_bytes:
            message = f"expected an answer of at most {self.settings.max_answer_bytes} bytes, got {size}: ask for fewer windows"
            raise Refused("answer_size", message, expected=self.settings.max_answer_bytes, got=size)

    def _start(self) -> None:
        """In the encoder's thread: torch keeps the number of threads for each thread that calls it; an export has its own."""
        if self.settings.threads and "torch" in sys.modules:
            import torch

            torch.set_num_threads(self.settings.threads)


def _forecast(model: tsrep.Model | tsrep.Light) -> dict[str, Any] | None:
    """Which channels are forecast, and how many steps ahead."""
    head = model.forecaster
    return None if head is None else {"channels": list(head.channels), "horizon": head.horizon}


def servable(model: tsrep.Model | tsrep.Light) -> tsrep.Model | tsrep.Light:
    """The model itself. InputError where it is none of one stream."""
    if model.streams:
        raise tsrep.InputError(
            f"expected a model of one stream to serve, this one knows {', '.join(model.streams)}: serve one of them, which "
            "tsrep.load(...).of(stream).save(folder) makes a model of its own"
        )
    return model


def versions() -> dict[str, str]:
    """Of what the numbers depend on, here and now."""
    found = {"python": platform.python_version()}
    for name in ("tsrep", "torch", "onnxruntime", "numpy", "bentoml", "pyarrow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown" if name != "onnxruntime" else "not installed"
    return found


def _finite(block: Block, embeddings: np.ndarray, pool: str | None) -> None:
    """Refused where huge but finite numbers became infinite in the encoder. Steps outside the observed ones are NaN."""
    bad = ~np.isfinite(embeddings) if pool != STEPS else np.isinf(embeddings)
    if bad.any():
        row = int(block.rows[bad.reshape(len(bad), -1).any(axis=1)][0])
        message = f"expected numbers of the size that the model was trained on, window {row} overflows the encoder"
        raise Refused("overflow", message)


def _ordered(blocks: list[Block], found: list[np.ndarray], pool: str | None) -> np.ndarray | list[np.ndarray]:
    """Embeddings in the order of the request's windows; those of steps as long as their windows."""
    order = np.argsort(np.concatenate([block.rows for block in blocks]))
    if pool == STEPS:
        steps = [one for made in found for one in made]
        lengths = np.concatenate([block.lengths for block in blocks])
        return [steps[i][:, : lengths[i]] for i in order]
    return found[0] if len(found) == 1 else np.concatenate(found)[order]
