"""Forecasting from frozen features: ridge from what is known at a step to the steps after it, and the forecasts that need no training.

Protocol of TS2Vec, CoST and AutoTCL (Yue et al., AAAI 2022, arXiv:2106.10466, §4.2): for every horizon H one ridge regression from
the features at step t to the values at t+1 … t+H; its penalty is chosen by RMSE + MAE on the validation part; errors are those of
values in units of the training part's deviation, over all steps of the test part whose whole horizon lies in it. To choose between
configurations the series may end with the validation part: errors are then those of that part, a little too small for all alike, for
the penalties were chosen there.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from tsrep.errors import InputError

PENALTIES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""α of ‖Y − XW‖² + α‖W‖² that the validation part chooses from."""

DROPPED = 200
"""First steps of the training part that are not learned from: little of the past is known there."""

MOST = 100_000
"""Steps of the training part that a ridge is fitted on; of longer ones every k-th is taken."""

FLOOR = 1e-2
"""Added to the variance of a window, in units of the training part's variance, so that a flat window is not blown up."""

Centre = Literal["none", "last", "window"]


@dataclass(frozen=True)
class Task:
    """What is forecast: a series of several channels with the ends of its parts.

    values: (channel, time) float64 in units of the training part's deviation, without NaN.
    ends:   first step after the training, validation and test part, which follow one another; without the last, there is no test
            part, and errors are those of the validation part.
    """

    values: np.ndarray
    ends: tuple[int, int, int] | tuple[int, int]

    def __post_init__(self) -> None:
        if np.isnan(self.values).any():
            raise InputError(
                f"expected a series without gaps to forecast, got {int(np.isnan(self.values).sum())} missing values; fill them"
            )

    @property
    def measured(self) -> int:
        """The part that errors are measured on, the last one: 2 test, 1 validation."""
        return len(self.ends) - 1

    def steps(self, part: int, horizon: int, first: int = 0) -> np.ndarray:
        """Steps of the part (0 training, 1 validation, 2 test) from `first` on whose whole horizon lies in it."""
        begin = max(first, self.ends[part - 1] if part else 0)
        steps = np.arange(begin, self.ends[part] - horizon)
        if not len(steps):
            names = ("training", "validation", "test")
            cure = "a shorter horizon or, where they are many, fewer lags" if part == 0 else "a shorter horizon"
            raise InputError(
                f"expected a {names[part]} part of more than {horizon} steps from step {begin} on, it ends at {self.ends[part]}; take "
                f"{cure}"
            )
        return steps

    def futures(self, channel: int, steps: np.ndarray, horizon: int) -> np.ndarray:
        """(steps, horizon): the values after each of the steps."""
        return np.asarray(sliding_window_view(self.values[channel], horizon)[steps + 1])


@dataclass(frozen=True)
class Frame:
    """Where a forecast is taken from, and in what units: y = centre + scale * what the ridge says.

    centre, scale: (channel, time), of the lags at each step.
    """

    centre: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class Scores:
    """mse, mae: on the part that is measured.
    validation: RMSE + MAE by which the penalties were chosen.
    penalties: one, or one a channel."""

    mse: float
    mae: float
    validation: float
    penalties: tuple[float, ...]


def lagged(values: np.ndarray, lags: int) -> np.ndarray:
    """(channel, time) -> (channel, time, lags): the last `lags` values at each step, the newest last; before there are as many, the
    first value stands for those that are missing."""
    padded = np.concatenate([np.repeat(values[:, :1], lags - 1, axis=1), values], axis=1)
    return np.asarray(sliding_window_view(padded, lags, axis=1))


def frame(values: np.ndarray, centre: Centre, lags: int) -> Frame:
    """none: centre 0, scale 1. last: the last value, scale 1. window: mean and √(variance + 0.01) of the lags (RevIN, Kim et al.,
    ICLR 2022)."""
    one = np.ones_like(values)
    if centre == "none":
        return Frame(np.zeros_like(values), one)
    if centre == "last":
        return Frame(values, one)
    past = [lagged(values[c : c + 1], lags) for c in range(len(values))]  # views: only one is ever laid out in memory
    return Frame(
        np.concatenate([one.mean(axis=2) for one in past]),
        np.concatenate([np.sqrt(one.var(axis=2) + FLOOR) for one in past]),
    )


