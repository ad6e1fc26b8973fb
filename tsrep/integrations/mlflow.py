"""MLflow: an observer that logs a run and registers its model, results that follow later, and models by address."""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tsrep
from tsrep.integrations import mlflow_model
from tsrep.integrations.metric_writer import MetricWriter, Point
from tsrep.integrations.mlflow_results import log_results
from tsrep.integrations.mlflow_store import (
    Store,
    brief,
    key,
    open_store,
    quiet,
    remember,
    remembered,
    stores_here,
    told,
)

__all__ = ["MLflow", "fetch", "log_results"]

PARAMS = 100
"""Parameters that MLflow takes in one call."""

LONGEST = 6000
"""Characters of a parameter that MLflow keeps."""

_fetched: list[tempfile.TemporaryDirectory[str]] = []
"""Models that were fetched; removed when the process ends."""


class MLflow(tsrep.Observer):
    """Logs a run: flattened plan, data, every step's numbers, pictures, card and model.

    plan, panel: what is trained and on what.
    experiment:  name of the MLflow experiment; it is made where there is none.
    register:    name in the model registry under which the model becomes a new version. None: it stays with its run.
    alias:       of that version, for `tsrep.load("models:/NAME@ALIAS")`.
    run_name:    None: method, encoder, data and seed.

    Where to: see `mlflow_store.open_store`. Numbers are sent by a thread of their own; a store that fails while training never
    stops it: a RuntimeWarning at the end says what did not arrive. A run that was stopped and goes on continues the same MLflow
    run, whose id is kept in `mlflow.json` in the run's folder. The run ends FINISHED, KILLED (by a signal) or FAILED.
    """

    def __init__(
        self,
        plan: tsrep.Plan,
        panel: tsrep.Panel | tsrep.Streams,
        *,
        experiment: str = "tsrep",
        register: str | None = None,
        alias: str = "champion",
        run_name: str | None = None,
    ) -> None:
        if register is not None and isinstance(panel, tsrep.Streams):
            raise tsrep.InputError(
                f"expected a model of one stream to register as '{register}', got several ({', '.join(panel)}): track the run without "
                "registering it, and register model.of(stream)"
            )
        self.plan, self.panel = plan, panel
        self.experiment, self.register, self.alias, self.run_name = experiment, register, alias, run_name
        self.run_id: str | None = None
        self._store: Store | None = None
        self._writer: MetricWriter | None = None
        self._logged = 0  # the last step that MLflow has from an earlier part of the run
        self._handled: BaseException | None = None  # an error that was being handled before training began

    def start(self, length: int, done: int) -> None:
        """Open the run, a new one or the one that this run's folder remembers. InputError where MLflow cannot be reached."""
        self._handled = sys.exc_info()[1]
        store, run_id = self._open()
        self._writer = MetricWriter(lambda points: _send(store, run_id, points))

    def step(self, step: int, values: Mapping[str, float]) -> None:
        if self._writer is not None and step > self._logged:
            self._writer.add(step, values)

    def saved(self, step: int, path: Path) -> None:
        if self._writer is not None:
            self._writer.hurry()

    def stop(self) -> None:
        """Send the last numbers and close the run."""
        if self._writer is None or self._store is None or self.run_id is None:
            return
        error = sys.exc_info()[1]
        ended = "FINISHED"
        if error is not None and error is not self._handled:
            ended = "KILLED" if isinstance(error, tsrep.Interrupted | KeyboardInterrupt) else "FAILED"
        writer, self._writer = self._writer, None
        lost = writer.close()
        if lost:
            _warn(f"{lost} numbers of this run did not reach MLflow at {self._store.address}: {brief(writer.error)}")
        try:
            with quiet():
                self._store.client.set_terminated(self.run_id, ended)
        except Exception as failure:
            _warn(f"the run could not be closed in MLflow at {self._store.address}: {brief(failure)}")

    def done(self, model: tsrep.Model) -> None:
        """Log card, pictures and model, and register it.

        An error never costs a trained model: where it was saved (plan.out) it is raised, else it is a warning.
        """
        try:
            store, run_id = self._open()
            store.client.set_tag(run_id, "tsrep.windows.fingerprint", model.data.fingerprint)
            store.client.log_text(run_id, model.card(), "README.md")
            for name, figure in tsrep.training_pictures(model).items():
                store.client.log_figure(run_id, figure, f"{name}.png")
            if model.suspects is not None:
                store.client.log_text(run_id, model.suspects.table().to_csv(index=False), "bad_pairs.csv")
            with quiet():
                if model.streams:  # no signature of MLflow holds arrays of several shapes: the folder alone
                    with tempfile.TemporaryDirectory(prefix="tsrep-mlflow-") as beside:
                        store.client.log_artifacts(run_id, str(model.save(Path(beside) / "model")), "model")
                else:
                    model_id = mlflow_model.log(store.client, run_id, model)
                if self.register is not None:
                    mlflow_model.register(store.client, run_id, model_id, self.register, self.alias, model.card())
                store.client.set_terminated(run_id, "FINISHED")
        except Exception as error:
            said = f"MLflow did not take the model: {brief(error)}"
            if self.plan.out is None:
                _warn(said)
            else:
                raise RuntimeError(f"the model is saved in {self.plan.out}, but {said}") from error

    def _open(self) -> tuple[Store, str]:
        """The store and the run in it. Done by whoever comes first: on a cluster `done` may meet another process."""
        if self._store is None:
            self._store = open_store(self.plan.out)
        if self.run_id is None:
            with told(self._store):
                self.run_id = self._resumed(self._store) or self._created(self._store)
            if self.plan.out is not None:
                remember(self.plan.out, self.run_id)
        return self._store, self.run_id

    def _resumed(self, store: Store) -> str | None:
        from mlflow.exceptions import MlflowException

        run_id = remembered(self.plan.out)
        if run_id is None:
            return None
        try:
            found = store.client.get_run(run_id)
        except MlflowException:  # logged to another store, or deleted there
            _warn(f"MLflow at {store.address} does not know run {run_id} of {self.plan.out}; a new one is begun")
            return None
        store.client.update_run(run_id, status="RUNNING")
        if "rate" in found.data.metrics:  # of every step; what comes again equals what is there, bit for bit
            self._logged = max(point.step for point in store.client.get_metric_history(run_id, "rate"))
        return run_id

    def _created(self, store: Store) -> str:
        import mlflow
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param
        from mlflow.tracking.context.registry import resolve_tags

        content = tsrep.plan_dict(self.plan)
        method, encoder = content["method"]["name"], content["encoder"]["name"]
        data, mark = content["data"]["name"] or "memory", tsrep.fingerprint(self.panel)
        own = {"version": tsrep.__version__, "method": method, "encoder": encoder, "data": data, "fingerprint": mark}
        tags = resolve_tags() | {f"tsrep.{name}": value for name, value in own.items()}
        around = mlflow.active_run()
        if around is not None:
            tags["mlflow.parentRunId"] = around.info.run_id
        name = self.run_name or f"{method} {encoder} {data} seed {self.plan.seed}"
        run = store.client.create_run(store.experiment(self.experiment), run_name=name, tags=tags)
        run_id = str(run.info.run_id)
        params = [Param(key, str(value)[:LONGEST]) for key, value in _flat(content)]
        for begin in range(0, len(params), PARAMS):
            store.client.log_batch(run_id, params=params[begin : begin + PARAMS])
        store.client.log_dict(run_id, content, "plan.yaml")
        panels = dict(self.panel) if isinstance(self.panel, tsrep.Streams) else {"": self.panel}
        sizes = {
            name: dict(zip(("series", "channels", "steps"), panel.values.shape, strict=True))
            for name, panel in panels.items()
        }
        profile = json.dumps(sizes.get("", sizes))
        # MLflow keeps 36 characters of a digest, the tag has all of them.
        entry = Dataset(data[:500], mark[:32], "code", '{"tags": {}}', profile=profile)
        store.client.log_inputs(run_id, [DatasetInput(entry, [InputTag("mlflow.data.context", "training")])])
        return run_id


