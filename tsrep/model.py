"""Model: what a user holds. It embeds, it is saved as a folder of plain files, and it proves itself when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from tsrep import card, drift, folders, forecast_heads, heads, levels, pools, randomness, registry, runtime, saving
from tsrep.data.alignment import resampled
from tsrep.data.columns import CALENDAR, apart, columns, inputs
from tsrep.data.layout import check_channels
from tsrep.data.panel import Panel
from tsrep.data.readers import as_panel, as_streams
from tsrep.data.scaling import Scaler
from tsrep.encoders.streams import Each, width
from tsrep.errors import InputError, nearest
from tsrep.method import DataShape, StreamShape
from tsrep.plan import Plan
from tsrep.readouts import read
from tsrep.runtime import CHUNK, Bound, Run, Runtime
from tsrep.series import Series, part_of
from tsrep.streaming import Fuse, Stream, fused
from tsrep.suspects import Suspects


@dataclass(frozen=True)
class Described:
    """What the model was trained on, as far as a user of the model must know it.

    name: of the data set, or None. channels, rate: as in Panel. length: steps of a training window. rows: how many there were.
    fingerprint: hash of the training data. classes: labels there were (never used in training). licence: of the data.
    unit: of its channels, as the catalogue has it, or None.
    """

    name: str | None
    channels: tuple[str, ...]
    rate: float | None
    length: int
    rows: int
    fingerprint: str
    classes: tuple[str, ...] = ()
    licence: str | None = None
    unit: str | None = None


@dataclass(frozen=True, repr=False)
class Model:
    """An encoder with all it needs to be used: scaling, the data it knows, and how it came about.

    encoder: in evaluation mode.
    plan:    how it was trained.
    scaler:  fitted on the training part.
    data:    what it was trained on.
    check:   a few unscaled training windows (n, channel, time); `load` embeds them again.
    history: numbers of the training, a line for every few steps.
    results: lines of evaluation, shown by the card.
    view:    the learned view it was trained with, to look at; None where the method learns none. Embedding does without it.
    suspects: what bad-pair mining found in training, to look at; None where nothing was mined.
    streams: what it knows of each stream, where it was trained on several; `scaler` and `check` are then those of the first. `of` gives
             the model of one.
    head:    a classification of the embeddings, of `tsrep.fit_head`; None where there is none.
    forecaster: a forecast of the steps after a window, of `tsrep.fit_forecaster`; None where there is none.
    reference: embeddings of a sample of the training windows, to compare later ones with; None in models of several streams, and in
             those of earlier versions.
    exported: the encoder for a faster runtime, as `tsrep.export` makes it; it embeds for as long as the encoder stays as it was.
    """

    encoder: nn.Module
    plan: Plan
    scaler: Scaler
    data: Described
    check: np.ndarray
    history: list[dict[str, float]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    view: nn.Module | None = None
    suspects: Suspects | None = None
    streams: Mapping[str, Stream] = field(default_factory=dict)
    head: heads.Classifier | None = None
    reference: drift.Reference | None = None
    forecaster: forecast_heads.Forecaster | None = None
    exported: Bound | None = None

    def __repr__(self) -> str:
        method, encoder = registry.name_of("methods", self.plan.method), registry.name_of("encoders", self.plan.encoder)
        data = self.data.name or "data from memory"
        return f"Model({method} on {data}, {encoder}: {len(self.data.channels)} channels -> {self.features} numbers)"

    @property
    def features(self) -> int:
        """Width of an embedding; where channels are independent, of the embeddings of all channels one after another; of several
        streams as `embed` joins them."""
        if self.streams and self.fuse == "concat":
            return sum(self.widths.values())
        return cast(int, self.encoder.features) * self._apart

    def width(self, pool: str | None = None) -> int:
        """Numbers of an embedding that `embed` gives with this pool."""
        if pool is None:
            return self.features
        if self.streams:
            own = [pools.width(levels.step_features(part_of(self.encoder, name)), pool) for name in self.streams]
            return sum(own) if self.fuse == "concat" else own[0]
        return pools.width(levels.step_features(self.encoder), pool) * self._apart

    @property
    def runtime(self) -> str:
        """What computes the embeddings: torch, or what the export runs on; longer windows than it takes go through torch."""
        fast = self._fast()
        return f"{runtime.TORCH} {torch.__version__}" if fast is None else fast.name

    @property
    def pools(self) -> tuple[str | None, ...]:
        """What `embed` can give of a window: all but "levels" where no levels were saved."""
        parts = self.encoder.parts if isinstance(self.encoder, Each) else [self.encoder]
        settled = all(hasattr(part, levels.NAME) for part in parts)
        return tuple(pool for pool in pools.WHOLE if settled or pool != "levels")

    @property
    def _apart(self) -> int:
        """Series that the encoder sees for each one of the data."""
        return len(set(self.data.channels) - set(CALENDAR)) if self.plan.data.independent else 1

    @property
    def widths(self) -> dict[str, int]:
        """Numbers of an embedding of each of several streams."""
        return {name: width(self.encoder, name) for name in self.streams}

    @property
    def fuse(self) -> Fuse:
        """How `embed` joins several streams."""
        return "mean" if self.plan.encoders == "shared" else "concat"

    def of(self, stream: str) -> Model:
        """The model of one stream of several: it embeds, is saved and served as any other."""
        if stream not in self.streams:
            raise InputError(f"no stream '{stream}' in this model; {nearest(stream, list(self.streams))}")
        known, encoders = self.streams[stream], self.plan.encoders
        scaling = self.plan.data.scaling_of(stream)
        data = replace(self.plan.data, stream=stream, streams=None, align="time", steps=None, scaling=scaling)
        own = encoders.get(stream, self.plan.encoder) if isinstance(encoders, dict) else self.plan.encoder
        encoder = part_of(self.encoder, stream)
        # A shared encoder was built for the longest of the streams, and is built again when the model is loaded.
        length = known.length if isinstance(self.encoder, Each) else self.data.length
        return Model(
            encoder,
            replace(self.plan, data=data, encoder=own, encoders="shared", mining={}),
            known.scaler,
            replace(self.data, channels=known.channels, rate=known.rate, length=length),
            known.check[~np.isnan(known.check).all(axis=(1, 2))],
            self.history,
        )

    def embed_streams(self, X: Any, pool: str | None = None, *, batch_size: int = CHUNK) -> dict[str, np.ndarray]:
        """Embeddings of each stream by itself: {stream: (n, feature)}, NaN where a row lacks it. X: as in `embed`."""
        if not self.streams:
            raise InputError("expected a model of several streams, this one knows one: use embed")
        given = as_streams(X)
        unknown = [name for name in given if name not in self.streams]
        if unknown:
            raise InputError(f"no stream '{unknown[0]}' in this model; {nearest(unknown[0], list(self.streams))}")
        made, steps = {}, self.plan.data.steps
        for name in (name for name in self.streams if name in given):
            here = given.present[name]
            panel = given[name].rows(here)
            if steps is not None and panel.length != steps and len(panel):
                panel = resampled(panel, steps)
            found = (
                self.of(name).embed(panel, pool, batch_size=batch_size)
                if len(panel)
                else np.zeros((0, self.of(name).width(pool)))
            )
            made[name] = np.full((len(here), *found.shape[1:]), np.nan, np.float32)
            made[name][here] = found
        return made

    def embed(
        self, X: Any, pool: str | None = None, *, batch_size: int = CHUNK, fuse: Fuse | None = None
    ) -> np.ndarray:
        """Embeddings of windows, float32.

        A model of several streams takes any of them, {stream: X} or `Streams` (resampled as the plan says, `data.steps`), and gives one
        embedding for each row, of those of the streams that the row has (`fuse`: "mean" over them, the default of a shared encoder, or
        "concat", (n, Σ features) with zeros for absent ones, the default of encoders of their own).

        X:    whatever `tsrep.fit` takes, with the channels that the model was trained on. NaN is missing.
        pool: None, the encoder's own pooling: (n, feature). max, mean or last over the steps: (n, feature).
              For linear probes: "rich", maximum, mean, standard deviation and share of positive values side by side: (n, 4 * feature);
              "levels", the same with the shares of steps above four levels that the training windows set: (n, 7 * feature).
              "steps": one embedding for each step, (n, feature, time), NaN in the padding of shorter series.
        Raises InputError for other channels, empty or infinite data, or a series of which nothing was observed.
        """
        if pool not in pools.KNOWN:
            raise InputError(f"expected pool to be one of {', '.join(map(str, pools.KNOWN))}, got {pool!r}")
        if self.streams:
            if pool == pools.STEPS:
                raise InputError(
                    "expected one embedding for each row of several streams, pool 'steps' gives many; use embed_streams"
                )
            by_stream = self.embed_streams(X, pool, batch_size=batch_size)
            widths = {name: self.of(name).width(pool) for name in self.streams}
            return fused(by_stream, widths, fuse or self.fuse)
        if fuse is not None:
            raise InputError(f"expected a model of several streams to fuse them by '{fuse}', this one knows one")
        return self._embed(self.scaled(X), pool, batch_size)

    def scaled(self, X: Any) -> np.ndarray:
        """Whatever `embed` takes -> (n, channel, time) in the units that the encoder knows, NaN for missing."""
        panel = as_panel(X)
        bare = tuple(f"channel_{i}" for i in range(len(self.data.channels)))
        if panel.channels not in (self.data.channels, bare):
            # The channels of the plan, in its order, with the calendar of the data's clock.
            panel = columns(panel, self.plan.data.channels, self.plan.data.calendar)
        check_channels(panel, self.data.channels)
        return self.scaler.transform(panel.values)

    def inputs(self, scaled: np.ndarray) -> np.ndarray:
        """What `scaled` gives -> what the encoder sees: where channels are independent, (n * channel, 1 + calendar, time)."""
        return apart(scaled, self.data.channels) if self.plan.data.independent else scaled

    def _embed(self, scaled: np.ndarray, pool: str | None, batch_size: int) -> np.ndarray:
        made = self._embed_inputs(self.inputs(scaled), pool, batch_size)
        return made.reshape(len(scaled), -1, *made.shape[2:])

    def _embed_inputs(self, values: np.ndarray, pool: str | None, batch_size: int) -> np.ndarray:
        fast = self._fast()
        if pool == "levels":
            levels.of(self.encoder)  # or says that there are none

        def run(steps: int) -> Run:
            return self._by_torch if fast is None or steps > fast.length else fast

        return runtime.embedded(run, values, pool, batch_size)

    def _fast(self) -> Runtime | None:
        bound = self.exported
        return bound.runtime if bound is not None and bound.holds(self.encoder) else None

    @torch.inference_mode()
    def _by_torch(self, values: np.ndarray, pool: str | None) -> np.ndarray:
        parameter = next(self.encoder.parameters())
        series = Series.of(torch.from_numpy(values).to(parameter.device, parameter.dtype))
        found = read(self.encoder(series), pool, levels.of(self.encoder) if pool == "levels" else None)
        return np.asarray(found.float().cpu().numpy())

    def save(self, path: str | Path) -> Path:
        """Write the model's folder. What stands there is replaced once the new one is whole; a folder of anything else is refused."""
        return saving.put(self, saving.checked(Path(path)))

    def proof(self) -> np.ndarray:
        """Embeddings of the stored inputs, of several streams as `embed` joins them."""
        if not self.streams:
            return self._embed(self.scaler.transform(self.check), None, CHUNK)
        return self.embed({name: Panel(known.check, known.channels) for name, known in self.streams.items()})

    def card(self) -> str:
        """The model's card in Markdown: data, method with its source, results with spread, limits, versions, how to load."""
        return self.card_with(None if self._fast() is None or self.exported is None else self.exported.report)

    def card_with(self, export: Mapping[str, Any] | None) -> str:
        """The card of a model in whose folder lies this export."""
        told = asdict(self.data) | {"streams": {name: known.to_dict() for name, known in self.streams.items()}}
        return card.write(self.plan, told, self.features, self.history, self.results, folders.versions(), export)


