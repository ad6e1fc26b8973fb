"""Scaling: from the units of the data to what an encoder sees, fitted on the training part alone and kept in the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal, get_args

import numpy as np

from tsrep.data.columns import CALENDAR
from tsrep.data.panel import Panel
from tsrep.data.skeleton import Torso
from tsrep.errors import InputError

Way = Literal["each", "one", "torso", "none"]
"""How a stream is scaled. Only `each` gives every channel a unit of its own, by which what hardly moves is made as large as what moves
most: directions are lost, and a rotation of a scaled skeleton is none of a body."""


@dataclass(frozen=True)
class Scaler:
    """(value - mean) / scale, channel by channel. In the unit of the channel, or in torso lengths, which come first."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    torso: Torso | None = None

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.scale):
            raise InputError(f"expected one mean and one scale a channel, got {len(self.mean)} and {len(self.scale)}")
        if not all(map(isfinite, self.mean)) or not all(isfinite(s) and s > 0 for s in self.scale):
            raise InputError(f"expected finite means and positive scales, got mean {self.mean}, scale {self.scale}")
        joints, rest = divmod(len(self.mean), 3)
        if self.torso is not None and (rest or max(self.torso.centre, self.torso.top) >= joints):
            raise InputError(f"expected a torso between joints of {len(self.mean)} channels, got {self.torso}")

    @staticmethod
    def fit(panel: Panel, way: Way = "each") -> Scaler:
        """From the observed values of all series, in float64.

        each:  mean and standard deviation (divisor n) of every channel; one that is constant, or never observed, keeps the scale 1.
        one:   the root mean square of all values; nothing is taken off, so that directions stay. A calendar is scaled by `each`.
        torso: `Torso` of a panel whose channels are joints, and nothing else.
        none:  the identity.
        """
        if way not in get_args(Way):
            raise InputError(f"expected a scaling of {', '.join(get_args(Way))}, got {way!r}")
        same = Scaler.identity(panel.values.shape[1])
        if way == "none":
            return same
        if way == "torso":
            return Scaler(same.mean, same.scale, Torso.of(panel))
        means, scales = [], []
        own = np.array([way == "each" or name in CALENDAR for name in panel.channels])
        common = 1.0 if own.all() else _size(panel.values[:, ~own])
        for channel, alone in enumerate(own):
            if not alone:
                means.append(0.0)
                scales.append(common)
                continue
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
        """(n, channel, time) -> the same as the encoder sees it, float32. NaN stays NaN."""
        if values.ndim != 3 or values.shape[1] != len(self.mean):
            raise InputError(
                f"expected {len(self.mean)} channels in an array (n, channel, time), got shape {values.shape}"
            )
        values = values if self.torso is None else self.torso(values)
        # In float64: a large mean beside a small deviation would lose digits in float32.
        shifted = values - np.array(self.mean)[:, None]
        shifted /= np.array(self.scale)[:, None]
        return np.asarray(shifted, np.float32)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` gives back an equal scaler."""
        torso = {} if self.torso is None else {"torso": asdict(self.torso)}
        return {"mean": list(self.mean), "scale": list(self.scale), **torso}

    @staticmethod
    def from_dict(given: Mapping[str, Any]) -> Scaler:
        """InputError where mean or scale is missing or is not a list of numbers, or the torso is not whole."""
        try:
            held = given.get("torso")
            torso = held and Torso(int(held["centre"]), int(held["top"]), float(held["length"]))
            return Scaler(tuple(map(float, given["mean"])), tuple(map(float, given["scale"])), torso)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"expected a scaler with the lists mean and scale, got {given} ({error!r})") from None


def _size(values: np.ndarray) -> float:
    """Root mean square of what was observed; 1 where that is nothing, or all of it zero."""
    observed = values[~np.isnan(values)].astype(np.float64)
    return float(np.sqrt(np.mean(observed**2))) if observed.any() else 1.0
