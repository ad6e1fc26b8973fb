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
    "prepare": "preparing",
    "finish": "fitting",
    "build": "fitting",
    "mined": "fitting",
    "bad_pairs": "suspects",
    "bar": "fitting",
    "observers_of": "fitting",
    "load": "loading",
    "Model": "model",
    "untrained": "model",
    "random_model": "fitting",
    "fit_head": "heads",
    "fit_forecaster": "forecast_heads",
    "export": "exporting",
    "load_light": "light",
    "Light": "light",
    "keep_results": "reporting:keep",
    "show_results": "evaluation.report:show",
    "results_markdown": "evaluation.report:markdown",
    "nearest": "evaluation.retrieve",
    "neighbours_picture": "plots.neighbours:neighbours",
    "evaluate": "evaluating",
    "evaluate_streams": "evaluating_streams",
    "stream_scores": "evaluation.streams:devices",
    "fused_scores": "evaluation.streams:whole",
    "crossing_scores": "evaluation.streams:crossing",
    "supervised": "supervising",
    "Supervised": "supervising",
    "paired": "evaluation.compare",
    "devices_picture": "pictures:of_devices",
    "sweep_picture": "plots.sweep:sweep",
    "to_torso": "data.skeleton",
    "resampled": "data.alignment",
    "one_pass": "encoding",
    "sliding": "encoding",
    "forecast": "forecasting",
    "forecasts": "forecasting",
    "Head": "forecast_reading",
    "Forecasts": "forecasting",
    "commit": "evaluating",
    "tidy": "evaluation.tidy",
    "training_pictures": "pictures:of_training",
    "benchmark_picture": "plots.benchmark:benchmark",
    "benchmark_page": "evaluation.page:page",
    "ranks_picture": "pictures:of_ranks",
    "baseline_features": "evaluation.baselines:features",
    "dtw": "evaluation.warping:warped",
    "dtw_affordable": "evaluation.warping:affordable",
    "probe": "evaluation.probes:probe_named",
    "pseudo_labelled": "evaluation.self_training",
    "class_scores": "evaluation.classify:classification",
    "stratified_fraction": "data.splits",
    "Plan": "plan",
    "read_plan": "planning:read",
    "make_plan": "planning:make",
    "write_plan": "plan:write",
    "plan_dict": "plan:to_dict",
    "Series": "series",
    "Embedding": "series",
    "Pairs": "pairs",
    "Method": "method",
    "DataShape": "method",
    "Phase": "method",
    "Term": "method",
    "Training": "learning",
    "Observer": "observers",
    "Interrupted": "observers",
    "signals": "observers",
    "train": "training",
    "info_nce": "losses",
    "World": "distributed",
    "Panel": "data.panel",
    "as_panel": "data.readers",
    "windows": "data.windows",
    "Streams": "data.streams",
    "as_streams": "data.readers",
    "together": "data.alignment",
    "StreamShape": "method",
    "datasets": "data.catalogue:entries",
    "load_dataset": "data.catalogue:load",
    "load_streams": "data.catalogue",
    "fingerprint": "data.fingerprint",
    "InputError": "errors",
}
"""public name -> where it lives. Looked up when it is used, so that `import tsrep` costs little more than torch.

Users need fit, load, evaluate, Model, InputError and the data names; the others are what integrations, pipelines and the service
are built from.
"""

