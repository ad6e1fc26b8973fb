"""A head that forecasts: what a model's embedding of a window says of the steps after it. Ridge regression, saved beside the model.

Read and applied by numpy alone, for those who serve an export without torch. To measure forecasts, see `tsrep.forecast`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tsrep import folders
from tsrep.data.columns import CALENDAR
from tsrep.errors import InputError
from tsrep.runtime import CHUNK

if TYPE_CHECKING:
    from tsrep.model import Model

NAME = "forecast.safetensors"

MOST = 20_000
"""Windows that a head is fitted on; of more every k-th is taken."""
LATEST = 0.25
"""Share of the steps of each series, the last ones, on which the penalties are chosen."""
TENSORS = ("weight", "bias", "scale", "fill")


@dataclass(frozen=True, eq=False)
class Forecaster:
    """Ridge regression on frozen embeddings, of each channel by itself: ŷ(t+h) = y(t) + s (w_h z + b_h), in the units of the data.

    channels: that are forecast, all but the calendar; places: where they stand among those of the model.
    horizon:  steps ahead. weight: (channel, horizon, feature). bias: (channel, horizon).
    scale:    (channel,) s, the deviation of the training part. fill: (channel,) what stands for y(t) where a window holds no value of
              the channel: its mean in the training part.
    own:      whether a channel is read off the embedding of its own, where the model embeds channels one by one.
    pool:     of the embeddings, as `Model.embed` takes it.
    """

    channels: tuple[str, ...]
    places: tuple[int, ...]
    horizon: int
    weight: np.ndarray
    bias: np.ndarray
    scale: np.ndarray
    fill: np.ndarray
    own: bool
    pool: str | None

    def __call__(self, embeddings: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Embeddings (n, feature) and the last values (n, channel) of their windows -> forecasts (n, channel, horizon)."""
        z = np.asarray(embeddings, np.float64)
        if self.own:
            said = np.einsum("ncf,chf->nch", z.reshape(len(z), len(self.channels), -1), self.weight)
        else:
            said = np.einsum("nf,chf->nch", z, self.weight, optimize=True)
        return np.asarray(last[:, :, None] + self.scale[:, None] * (said + self.bias))

    def last(self, values: np.ndarray) -> np.ndarray:
        """Windows (n, channel, time) of all channels of the model, NaN for missing -> (n, channel): the last value of each channel that
        is forecast."""
        found = _latest(np.asarray(values, np.float64)[:, self.places])
        return np.where(np.isnan(found), self.fill, found)

    def save(self, path: Path) -> None:
        import torch

        from tsrep import checkpoint

        tensors = {name: torch.from_numpy(np.ascontiguousarray(getattr(self, name))) for name in TENSORS}
        told = {
            "kind": "forecast",
            "channels": self.channels,
            "places": self.places,
            "own": self.own,
            "pool": self.pool,
        }
        checkpoint.save(path, tensors, told)


def fit_forecaster(
    model: Model, X: Any, horizon: int, *, window: int | None = None, pool: str | None = "auto"
) -> Model:
    """The model with a head that forecasts, fitted on its frozen embeddings; the encoder stays as it is.

    X:       long series, as `model.embed` takes them; every window in them with the steps after it is learned from.
    horizon: steps ahead. window: steps of a window, None: of a training window.
    pool:    of the embeddings; auto: that of the last step, but the encoder's own where it lays its patches one after another (flat).
    The penalty of each channel is chosen as `tsrep.forecast` does (RMSE + MAE), on the last quarter of each series; then the channel is
    fitted on all windows. Measure it first: `tsrep.forecast(model, data)`.
    Raises InputError where a series is too short, or no window has values of all channels in all steps after it.
    """
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise InputError(f"expected a horizon in whole steps, at least one, got {horizon!r}")
    if pool == "steps":
        raise InputError("expected a pool that gives one embedding for each window, got 'steps'")
    if model.streams:
        raise InputError("expected a model of one stream to forecast with: model.of(stream) makes one")
    if pool == "auto":
        pool = None if getattr(model.plan.encoder, "pool", None) == "flat" else "last"
    length = model.data.length if window is None else window
    names = tuple(name for name in model.data.channels if name not in CALENDAR)
    places = tuple(model.data.channels.index(name) for name in names)
    scaled = model.scaled(X)
    cut = _cut(scaled, places, length, int(horizon))
    z = model._embed(cut.windows, pool, CHUNK).astype(np.float64)
    own = model.plan.data.independent
    parts = z.reshape(len(z), len(names), -1) if own else z[:, None]
    weight, bias = [], []
    for place in range(len(names)):
        w, b = _ridge(parts[:, place if own else 0], cut.futures[:, place], cut.early, cut.late)
        weight.append(w)
        bias.append(b)
    scale, fill = (np.array(numbers)[list(places)] for numbers in (model.scaler.scale, model.scaler.mean))
    head = Forecaster(names, places, int(horizon), np.stack(weight), np.stack(bias), scale, fill, own, pool)
    return replace(model, forecaster=head)


