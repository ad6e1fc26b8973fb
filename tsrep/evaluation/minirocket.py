"""MiniRocket: the fast untrained baseline that a learned representation has to beat.

Dempster, Schmidt, Webb, KDD 2021, arXiv:2012.08791; for several channels as in its authors' code. Convolution with 84
fixed kernels of length 9 (weights -1 and three times 2) at several dilations; a feature is the proportion of steps at
which a response exceeds a bias, and biases are quantiles of responses to training series. A convolution of PyTorch does
it without compiling anything; the features equal those of the numba implementations under the same parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from tsrep.errors import InputError

SHORTEST = 9
"""Steps that a kernel needs at dilation one."""

_THREES = np.array(list(combinations(range(9), 3)))
_WEIGHT = np.full((84, 9), -1.0, np.float32)
np.put_along_axis(_WEIGHT, _THREES, 2.0, axis=1)
_MEMORY = 2**24
"""Responses held at a time."""


@dataclass(frozen=True)
class MiniRocket:
    """Fitted parameters.

    dilations: (d,) int.  channels: d arrays (84, channel) bool, which channels a kernel adds up.
    biases: d arrays (84, b) float32.  length: steps of the series it was fitted on, and expects.
    """

    dilations: np.ndarray
    channels: list[np.ndarray]
    biases: list[np.ndarray]
    length: int

    @staticmethod
    def fit(values: np.ndarray, *, features: int = 9996, most_dilations: int = 32, seed: int = 0) -> MiniRocket:
        """values (n, channel, time) without gaps, at least 9 steps -> about `features` features (a multiple of 84)."""
        if values.ndim != 3 or values.shape[2] < SHORTEST or np.isnan(values).any():
            raise InputError(f"MiniRocket expects (n, channel, time >= {SHORTEST}) without gaps, got {values.shape}")
        rng = np.random.default_rng(seed)
        n, width, length = values.shape
        dilations, counts = _dilations(length, features, most_dilations)
        golden = (np.sqrt(5) + 1) / 2
        quantiles = (np.arange(1, 84 * counts.sum() + 1) * golden) % 1  # a sequence that fills the unit interval evenly
        wide = np.log2(min(width, 9) + 1)
        channels, biases, begin = [], [], 0
        for dilation, count in zip(dilations, counts, strict=True):
            size = (2 ** rng.uniform(0, wide, 84)).astype(int)
            chosen = rng.random((84, width)).argsort(axis=1).argsort(axis=1) < size[:, None]
            drawn = torch.from_numpy(values[rng.integers(n, size=84)].astype(np.float32))
            weight = torch.from_numpy(_weights(chosen))
            response = torch.conv1d(  # kernel k on the series drawn for it
                drawn.reshape(1, 84 * width, length),
                weight,
                padding=4 * int(dilation),
                dilation=int(dilation),
                groups=84,
            )[0].numpy()
            level = quantiles[begin : begin + 84 * count].reshape(84, count)
            biases.append(_quantile(response, level).astype(np.float32))
            channels.append(chosen)
            begin += 84 * count
        return MiniRocket(dilations, channels, biases, length)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """values (n, channel, time) -> (n, 84 * sum b) float32 in [0, 1], by dilation, then kernel, then bias."""
        if values.ndim != 3 or values.shape[1:] != (self.channels[0].shape[1], self.length):
            raise InputError(
                f"expected (n, {self.channels[0].shape[1]}, {self.length}) as in fitting, got {values.shape}"
            )
        rows = max(1, _MEMORY // (84 * self.length))
        parts = [
            self._some(torch.from_numpy(values[i : i + rows].astype(np.float32))) for i in range(0, len(values), rows)
        ]
        return torch.cat(parts).numpy()

    def _some(self, values: Tensor) -> Tensor:
        out = []
        for place, (dilation, chosen, bias) in enumerate(zip(self.dilations, self.channels, self.biases, strict=True)):
            edge = 4 * int(dilation)
            response = torch.conv1d(values, torch.from_numpy(_weights(chosen)), padding=edge, dilation=int(dilation))
            share = torch.empty(len(values), 84, bias.shape[1])
            # every other kernel, at the next dilation the others, sees only steps at which it lies inside the series
            for kernels, seen in (
                (slice(place % 2, None, 2), response),
                (slice(1 - place % 2, None, 2), response[..., edge:-edge]),
            ):
                part, level = seen[:, kernels], torch.from_numpy(bias)[kernels]
                for j in range(bias.shape[1]):
                    share[:, kernels, j] = (part > level[:, j, None]).float().mean(dim=2)
            out.append(share.flatten(1))
        return torch.cat(out, dim=1)


def _dilations(length: int, features: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Dilations, exponentially spaced up to the length, and how many biases each kernel has at each."""
    per_kernel = max(1, features // 84)
    grid = np.logspace(0, np.log2((length - 1) / 8), min(per_kernel, most), base=2).astype(int)
    dilations, counts = np.unique(grid, return_counts=True)
    counts = (counts * (per_kernel / len(grid))).astype(int)
    rest = per_kernel - counts.sum()
    counts += rest // len(counts)
    counts[: rest % len(counts)] += 1
    return dilations, counts


def _weights(chosen: np.ndarray) -> np.ndarray:
    """(84, channel) bool -> (84, channel, 9) kernels that add up the chosen channels."""
    return chosen[:, :, None].astype(np.float32) * _WEIGHT[:, None]


def _quantile(response: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Linear quantiles row by row: (84, time), (84, b) -> (84, b)."""
    ordered = np.sort(response.astype(np.float64), axis=1)
    place = level * (ordered.shape[1] - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, ordered.shape[1] - 1)
    below, above = np.take_along_axis(ordered, low, 1), np.take_along_axis(ordered, high, 1)
    return np.asarray(below + (above - below) * (place - low))
