"""tsrep learns representations of time series and sensor data by contrast, without labels, and serves them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "fit": "fitting",
    "run": "fitting",
    "resume": "fitting",
    "learn": "fitting",
    "prepare": "fitting",
    "finish": "fitting",
    "bar": "fitting",
    "observers_of": "fitting",
    "load": "model",
    "Model": "model",
    "untrained": "model",
    "evaluate": "evaluating",
    "Plan": "plan",
    "read_plan": "plan:read",
    "make_plan": "plan:make",
    "Series": "series",
    "Embedding": "series",
    "Pairs": "pairs",
    "Method": "method",
    "Phase": "method",
    "Term": "method",
    "Training": "training",
    "Observer": "training",
    "Interrupted": "training",
    "World": "distributed",
    "Panel": "data.panel",
    "as_panel": "data.readers",
    "windows": "data.windows",
    "load_dataset": "data.catalogue:load",
    "fingerprint": "data.fingerprint",
    "InputError": "errors",
}
"""public name -> where it lives. Looked up when it is used, so that `import tsrep` costs little more than torch."""

if TYPE_CHECKING:
    from tsrep.data.catalogue import load as load_dataset
    from tsrep.data.fingerprint import fingerprint
    from tsrep.data.panel import Panel
    from tsrep.data.readers import as_panel
    from tsrep.data.windows import windows
    from tsrep.distributed import World
    from tsrep.errors import InputError
    from tsrep.evaluating import evaluate
    from tsrep.fitting import bar, finish, fit, learn, observers_of, prepare, resume, run
    from tsrep.method import Method, Phase, Term
    from tsrep.model import Model, load, untrained
    from tsrep.pairs import Pairs
    from tsrep.plan import Plan
    from tsrep.plan import make as make_plan
    from tsrep.plan import read as read_plan
    from tsrep.series import Embedding, Series
    from tsrep.training import Interrupted, Observer, Training

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 - names of the table above


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tsrep' has no attribute '{name}'")
    module, _, original = _PUBLIC[name].partition(":")
    found = getattr(importlib.import_module(f"tsrep.{module}"), original or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
