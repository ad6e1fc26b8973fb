"""How long and how fast to learn: the settings of the loop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from tsrep.series import Batch, Series, as_batch, rows_of


@dataclass(frozen=True)
class Training:
    """How long and how fast to learn.

    steps:            optimiser steps. None: as many as `epochs` make; without both 200 for data sets of up to 100 000 values and 600
                      for larger ones, the rule of TS2Vec.
    epochs:           passes over the data, instead of steps.
    batch_size:       series in a batch, all workers together.
    accumulate:       batches whose gradients are added up in one step; each contrasts within itself.
    learning_rate:    of AdamW.
    weight_decay:     of AdamW.
    schedule:         constant, or cosine down to zero.
    warmup:           steps over which the learning rate rises from zero.
    clip:             largest norm of the gradient; None: any.
    precision:        of the encoder; losses are always float32 or better.
    average:          which weights are kept: the last, the mean over all steps (TS2Vec), or their exponential moving average.
    decay:            of the exponential moving average.
    validation:       share of the training series kept aside; training stops early on their loss. 0: none.
    validate_every:   steps between two looks at the validation loss.
    patience:         looks without improvement before training stops.
    checkpoint_every: steps between two checkpoints, where there is a folder for them.
    log_every:        steps between two lines of history.
    device:           auto takes the accelerator where there is one.
    """

    steps: Annotated[int, Gt(0)] | None = None
    epochs: Annotated[int, Gt(0)] | None = None
    batch_size: Annotated[int, Gt(1)] = 16
    accumulate: Annotated[int, Gt(0)] = 1
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    weight_decay: Annotated[float, Ge(0)] = 0.01
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Annotated[int, Ge(0)] = 0
    clip: Annotated[float, Gt(0)] | None = None
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    average: Literal["last", "mean", "moving"] = "last"
    decay: Annotated[float, Gt(0), Lt(1)] = 0.99
    validation: Annotated[float, Ge(0), Le(0.5)] = 0.0
    validate_every: Annotated[int, Gt(0)] = 50
    patience: Annotated[int, Gt(0)] = 5
    checkpoint_every: Annotated[int, Gt(0)] = 100
    log_every: Annotated[int, Gt(0)] = 10
    device: str = "auto"

    def length(self, data: Series | Batch) -> int:
        """Steps in all."""
        batch = as_batch(data)
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return max(1, self.epochs * self.batches(rows_of(batch)) // self.accumulate)
        return 200 if sum(series.values.numel() for series in batch.values()) <= 100_000 else 600

    def batches(self, rows: int) -> int:
        """Whole batches in one epoch; the rows that are left over come in another epoch's order."""
        return max(1, rows // self.batch_size)

    def rate(self, step: int, length: int) -> float:
        """Learning rate of a step counted from zero."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        if self.schedule == "constant":
            return self.learning_rate * rise
        done = max(0, step - self.warmup) / max(1, length - self.warmup)
        return self.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * done))
