"""A model as MLflow keeps it: our folder of plain files, one file of code that reads it, a signature, an example. No pickles."""

from __future__ import annotations

import importlib.metadata
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import tsrep

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "artifacts/model"
"""Where the folder that `tsrep.load` reads lies within the MLflow model."""

NAME = "encoder"


def log(client: MlflowClient, run_id: str, model: tsrep.Model) -> str:
    """Store the model with its run; the id of MLflow's logged model (address models:/ID)."""
    import mlflow
    import numpy as np
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    number = np.dtype("float32")
    signature = ModelSignature(
        inputs=Schema([TensorSpec(number, (-1, len(model.data.channels), -1))]),
        outputs=Schema([TensorSpec(number, (-1, model.features))]),
        params=ParamSchema([ParamSpec("pool", "string", None)]),
    )
    run = client.get_run(run_id)
    logged = client.create_logged_model(run.info.experiment_id, NAME, source_run_id=run_id, model_type="tsrep")
    try:
        with tempfile.TemporaryDirectory(prefix="tsrep-mlflow-") as beside:
            mlflow.pyfunc.save_model(
                Path(beside) / "mlflow",
                mlflow_model=Model(
                    logged.artifact_location, run_id, model_id=logged.model_id, model_uuid=logged.model_id
                ),
                python_model=str(Path(__file__).with_name("pyfunc_model.py")),
                artifacts={"model": str(model.save(Path(beside) / "model"))},
                signature=signature,
                input_example=np.asarray(model.check[:1], np.float32),
                pip_requirements=requirements(),
                metadata={"features": model.features, "channels": list(model.data.channels)},
            )
            client.log_model_artifacts(logged.model_id, str(Path(beside) / "mlflow"))
    except BaseException:
        client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    return str(logged.model_id)


def register(client: MlflowClient, run_id: str, model_id: str, name: str, alias: str, text: str) -> str:
    """Make a logged model the newest version of a registered one and give it the alias; the version."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # A server finds the files of a logged model itself and refuses other local paths. A database is opened by MLflow's code in this
    # process, which would look the model up at the process-wide tracking address instead of the client's.
    served = client.tracking_uri.startswith(("http://", "https://", "databricks"))
    source = f"models:/{model_id}" if served else client.get_logged_model(model_id).artifact_location
    made = client.create_model_version(name, source, run_id, description=text[:5000], model_id=model_id)
    client.set_registered_model_alias(name, alias, made.version)
    return str(made.version)


def locate(client: MlflowClient, uri: str) -> tuple[str, str | None]:
    """Where the files of models:/name@alias, models:/name/version or models:/m-id lie, and the run that made them.

    MLflow's own look-up asks the process-wide addresses, not the client's. Raises MlflowException where there is none,
    InputError for another form of address.
    """
    name = uri.removeprefix("models:").strip("/")
    if "@" in name:
        version = client.get_model_version_by_alias(*name.rsplit("@", 1))
    elif name.count("/") == 1:
        version = client.get_model_version(*name.split("/"))
    elif name.startswith("m-") and "/" not in name:
        logged = client.get_logged_model(name)
        return str(logged.artifact_location), logged.source_run_id
    else:
        raise tsrep.InputError(f"expected models:/NAME@ALIAS, models:/NAME/VERSION or models:/m-ID, got {uri}")
    return str(client.get_model_version_download_uri(version.name, version.version)), version.run_id


def requirements() -> list[str]:
    """What an environment needs to run the model. Given, because MLflow takes seconds to find out."""
    names = ("tsrep", "torch", "numpy", "pandas", "safetensors")
    # torch says where it was built for after a plus sign, which no package index knows
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in names]