@dataclass(frozen=True)
class _Cut:
    """Windows (n, channel, time) and what comes after them less their last value, (n, channel, horizon), both scaled; which of them
    the penalties are tried on (late), and fitted on for that (early)."""

    windows: np.ndarray
    futures: np.ndarray
    early: np.ndarray
    late: np.ndarray


def _cut(scaled: np.ndarray, places: tuple[int, ...], length: int, horizon: int) -> _Cut:
    if scaled.shape[2] < length + horizon:
        raise InputError(
            f"expected series of at least {length + horizon} steps, a window of {length} and {horizon} after it, got "
            f"{scaled.shape[2]}; take a shorter window or horizon"
        )
    whole = sliding_window_view(scaled, length + horizon, axis=2).transpose(
        0, 2, 1, 3
    )  # (series, begin, channel, time)
    after = whole[:, :, list(places), length:]
    known = ~np.isnan(after).any(axis=(2, 3)) & ~np.isnan(whole[..., :length]).all(axis=3)[:, :, list(places)].any(
        axis=2
    )
    series, begin = np.nonzero(known)
    if len(series) < 4:
        raise InputError(
            f"expected at least 4 windows with all values of the {horizon} steps after them, got {len(series)}"
        )
    few = slice(None, None, max(1, -(-len(series) // MOST)))
    series, begin = series[few], begin[few]
    windows = np.ascontiguousarray(whole[series, begin, :, :length])
    futures = after[series, begin].astype(np.float64) - _latest(windows[:, list(places)])[:, :, None]
    ends = np.array([np.flatnonzero(~np.isnan(one).all(axis=0)).max() + 1 for one in scaled])[series]
    border = np.ceil((1 - LATEST) * ends)
    early, late = np.flatnonzero(begin + length + horizon <= border), np.flatnonzero(begin + length >= border)
    if not len(early) or not len(late):  # too short to be parted by time
        early, late = np.arange(0, len(series), 2), np.arange(1, len(series), 2)
    return _Cut(windows, futures, early, late)


def _latest(windows: np.ndarray) -> np.ndarray:
    """(n, channel, time) -> (n, channel): the last value of each channel that is not missing, NaN where there is none."""
    at = windows.shape[2] - 1 - (~np.isnan(windows))[:, :, ::-1].argmax(axis=2)
    return np.take_along_axis(windows, at[:, :, None], axis=2)[:, :, 0]


def _ridge(x: np.ndarray, y: np.ndarray, early: np.ndarray, late: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """min ‖Y − X Wᵀ − b‖² + α‖W‖² with the α that is best on `late` when fitted on `early`: W (horizon, feature), b (horizon,)."""
    from sklearn.linear_model import Ridge

    from tsrep.evaluation.forecast import PENALTIES

    def missed(penalty: float) -> float:
        off = Ridge(penalty).fit(x[early], y[early]).predict(x[late]) - y[late]
        return float(np.sqrt(np.square(off).mean()) + np.abs(off).mean())

    found = Ridge(min(PENALTIES, key=missed)).fit(x, y)
    return np.ascontiguousarray(found.coef_), found.intercept_


def beside(folder: Path, held: Mapping[str, Any], width: Callable[[str | None], int]) -> Forecaster | None:
    """The forecasting head of the model in this folder, None where it has none; `held` is its data.json, `width` tells that of each
    pool.

    InputError where the file is not the one that was saved, or no head for embeddings of this width.
    """
    there = folders.saved_with(folder, NAME, held.get("forecast"), "forecasting head")
    return load(folder / NAME, width, tuple(held.get("channels", ()))) if there else None


def load(path: Path, width: Callable[[str | None], int], known: tuple[str, ...]) -> Forecaster:
    """InputError where the file is none of a head, or of one for embeddings of another width or other channels."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            told = json.loads((file.metadata() or {})["numbers"])
            weight, bias, scale, fill = (file.get_tensor(name).astype(np.float64) for name in TENSORS)
        channels, places = tuple(map(str, told["channels"])), tuple(map(int, told["places"]))
        own, pool = bool(told["own"]), told["pool"]
        count = len(channels)
        wide = width(pool) // (count if own else 1)
        fits = weight.ndim == 3 and all(known[place] == name for place, name in zip(places, channels, strict=True))
    except (SafetensorError, KeyError, IndexError, TypeError, OSError, ValueError) as error:
        raise InputError(f"expected a forecasting head in {path}, it is damaged: {error}") from error
    shapes = [array.shape for array in (weight, bias, scale, fill)]
    horizon = weight.shape[1] if weight.ndim == 3 else 0
    if not fits or shapes != [(count, horizon, wide), (count, horizon), (count,), (count,)]:
        raise InputError(
            f"expected a head that forecasts {count} channels from {wide} numbers in {path}, got {shapes[0]}"
        )
    return Forecaster(channels, places, horizon, weight, bias, scale, fill, own, pool)
