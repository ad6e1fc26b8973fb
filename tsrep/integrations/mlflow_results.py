"""Evaluation results that come after a run, added to the MLflow run that made the model."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tsrep.integrations import mlflow_model
from tsrep.integrations.mlflow_store import Store, key, open_store, own_database, remembered, stores_here, told

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def log_results(run: str | Path, frame: pd.DataFrame, figures: Mapping[str, Figure] | None = None) -> str | None:
    """Add evaluation results to the run that made a model; the id of that run, or None where MLflow does not know the model.

    run:     the model's folder, or its address such as models:/name@champion.
    frame:   tidy results (columns dataset, setting, method, features, seed, metric, value). The mean over seeds becomes the metric
             "dataset/setting/method/features/metric", of a forecast "…/metric/horizon"; the table becomes results/dataset-setting.csv.
    figures: name -> picture, becomes results/dataset-setting/name.png.
    """
    found = _run_of(str(run))
    if found is None:
        return None
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

    store, run_id = found
    keys = ["dataset", "setting", "method", "features", "metric"]
    if "horizon" in frame.columns:
        frame = frame.assign(
            horizon=frame["horizon"].fillna("")
        )  # a table from a file: rows without a horizon would be dropped
        keys.append("horizon")
    with told(store):
        try:
            store.client.get_run(run_id)
        except MlflowException:
            return None
        means = frame.groupby(keys, sort=False)["value"].mean().reset_index()
        now = int(time.time() * 1000)
        points = [Metric(key(*map(str, row[:-1])), row[-1], now, 0) for row in means.itertuples(index=False, name=None)]
        for begin in range(0, len(points), 1000):
            store.client.log_batch(run_id, metrics=points[begin : begin + 1000])
        for names, part in frame.groupby(["dataset", "setting"], sort=False):
            store.client.log_text(run_id, part.to_csv(index=False), f"results/{_file(names)}.csv")
        name = _file(frame[["dataset", "setting"]].iloc[0])
        for what, figure in (figures or {}).items():
            store.client.log_figure(run_id, figure, f"results/{name}/{_file([what])}.png")
        if (Path(run) / "README.md").is_file():
            store.client.log_artifact(run_id, str(Path(run) / "README.md"))
    return run_id


def _run_of(model: str) -> tuple[Store, str] | None:
    """The store and the run that a model came from."""
    if not model.startswith("models:/"):
        run_id = remembered(model)
        gone = not os.environ.get("MLFLOW_TRACKING_URI") and not own_database(model).is_file()
        return None if run_id is None or gone else (open_store(model), run_id)
    from mlflow.exceptions import MlflowException

    for store in stores_here():
        try:
            _, run_id = mlflow_model.locate(store.client, model)
        except MlflowException:
            continue
        if run_id:
            return store, run_id
    return None


def _file(names: Iterable[object]) -> str:
    """Names as one file's name."""
    return "-".join(re.sub(r"[^\w\-.]+", "-", str(name)) for name in names if str(name)) or "results"
