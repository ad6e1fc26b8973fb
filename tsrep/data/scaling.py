"""Scaling by channel, fitted on the training part alone and kept in the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from tsrep.data.panel import Panel
from tsrep.errors import InputError


@dataclass(frozen=True)
class Scaler:
    """(value - mean) / scale, channel by channel. Both in the unit of the channel."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.scale):
            raise InputError(f"expected one mean and one scale a channel, got {len(self.mean)} and {len(self.scale)}")
        if not all(map(isfinite, self.mean)) or not all(isfinite(s) and s > 0 for s in self.scale):
            raise InputError(f"expected finite means and positive scales, got mean {self.mean}, scale {self.scale}")

    @staticmethod
    def fit(panel: Panel) -> Scaler:
        """Mean and standard deviation (divisor n) of the observed values of each channel over all series, in float64.

        A channel that is constant, or never observed, keeps the scale 1.
        """
        means, scales = [], []
        for channel in range(panel.values.shape[1]):
            values = panel.values[:, channel]
            observed = values[~np.isnan(values)].astype(np.float64)
            means.append(float(observed.mean()) if observed.size else 0.0)
            varies = observed.size > 0 and observed.min() < observed.max()
            scales.append(float(observed.std()) if varies else 1.0)
        return Scaler(tuple(means), tuple(scales))

    @staticmethod
    def identity(channels: int) -> Scaler:
        """Changes nothing, for data that is scaled already."""
        return Scaler((0.0,) * channels, (1.0,) * channels)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """(n, channel, time) -> the same in units of standard deviations, float32. NaN stays NaN."""
        if values.ndim != 3 or values.shape[1] != len(self.mean):
            raise InputError(
                f"expected {len(self.mean)} channels in an array (n, channel, time), got shape {values.shape}"
            )
        # In float64: a large mean beside a small deviation would lose digits in float32.
        shifted = values - np.array(self.mean)[:, None]
        shifted /= np.array(self.scale)[:, None]
        return np.asarray(shifted, np.float32)

    def to_dict(self) -> dict[str, list[float]]:
        """For JSON; `from_dict` gives back an equal scaler."""
        return {"mean": list(self.mean), "scale": list(self.scale)}

    @staticmethod
    def from_dict(given: Mapping[str, Any]) -> Scaler:
        """InputError where mean or scale is missing or is not a list of numbers."""
        try:
            return Scaler(tuple(map(float, given["mean"])), tuple(map(float, given["scale"])))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"expected a scaler with the lists mean and scale, got {dict(given)} ({error!r})"
            ) from None
