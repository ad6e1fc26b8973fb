"""What MLflow runs when it loads one of our models: it reads the model's folder, which is plain files, and embeds.

MLflow stores this file beside the model instead of a pickled object ("models from code") and runs it on loading.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

import tsrep


class Embedder(PythonModel):  # type: ignore[misc]
    """A tsrep model as MLflow's common denominator: windows in, embeddings out."""

    def load_context(self, context: Any) -> None:
        self.model = tsrep.load(context.artifacts["model"])

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """(n, channel, time) float32, NaN = missing -> (n, feature) float32, or what params["pool"] asks for."""
        made: np.ndarray = self.model.embed(model_input, (params or {}).get("pool"))
        return made


set_model(Embedder())