if TYPE_CHECKING:
    from tsrep import pictures as _pictures
    from tsrep import plan as _plan
    from tsrep import planning as _planning
    from tsrep import reporting as _reporting
    from tsrep.data import catalogue as _data_catalogue
    from tsrep.data.alignment import resampled as resampled
    from tsrep.data.alignment import together as together
    from tsrep.data.catalogue import load_streams as load_streams
    from tsrep.data.fingerprint import fingerprint as fingerprint
    from tsrep.data.panel import Panel as Panel
    from tsrep.data.readers import as_panel as as_panel
    from tsrep.data.readers import as_streams as as_streams
    from tsrep.data.skeleton import to_torso as to_torso
    from tsrep.data.splits import stratified_fraction as stratified_fraction
    from tsrep.data.streams import Streams as Streams
    from tsrep.data.windows import windows as windows
    from tsrep.distributed import World as World
    from tsrep.encoding import one_pass as one_pass
    from tsrep.encoding import sliding as sliding
    from tsrep.errors import InputError as InputError
    from tsrep.evaluating import commit as commit
    from tsrep.evaluating import evaluate as evaluate
    from tsrep.evaluating_streams import evaluate_streams as evaluate_streams
    from tsrep.evaluation import baselines as _evaluation_baselines
    from tsrep.evaluation import classify as _evaluation_classify
    from tsrep.evaluation import page as _evaluation_page
    from tsrep.evaluation import probes as _evaluation_probes
    from tsrep.evaluation import report as _evaluation_report
    from tsrep.evaluation import streams as _evaluation_streams
    from tsrep.evaluation import warping as _evaluation_warping
    from tsrep.evaluation.compare import paired as paired
    from tsrep.evaluation.retrieve import nearest as nearest
    from tsrep.evaluation.self_training import pseudo_labelled as pseudo_labelled
    from tsrep.evaluation.tidy import tidy as tidy
    from tsrep.exporting import export as export
    from tsrep.fitting import bar as bar
    from tsrep.fitting import build as build
    from tsrep.fitting import finish as finish
    from tsrep.fitting import fit as fit
    from tsrep.fitting import learn as learn
    from tsrep.fitting import mined as mined
    from tsrep.fitting import observers_of as observers_of
    from tsrep.fitting import random_model as random_model
    from tsrep.fitting import resume as resume
    from tsrep.fitting import run as run
    from tsrep.forecast_heads import fit_forecaster as fit_forecaster
    from tsrep.forecast_reading import Head as Head
    from tsrep.forecasting import Forecasts as Forecasts
    from tsrep.forecasting import forecast as forecast
    from tsrep.forecasting import forecasts as forecasts
    from tsrep.heads import fit_head as fit_head
    from tsrep.learning import Training as Training
    from tsrep.light import Light as Light
    from tsrep.light import load_light as load_light
    from tsrep.loading import load as load
    from tsrep.losses import info_nce as info_nce
    from tsrep.method import DataShape as DataShape
    from tsrep.method import Method as Method
    from tsrep.method import Phase as Phase
    from tsrep.method import StreamShape as StreamShape
    from tsrep.method import Term as Term
    from tsrep.model import Model as Model
    from tsrep.model import untrained as untrained
    from tsrep.observers import Interrupted as Interrupted
    from tsrep.observers import Observer as Observer
    from tsrep.observers import signals as signals
    from tsrep.pairs import Pairs as Pairs
    from tsrep.plan import Plan as Plan
    from tsrep.plots import benchmark as _plots_benchmark
    from tsrep.plots import neighbours as _plots_neighbours
    from tsrep.plots import sweep as _plots_sweep
    from tsrep.preparing import prepare as prepare
    from tsrep.series import Embedding as Embedding
    from tsrep.series import Series as Series
    from tsrep.supervising import Supervised as Supervised
    from tsrep.supervising import supervised as supervised
    from tsrep.suspects import bad_pairs as bad_pairs
    from tsrep.training import train as train

    baseline_features = _evaluation_baselines.features
    benchmark_page = _evaluation_page.page
    benchmark_picture = _plots_benchmark.benchmark
    crossing_scores = _evaluation_streams.crossing
    devices_picture = _pictures.of_devices
    fused_scores = _evaluation_streams.whole
    stream_scores = _evaluation_streams.devices
    sweep_picture = _plots_sweep.sweep
    class_scores = _evaluation_classify.classification
    dtw = _evaluation_warping.warped
    dtw_affordable = _evaluation_warping.affordable
    keep_results = _reporting.keep
    datasets = _data_catalogue.entries
    load_dataset = _data_catalogue.load
    make_plan = _planning.make
    neighbours_picture = _plots_neighbours.neighbours
    plan_dict = _plan.to_dict
    probe = _evaluation_probes.probe_named
    ranks_picture = _pictures.of_ranks
    read_plan = _planning.read
    results_markdown = _evaluation_report.markdown
    show_results = _evaluation_report.show
    training_pictures = _pictures.of_training
    write_plan = _plan.write

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