def centred_lags(values: np.ndarray, to: Frame, lags: int) -> np.ndarray:
    """(channel, time) -> (channel, time, lags) float32: the lags in the units of the frame."""
    out = np.empty((*values.shape, lags), np.float32)
    for channel, past in enumerate(lagged(values, lags)):  # one in double precision at a time
        out[channel] = (past - to.centre[channel][:, None]) / to.scale[channel][:, None]
    return out


class Ridge:
    """Ridge regressions on frozen features: fitted on the training part, their penalty chosen on the validation part."""

    def __init__(
        self,
        task: Task,
        features: Sequence[np.ndarray],
        to: Frame,
        *,
        joint: bool,
        shared: bool = False,
        first: int = DROPPED,
    ) -> None:
        """features: (time, feature) float32 for each channel; where channels share them, the same array in each place.
        joint: one penalty for all channels (with shared features: the ridge of the paper, all channels at once); else one for each.
        shared: the coefficients, too, are those of all channels, whose steps are stacked.
        first: first step that is learned from.
        """
        self.task, self.features, self.to, self.joint, self.first = task, features, to, joint or shared, first
        channels = range(len(features))
        self.groups = [tuple(channels)] if shared else [(channel,) for channel in channels]
        end = task.ends[0]
        self.grid = np.arange(first, end, max(1, -(-(end - first) // MOST)))
        self.grams: dict[int, tuple[Tensor, Tensor]] = {}
        for known in features:
            if id(known) not in self.grams:
                x = _rows(known, self.grid)
                self.grams[id(known)] = x.T @ x, x.sum(dim=0)

    def fit(self, horizon: int, penalties: Sequence[float] = PENALTIES) -> Fitted:
        """Regressions to the next `horizon` values of every channel."""
        parts = [self.task.steps(part, horizon, self.first if part == 0 else 0) for part in range(len(self.task.ends))]
        validation, measured = parts[1], parts[-1]
        bases: dict[tuple[int, ...], _Basis] = {}
        sides, tried = [], []
        for group in self.groups:
            known = [self.features[channel] for channel in group]
            key = tuple(map(id, known))
            if key not in bases:
                bases.clear()
                grams = [self.grams[one] for one in key]
                bases[key] = _Basis.of(known, self.grid, grams, self.task.ends[0] - horizon, validation)
            basis = bases[key]
            futures = [_target(self.task, self.to, channel, basis.steps, horizon) for channel in group]
            side = _Side(basis, *basis.project(futures))
            for place, channel in enumerate(group):
                tried.append(side.errors(self.task, self.to, channel, place, validation, horizon, penalties))
                sides.append(_Side(replace(basis, validation=()), side.projected, side.mean))
        errors = np.array(tried)  # (channel, penalty, [squared, absolute])
        told = errors.mean(axis=0, keepdims=True) if self.joint else errors
        score = np.sqrt(told[..., 0]) + told[..., 1]
        chosen = tuple(penalties[i] for i in score.argmin(axis=1))
        each = tuple(np.broadcast_to(chosen, len(sides)).tolist())
        fitted = Fitted(self.task, self.features, self.to, horizon, tuple(sides), each, Scores(0.0, 0.0, 0.0, chosen))
        found = []
        for channel in range(len(sides)):
            missed = fitted(channel, measured) - self.task.futures(channel, measured, horizon)
            found.append((np.square(missed).mean(), np.abs(missed).mean()))
        mse, mae = np.array(found).mean(axis=0)
        return replace(fitted, scores=Scores(float(mse), float(mae), float(score.min(axis=1).mean()), chosen))


@dataclass(frozen=True)
class Fitted:
    """Regressions of one horizon, called with a channel and steps: -> forecasts (steps, horizon) in units of the task."""

    task: Task
    features: Sequence[np.ndarray]
    to: Frame
    horizon: int
    sides: tuple[_Side, ...]
    penalties: tuple[float, ...]
    scores: Scores

    def __call__(self, channel: int, steps: np.ndarray) -> np.ndarray:
        said = self.sides[channel](self.features[channel][steps], self.penalties[channel])
        return np.asarray(said * self.to.scale[channel][steps, None] + self.to.centre[channel][steps, None])


def last_value(task: Task, horizon: int) -> Scores:
    """The last value stays: ŷ(t+h) = y(t)."""
    return _seasonal(task, horizon, 1)


def seasonal_naive(task: Task, horizon: int, period: int) -> Scores:
    """What was a period ago comes again: ŷ(t+h) = y(t + h − k·period) with the smallest k that is known at t."""
    return _seasonal(task, horizon, period)


def _seasonal(task: Task, horizon: int, period: int) -> Scores:
    steps = task.steps(task.measured, horizon, first=period)
    ahead = np.arange(1, horizon + 1)
    back = ahead - period * -(-ahead // period)
    errors = []
    for channel, values in enumerate(task.values):
        missed = values[steps[:, None] + back] - task.futures(channel, steps, horizon)
        errors.append((np.square(missed).mean(), np.abs(missed).mean()))
    mse, mae = np.array(errors).mean(axis=0)
    return Scores(float(mse), float(mae), float("nan"), ())


@dataclass(frozen=True)
class _Basis:
    """Features in the axes of their covariance: with XᵀX = V diag(s) Vᵀ (centred) the ridge is W(α) = V diag(1/(s+α)) VᵀXᵀY for every α
    at the price of one decomposition.

    known:      (time, feature) for each channel whose steps are stacked.
    validation: (steps, feature) of each of them, in the axes.
    """

    known: Sequence[np.ndarray]
    steps: np.ndarray
    mean: Tensor
    spread: Tensor
    axes: Tensor
    validation: tuple[Tensor, ...]

    @staticmethod
    def of(
        known: Sequence[np.ndarray],
        grid: np.ndarray,
        grams: Sequence[tuple[Tensor, Tensor]],
        end: int,
        validation: np.ndarray,
    ) -> _Basis:
        """grams: Σ x xᵀ and Σ x over the grid, of each channel, of which the steps from `end` on are taken away again."""
        steps = grid[grid < end]
        tails = [_rows(one, grid[grid >= end]) for one in known]
        n = len(steps) * len(known)
        pairs = list(zip(grams, tails, strict=True))
        mean = _sum([total - tail.sum(dim=0) for (_, total), tail in pairs]) / n
        square = _sum([gram - tail.T @ tail for (gram, _), tail in pairs])
        spread, axes = torch.linalg.eigh(square - n * torch.outer(mean, mean))
        seen = tuple(((_rows(one, validation) - mean) @ axes).float() for one in known)
        return _Basis(known, steps, mean, spread.clamp(min=0.0), axes, seen)

    def project(self, futures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Targets (n, horizon) of each channel -> VᵀXᵀ(Y − mean), mean."""
        mean = _sum([y.mean(dim=0) for y in futures]) / len(futures)
        pairs = zip(self.known, futures, strict=True)
        return self.axes.T @ _sum([_rows(one, self.steps).T @ (y - mean) for one, y in pairs]), mean


@dataclass(frozen=True)
class _Side:
    """One channel's regression, for every penalty at once."""

    basis: _Basis
    projected: Tensor
    mean: Tensor

    def errors(
        self,
        task: Task,
        to: Frame,
        channel: int,
        place: int,
        steps: np.ndarray,
        horizon: int,
        penalties: Sequence[float],
    ) -> list[tuple[float, float]]:
        """(mean squared, mean absolute) error on the validation steps for each penalty; in float32, for it is most of the work.
        place: that of the channel among those whose steps are stacked."""
        projected, spread = self.projected.float(), self.basis.spread.float()[:, None]
        scale = torch.from_numpy(to.scale[channel][steps, None]).float()
        beyond = self.mean.float() - _target(task, to, channel, steps, horizon).float()
        found = []
        for penalty in penalties:
            missed = torch.addmm(beyond, self.basis.validation[place], projected / (spread + penalty)).mul_(scale)
            found.append((missed.square().mean().item(), missed.abs().mean().item()))
        return found

    def __call__(self, x: np.ndarray, penalty: float) -> np.ndarray:
        """Features (n, feature) -> what the regression says, (n, horizon) in the units of the frame."""
        weights = self.basis.axes @ (self.projected / (self.basis.spread[:, None] + penalty))
        said: Tensor = (torch.from_numpy(x).double() - self.basis.mean) @ weights + self.mean
        return said.numpy()


def _rows(known: np.ndarray, steps: np.ndarray) -> Tensor:
    return torch.from_numpy(known[steps]).double()


def _sum(parts: Sequence[Tensor]) -> Tensor:
    return functools.reduce(torch.add, parts)


def _target(task: Task, to: Frame, channel: int, steps: np.ndarray, horizon: int) -> Tensor:
    """(steps, horizon): the futures in the units of the frame."""
    y = task.futures(channel, steps, horizon) - to.centre[channel][steps, None]
    return torch.from_numpy(y / to.scale[channel][steps, None])
