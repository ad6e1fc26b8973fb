"""Where MLflow keeps what it is told, by one rule, and how we speak to it without touching its global state."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import tsrep

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow takes seconds to import: it is imported when a store is opened, but told to be missing at once.
if importlib.util.find_spec("mlflow") is None:
    raise ImportError("No module named 'mlflow'")

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read by MLflow when it is imported

DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
RUN_FILE = "mlflow.json"
CHATTER = ("store.db.utils", "pyfunc", "store.model_registry.abstract_store")
SILENT = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


@dataclass(frozen=True)
class Store:
    """An MLflow store that was opened.

    client:    speaks to it; nothing of MLflow's process-wide state (active run, tracking address) is used or changed.
    address:   for people, without a password.
    artifacts: folder for files where the store is our own database, else None: the server decides.
    registry:  address of the model registry, MLFLOW_REGISTRY_URI or the store itself. None: MLflow's default (Databricks).
    """

    client: MlflowClient
    address: str
    artifacts: Path | None
    registry: str | None = None

    def experiment(self, name: str) -> str:
        """Id of the experiment of this name, made where there is none."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            location = None if self.artifacts is None else (self.artifacts / _plain(name)).as_uri()
            try:
                return str(self.client.create_experiment(name, artifact_location=location))
            except MlflowException:  # another process was faster
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            raise tsrep.InputError(
                f"MLflow experiment '{name}' was deleted in {self.address}; restore it or choose another name"
            )
        return str(found.experiment_id)


def open_store(out: str | Path | None) -> Store:
    """The store for a run whose folder is `out`.

    MLFLOW_TRACKING_URI where it is set (mlflow.set_tracking_uri sets it too); else a SQLite file `mlflow.db` beside the
    run's folder (`runs/mlflow.db` for `runs/first`), with the files in `mlartifacts` beside it. A run without a folder
    takes the working directory. Raises InputError where the store cannot be opened.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        return connect(given)
    file = own_database(out)
    file.parent.mkdir(parents=True, exist_ok=True)
    return connect(database(file), file.parent / ARTIFACTS)


def own_database(out: str | Path | None) -> Path:
    """The SQLite file for a run, where MLFLOW_TRACKING_URI names no other store."""
    return (Path.cwd() if out is None else Path(out).absolute().parent) / DATABASE


def stores_here() -> list[Store]:
    """Where to look for a model by name: MLFLOW_TRACKING_URI, else `mlflow.db` and `runs/mlflow.db` where they exist."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        return [connect(given)]
    files = [Path.cwd() / DATABASE, Path.cwd() / "runs" / DATABASE]
    return [connect(database(file), file.parent / ARTIFACTS) for file in files if file.is_file()]


def connect(uri: str, artifacts: Path | None = None) -> Store:
    """Open a store; the tables of a new database are made, which takes seconds. InputError where it does not answer."""
    registry = os.environ.get("MLFLOW_REGISTRY_URI") or (None if uri.startswith("databricks") else uri)
    try:
        from mlflow import MlflowClient

        with quiet():
            client = MlflowClient(tracking_uri=uri, registry_uri=registry)
            client.search_experiments(max_results=1)
    except Exception as error:  # MLflow passes on whatever its database driver or HTTP client raises
        reason = str(error).strip().split("\n", 1)[0].replace(uri, address(uri))
        raise tsrep.InputError(
            f"expected an MLflow store at {address(uri)}, it does not open: {reason}; check MLFLOW_TRACKING_URI"
        ) from error
    return Store(client, address(uri), artifacts, registry)


def database(file: Path) -> str:
    return f"sqlite:///{file.absolute()}"


def address(uri: str) -> str:
    """The address as people may see it: without user and password."""
    parts = urlsplit(uri)
    hidden = parts.password is not None or parts.username is not None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if hidden else uri


def brief(error: BaseException | None) -> str:
    """What an error says, in one line; database drivers add statements and all their values."""
    said = " ".join(str(error).partition("[SQL:")[0].split())
    return said if len(said) <= 300 else said[:299] + "…"


@contextmanager
def quiet() -> Iterator[None]:
    """What MLflow says of new tables, examples and versions, its progress bar for a few small files and the address of every run
    it closes are left out; warnings come, and what the user has set of these stays."""
    loggers = [logging.getLogger(f"mlflow.{name}") for name in CHATTER]
    levels = [logger.level for logger in loggers]
    added = [name for name in SILENT if name not in os.environ]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    os.environ.update({name: SILENT[name] for name in added})
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def told(store: Store) -> Iterator[None]:
    """What goes wrong while a run is opened is the user's to mend: InputError with the address."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise tsrep.InputError(f"MLflow at {store.address} refused: {brief(error)}") from error


def remember(folder: str | Path, run_id: str) -> None:
    """Keep in the run's folder which MLflow run it is, for `tsrep resume` and `tsrep evaluate`."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / RUN_FILE).write_text(json.dumps({"run_id": run_id}) + "\n")


def remembered(folder: str | Path | None) -> str | None:
    """The MLflow run of this folder, or None. InputError for a damaged note."""
    if folder is None or not (Path(folder) / RUN_FILE).is_file():
        return None
    file = Path(folder) / RUN_FILE
    try:
        held: Any = json.loads(file.read_text())
        return str(held["run_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise tsrep.InputError(
            f"expected the id of an MLflow run in {file}, it is damaged; remove it to log to a new run"
        ) from error


def key(*names: str) -> str:
    """A metric's name of the characters that MLflow allows."""
    return "/".join(re.sub(r"[^\w\-. /]", "_", name).strip("/") for name in names if name)


def _plain(name: str) -> str:
    """A name as one folder's name."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".") or "_"