def fetch(uri: str) -> Path:
    """Folder of the tsrep model at an MLflow address: models:/name@alias, models:/name/version or models:/m-id.

    Asks MLFLOW_TRACKING_URI; where it is not set, `mlflow.db` in the working directory and then in `runs/`. The folder lives as
    long as the process. Nothing that was fetched is run or unpickled. Raises InputError where there is no such model.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    stores = stores_here()
    if not stores:
        raise tsrep.InputError(
            f"expected MLFLOW_TRACKING_URI or a file mlflow.db here or in runs/ to find {uri} in, got none; set MLFLOW_TRACKING_URI"
        )
    reasons = []
    for store in stores:
        try:
            location, _ = mlflow_model.locate(store.client, uri)
            beside = tempfile.TemporaryDirectory(prefix="tsrep-model-")
            _fetched.append(beside)
            where = {"tracking_uri": store.client.tracking_uri, "registry_uri": store.registry}
            with quiet():
                got = Path(mlflow.artifacts.download_artifacts(location, dst_path=beside.name, **where))
        except (MlflowException, OSError) as error:
            reasons.append(f"{store.address}: {brief(error)}")
            continue
        if (got / mlflow_model.FOLDER).is_dir():
            return got / mlflow_model.FOLDER
        raise tsrep.InputError(f"expected a model that tsrep logged, {uri} in {store.address} is another kind of model")
    raise tsrep.InputError(f"found no model {uri}; " + "; ".join(reasons))


def _send(store: Store, run_id: str, points: list[Point]) -> None:
    from mlflow.entities import Metric

    for begin in range(0, len(points), 1000):  # as many as MLflow takes in one call
        part = points[begin : begin + 1000]
        store.client.log_batch(run_id, metrics=[Metric(key(p.name), p.value, p.when, p.step) for p in part])


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=3)
