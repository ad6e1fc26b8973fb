"""Windows to look at without having any: of sets that come with the installation and have the model's channels, or the model's own.

Only what lies in the sktime wheel is offered: nothing is fetched, and no folder of the machine is opened to whoever may ask.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

import tsrep

from .answers import told_as_json
from .engine import Engine
from .refusal import Refused

PACKAGE = "sktime"
SHOWN = 64
"""Windows of a set, at most."""


async def sets(request: Request, engine: Engine) -> Response:
    """What can be drawn: sets with the model's channels, and how many windows the model keeps itself."""
    fitting = fit(engine)
    told = {
        "model": engine.name,
        "sets": [{"name": one.name, "shape": one.shape, "classes": list(one.classes)} for one in fitting],
        "own": len(engine.model.check),
        "says": says(engine, len(fitting)),
    }
    return told_as_json(told)


async def windows(request: Request, engine: Engine) -> Response:
    """A few dozen windows of a set with their labels; without one the model's own, which have none. Query: set."""
    name = request.query_params.get("set")
    if name is None:
        return told_as_json(_told(engine, None, [_bare(one) for one in engine.model.check], None))
    known = [one.name for one in fit(engine)]
    if name not in known:
        message = f"expected one of the sets {', '.join(known) or '(none fits this model)'}, got '{name[:50]}'"
        raise Refused("query", message, known, name[:50])
    held, label = await run_in_threadpool(few, name, engine.model.data.length)
    return told_as_json(_told(engine, name, held, label))


def fit(engine: Engine) -> list[Any]:
    """The sets that have the model's channels and are on this machine."""
    channels = tuple(engine.model.data.channels)
    return [one for one in tsrep.datasets() if one.package == PACKAGE and one.channels == channels and one.here]


def says(engine: Engine, fitting: int) -> str:
    """One sentence for people."""
    if fitting:
        return f"{fitting} built-in {'set has' if fitting == 1 else 'sets have'} the channels of this model."
    channels = engine.model.data.channels
    if not any(one.package == PACKAGE and one.here for one in tsrep.datasets()):
        return f"The built-in sets come with the package {PACKAGE}, which is not installed here: pip install {PACKAGE}."
    names = ", ".join(channels[:6]) + (", …" if len(channels) > 6 else "")
    return f"No built-in set has the {len(channels)} channels of this model ({names})."


@lru_cache(8)
def few(name: str, length: int) -> tuple[list[np.ndarray], list[str] | None]:
    """Windows (channel, time) of the set's test part, evenly chosen from every class, and their labels.

    length: of the model's windows; series of more than twice as many steps are cut into such.
    """
    panel = tsrep.load_dataset(name).test
    if panel.length >= 2 * length:
        panel = tsrep.windows(panel, length)
    named = panel.label is not None and panel.label.dtype.kind != "f"
    order = np.argsort(panel.label, kind="stable") if named else np.arange(len(panel))
    chosen = np.sort(order[np.linspace(0, len(panel) - 1, min(SHOWN, len(panel))).round().astype(int)])
    held = [panel.values[row, :, : panel.lengths[row]] for row in chosen]
    return held, [str(panel.label[row]) for row in chosen] if named else None


def _told(engine: Engine, name: str | None, held: list[np.ndarray], label: list[str] | None) -> dict[str, Any]:
    shown = [np.where(np.isnan(one), None, one.astype(object)).tolist() for one in held]
    return {
        "model": engine.name,
        "name": name,
        "channels": list(engine.model.data.channels),
        "windows": shown,
        "label": label,
    }


def _bare(window: np.ndarray) -> np.ndarray:
    """Without the padding behind its last observed step."""
    return window[:, : int(np.flatnonzero(~np.isnan(window).all(axis=0))[-1]) + 1]