def untrained(model: Model, seed: int, X: Any = None) -> Model:
    """The same model with random weights that never saw data: the baseline beside every learned number.

    X: windows of one stream to take its levels of, as `embed` takes them; None: it has none.
    """
    with randomness.seeded(seed, randomness.WEIGHTS):
        encoder = encoder_for(model.plan, shape_of(model.plan, model.data, model.streams))
    if X is not None:
        if model.streams:
            raise InputError(
                "expected a model of one stream to take levels of X, this one knows several: use model.of(stream)"
            )
        levels.settle(encoder.eval(), Series.of(torch.from_numpy(model.inputs(model.scaled(X)))))
    return replace(
        model,
        encoder=encoder.eval(),
        history=[],
        results=[],
        view=None,
        suspects=None,
        head=None,
        reference=None,
        forecaster=None,
        exported=None,
    )


def inputs_to_keep(panel: Panel, most: int = 4) -> np.ndarray:
    """A few windows, spread over the data, that a model keeps to prove itself by."""
    rows = np.unique(np.linspace(0, len(panel) - 1, most).round().astype(int))
    return np.ascontiguousarray(panel.values[rows])


def encoder_for(plan: Plan, shape: DataShape) -> nn.Module:
    """The encoder of a plan with weights of the random state that is: one, or one for each stream."""
    if plan.encoders == "shared" or not shape.streams:
        encoder: nn.Module = plan.encoder.build(len(shape.channels), shape.length)
        return encoder
    own = plan.encoders if isinstance(plan.encoders, dict) else {}
    return Each({s.name: own.get(s.name, plan.encoder).build(len(s.channels), s.length) for s in shape.streams})


def shape_of(made: Plan, data: Described, streams: Mapping[str, Stream]) -> DataShape:
    """What the method knew of the data, as far as it is kept."""
    if not streams:
        return DataShape(data.rows, inputs(data.channels, made.data.independent), data.length, data.rate)
    shapes = tuple(StreamShape(name, s.channels, s.length, s.rate) for name, s in streams.items())
    return DataShape(data.rows, shapes[0].channels, data.length, data.rate, shapes)
