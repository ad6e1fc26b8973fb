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
    "build": "fitting",
    "bar": "fitting",
    "observers_of": "fitting",
    "load": "model",
    "Model": "model",
    "untrained": "model",
    "keep_results": "reporting:keep",
    "show_results": "evaluation.report:show",
    "results_markdown": "evaluation.report:markdown",
    "nearest": "evaluation.retrieve",
    "neighbours_picture": "plots.neighbours:neighbours",
    "evaluate": "evaluating",
    "commit": "evaluating",
    "training_pictures": "pictures:of_training",
    "Plan": "plan",
    "read_plan": "plan:read",
    "make_plan": "plan:make",
    "write_plan": "plan:write",
    "plan_dict": "plan:to_dict",
    "Series": "series",
    "Embedding": "series",
    "Pairs": "pairs",
    "Method": "method",
    "DataShape": "method",
    "Phase": "method",
    "Term": "method",
    "Training": "training",
    "Observer": "training",
    "Interrupted": "training",
    "train": "training",
    "info_nce": "losses",
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
    from tsrep.data.fingerprint import fingerprint as fingerprint
    from tsrep.data.panel import Panel as Panel
    from tsrep.data.readers import as_panel as as_panel
    from tsrep.data.windows import windows as windows
    from tsrep.distributed import World as World
    from tsrep.errors import InputError as InputError
    from tsrep.evaluating import commit as commit, evaluate as evaluate
    from tsrep.evaluation.report import markdown as results_markdown, show as show_results
    from tsrep.evaluation.retrieve import nearest as nearest
    from tsrep.fitting import (
        bar as bar,
        build as build,
        finish as finish,
        fit as fit,
        learn as learn,
        observers_of as observers_of,
        prepare as prepare,
        resume as resume,
        run as run,
    )
    from tsrep.losses import info_nce as info_nce
    from tsrep.method import DataShape as DataShape, Method as Method, Phase as Phase, Term as Term
    from tsrep.model import Model as Model, load as load, untrained as untrained
    from tsrep.pairs import Pairs as Pairs
    from tsrep.pictures import of_training as training_pictures
    from tsrep.plan import Plan as Plan
    from tsrep.reporting import keep as keep_results
    from tsrep.plots.neighbours import neighbours as neighbours_picture
    from tsrep.plan import make as make_plan
    from tsrep.plan import read as read_plan
    from tsrep.plan import to_dict as plan_dict
    from tsrep.plan import write as write_plan
    from tsrep.series import Embedding as Embedding, Series as Series
    from tsrep.training import Interrupted as Interrupted, Observer as Observer, Training as Training, train as train

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
