"""A runtime in bfloat16: torch computes convolutions and products with eight bits of mantissa, on processors that have them fast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tsrep.model import Model
from tsrep.runtime import BF16


class Half:
    """The encoder of a model under torch's autocast; `tsrep.runtime.Runtime` says what its attributes are. Weights stay float32,
    so that there is no file of its own: what differs is how they are multiplied."""

    precision = BF16
    content = b""

    def __init__(self, model: Model, length: int) -> None:
        self._model, self.length = replace(model, exported=None), length
        self.features = int(model.encoder.features)  # type: ignore[arg-type]
        self.pools = self._model.pools
        self.name = f"torch {torch.__version__}, {BF16}"

    def __call__(self, values: np.ndarray, pool: str | None) -> np.ndarray:
        device = next(self._model.encoder.parameters()).device.type
        with torch.autocast(device, torch.bfloat16):
            return self._model._by_torch(values, pool)
