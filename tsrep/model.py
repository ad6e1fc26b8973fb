"""Model: what a user holds. It embeds, it is saved as a folder of plain files, and it proves itself when it is loaded."""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from tsrep import card, checkpoint, heads, plan, randomness, registry, suspects
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
from tsrep.readouts import READOUTS
from tsrep.series import Series, part_of
from tsrep.streaming import Fuse, Stream, fused
from tsrep.suspects import Suspects

CHUNK = 32
"""Windows that go through the encoder at a time: more do not fit the processor's cache and are slower (measured on two cores)."""

FORMAT = 1
FILES = ("plan.yaml", "weights.safetensors", "data.json", "check.safetensors", "README.md")
VIEW = "view.safetensors"
"""Weights of a learned view, where there is one."""

TOLERANCE = 1e-4
LARGEST = 2**20
"""Bytes of a text file of a model folder that are still parsed."""


@dataclass(frozen=True)
class Described:
    """What the model was trained on, as far as a user of the model must know it.

    name: of the data set, or None. channels, rate: as in Panel. length: steps of a training window. rows: how many there were.
    fingerprint: hash of the training data. classes: labels there were (never used in training). licence: of the data.
    """

    name: str | None
    channels: tuple[str, ...]
    rate: float | None
    length: int
    rows: int
    fingerprint: str
    classes: tuple[str, ...] = ()
    licence: str | None = None


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
        data = replace(self.plan.data, stream=stream, streams=None, align="time", steps=None)
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
                else np.zeros((0, self.widths[name]))
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
              "rich": maximum, mean, standard deviation and share of positive values side by side: (n, 4 * feature); for linear probes.
              "steps": one embedding for each step, (n, feature, time), NaN in the padding of shorter series.
        Raises InputError for other channels, empty or infinite data, or a series of which nothing was observed.
        """
        known = (None, "steps", *READOUTS)
        if pool not in known:
            raise InputError(f"expected pool to be one of {', '.join(map(str, known))}, got {pool!r}")
        if self.streams:
            if pool == "steps":
                raise InputError(
                    "expected one embedding for each row of several streams, pool 'steps' gives many; use embed_streams"
                )
            by_stream = self.embed_streams(X, pool, batch_size=batch_size)
            scale = 4 if pool == "rich" else 1
            return fused(by_stream, {name: scale * w for name, w in self.widths.items()}, fuse or self.fuse)
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

    @torch.inference_mode()
    def _embed_inputs(self, values: np.ndarray, pool: str | None, batch_size: int) -> np.ndarray:
        parameter = next(self.encoder.parameters())
        n, _, time = values.shape
        first, last = _span(values)
        order = np.argsort(last - first, kind="stable")
        whole = bool((first == 0).all() and (last == time).all())
        out: np.ndarray | None = None
        for begin in range(0, n, batch_size):
            rows = slice(begin, begin + batch_size) if whole else order[begin : begin + batch_size]
            low, high = int(first[rows].min()), int(last[rows].max())
            part = torch.from_numpy(np.ascontiguousarray(values[rows, :, low:high]))
            series = Series.of(part.to(parameter.device, parameter.dtype))
            embedding = self.encoder(series)
            if pool == "steps":
                found = embedding.steps.masked_fill(~series.extent[:, None], float("nan"))
            elif pool is None:
                found = embedding.pooled
            else:
                found = READOUTS[pool](embedding.steps, series.extent)
            made = found.float().cpu().numpy()
            if out is None:
                shape = (n, made.shape[1], time) if pool == "steps" else (n, made.shape[1])
                out = np.full(shape, np.nan, np.float32)
            if pool == "steps":
                out[rows, :, low:high] = made
            else:
                out[rows] = made
        assert out is not None
        return out

    def save(self, path: str | Path) -> Path:
        """Write the model's folder. What stands there is replaced once the new one is whole; a folder of anything else is refused."""
        folder = Path(path)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"expected a folder to save the model in, got a file: {path}")
        if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
            raise InputError(f"expected a new folder or one of a tsrep run, got one with other files: {path}")
        if (folder / checkpoint.NAME).is_file():
            raise InputError(
                f"expected a folder to save the model in, {path} holds a run that was stopped; choose another"
            )
        return self.put(folder)

    def put(self, folder: Path) -> Path:
        """`save` for the run's own folder, whose checkpoint stays until the model is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as beside:
            self._write(Path(beside))
            for name in [p.name for p in Path(beside).iterdir()]:
                (Path(beside) / name).replace(folder / name)
        for name, part in ((VIEW, self.view), (suspects.NAME, self.suspects), (heads.NAME, self.head)):
            if part is None:  # of a model that stood here before
                (folder / name).unlink(missing_ok=True)
        return folder

    def _write(self, folder: Path) -> None:
        (folder / "plan.yaml").write_text(plan.to_yaml(self.plan))
        checkpoint.save(folder / "weights.safetensors", self.encoder.state_dict(), {"format": FORMAT})
        if self.view is not None:
            checkpoint.save(folder / VIEW, self.view.state_dict(), {"format": FORMAT})
        if self.suspects is not None:
            self.suspects.save(folder / suspects.NAME)
        if self.head is not None:
            self.head.save(folder / heads.NAME)
        described: dict[str, Any] = asdict(self.data) | {
            "scaler": self.scaler.to_dict(),
            "format": FORMAT,
            "versions": versions(),
        }
        described["weights"] = _sha256(folder / "weights.safetensors")
        described["head"] = None if self.head is None else _sha256(folder / heads.NAME)
        described["view"] = None if self.view is None else _sha256(folder / VIEW)
        tensors = {"inputs": torch.from_numpy(self.check)}
        if self.streams:
            described["streams"] = {name: known.to_dict() for name, known in self.streams.items()}
            tensors = {f"inputs/{name}": torch.from_numpy(known.check) for name, known in self.streams.items()}
        (folder / "data.json").write_text(json.dumps(described, indent=1))
        tensors["embeddings"] = torch.from_numpy(self._proof())
        checkpoint.save(folder / "check.safetensors", tensors, {"format": FORMAT})
        (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.history))
        (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.results))
        (folder / "README.md").write_text(self.card())

    def _proof(self) -> np.ndarray:
        """Embeddings of the stored inputs, of several streams as `embed` joins them."""
        if not self.streams:
            return self._embed(self.scaler.transform(self.check), None, CHUNK)
        return self.embed({name: Panel(known.check, known.channels) for name, known in self.streams.items()})

    def card(self) -> str:
        """The model's card in Markdown: data, method with its source, results with spread, limits, versions, how to load."""
        told = asdict(self.data) | {"streams": {name: known.to_dict() for name, known in self.streams.items()}}
        return card.write(self.plan, told, self.features, self.history, self.results, versions())


def load(path: str | Path) -> Model:
    """A model from its folder, or from an address such as models:/name@champion.

    Embeds the stored inputs again and raises InputError when the embeddings differ, as for a missing or damaged file.
    """
    folder = _folder(path)
    for name in FILES:
        if not (folder / name).is_file():
            raise InputError(
                f"expected a tsrep model in {path}, found no {name} there; it holds a run that is not finished, or is damaged"
            )
    made = plan.read(folder / "plan.yaml")[0]
    held = _json(folder / "data.json")
    if held.get("format") != FORMAT:
        raise InputError(
            f"expected model format {FORMAT}, got {held.get('format')} in {path}; use the tsrep version that saved it"
        )
    try:
        scaler = Scaler.from_dict(held["scaler"])
        content = {k: tuple(v) if isinstance(v, list) else v for k, v in held.items()}
        data = plan.checked(
            Described,
            {
                k: v
                for k, v in content.items()
                if k not in ("scaler", "format", "versions", "weights", "view", "head", "streams")
            },
            "data.json",
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"expected a data description in {folder / 'data.json'}, it is damaged: {error}") from error
    stored, _ = checkpoint.load(folder / "check.safetensors")
    streams = _streams(held, stored, folder)
    shape = _shape(made, data, streams)
    with randomness.seeded(made.seed, randomness.WEIGHTS):
        encoder = encoder_for(made, shape)
    weights, _ = checkpoint.load(folder / "weights.safetensors")
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"expected the weights of a '{type(made.encoder).__name__}' encoder in {path}: {error}"
        ) from error
    view = _view(made, shape, encoder, folder / VIEW) if (folder / VIEW).is_file() else None
    if held.get("view") != (None if view is None else _sha256(folder / VIEW)):
        raise InputError(f"expected the learned view that was saved with the model in {path}, got another or none")
    if set(stored) != {"embeddings", *([f"inputs/{name}" for name in streams] or ["inputs"])}:
        raise InputError(
            f"expected inputs and embeddings in {folder / 'check.safetensors'}, got {', '.join(sorted(stored))}"
        )
    model = Model(
        encoder.eval(),
        made,
        scaler,
        data,
        next(iter(streams.values())).check if streams else stored["inputs"].numpy(),
        _lines(folder / "history.jsonl"),
        _lines(folder / "results.jsonl"),
        view,
        suspects.load(folder / suspects.NAME) if (folder / suspects.NAME).is_file() else None,
        streams,
    )
    if held.get("head") != (_sha256(folder / heads.NAME) if (folder / heads.NAME).is_file() else None):
        raise InputError(f"expected the head that was saved with the model in {path}, got another or none")
    if held.get("head"):
        model = replace(model, head=heads.load(folder / heads.NAME, model.features))
    _prove(model, stored["embeddings"].numpy(), path)
    # What the stored inputs are too short to reach is told by the file itself.
    if held.get("weights") != _sha256(folder / "weights.safetensors"):
        raise InputError(
            f"expected the weights that were saved with the model in {path}, got others: they were changed or damaged"
        )
    return model


def untrained(model: Model, seed: int) -> Model:
    """The same model with random weights that never saw data: the baseline beside every learned number."""
    with randomness.seeded(seed, randomness.WEIGHTS):
        encoder = encoder_for(model.plan, _shape(model.plan, model.data, model.streams))
    return replace(model, encoder=encoder.eval(), history=[], results=[], view=None, suspects=None, head=None)


def inputs_to_keep(panel: Panel, most: int = 4) -> np.ndarray:
    """A few windows, spread over the data, that a model keeps to prove itself by."""
    rows = np.unique(np.linspace(0, len(panel) - 1, most).round().astype(int))
    return np.ascontiguousarray(panel.values[rows])


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("tsrep", "torch", "numpy", "pandas"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a checkout that is not installed
            found[name] = "unknown"
    return found


def _prove(model: Model, expected: np.ndarray, path: str | Path) -> None:
    made = model._proof() if model.streams else model.embed(model.check)
    if made.shape != expected.shape:
        raise InputError(
            f"expected embeddings of shape {expected.shape} from the model in {path}, got {made.shape}: it is damaged"
        )
    difference = float(np.max(np.abs(made - expected) / (1.0 + np.abs(expected))))
    if not difference <= TOLERANCE:
        raise InputError(
            f"the model in {path} does not give the embeddings that were stored with it (they differ by {difference:.2g}, "
            f"at most {TOLERANCE:g} was expected): weights or scaling were changed, or this machine computes differently"
        )


def encoder_for(plan: Plan, shape: DataShape) -> nn.Module:
    """The encoder of a plan with weights of the random state that is: one, or one for each stream."""
    if plan.encoders == "shared" or not shape.streams:
        encoder: nn.Module = plan.encoder.build(len(shape.channels), shape.length)
        return encoder
    own = plan.encoders if isinstance(plan.encoders, dict) else {}
    return Each({s.name: own.get(s.name, plan.encoder).build(len(s.channels), s.length) for s in shape.streams})


def _shape(made: Plan, data: Described, streams: Mapping[str, Stream]) -> DataShape:
    """What the method knew of the data, as far as it is kept."""
    if not streams:
        return DataShape(data.rows, inputs(data.channels, made.data.independent), data.length, data.rate)
    shapes = tuple(StreamShape(name, s.channels, s.length, s.rate) for name, s in streams.items())
    return DataShape(data.rows, shapes[0].channels, data.length, data.rate, shapes)


def _streams(held: Mapping[str, Any], stored: Mapping[str, torch.Tensor], folder: Path) -> dict[str, Stream]:
    try:
        return {
            name: Stream.from_dict(known, stored[f"inputs/{name}"].numpy())
            for name, known in held.get("streams", {}).items()
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"expected a description of each stream in {folder / 'data.json'}, it is damaged: {error}"
        ) from error


def _view(made: Plan, shape: DataShape, encoder: nn.Module, path: Path) -> nn.Module:
    """The learned view of the plan's method, with the weights it was saved with."""
    with randomness.seeded(made.seed, randomness.WEIGHTS):
        view = made.method.build(encoder, shape).view
    weights, _ = checkpoint.load(path)
    if not isinstance(view, nn.Module):
        raise InputError(f"expected no {VIEW} beside a method that learns no view, found {path}")
    try:
        view.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"expected the weights of the method's learned view in {path}: {error}") from error
    return view.eval()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder(path: str | Path) -> Path:
    text = str(path)
    scheme = text.split(":/", 1)[0] if ":/" in text else ""
    if scheme and scheme.isalpha() and len(scheme) > 1:
        from tsrep.plugins import plugin

        return Path(plugin("sources", scheme)(text))
    if not Path(path).is_dir():
        raise InputError(f"expected the folder of a model, found none at {path}")
    return Path(path)


def _is_ours(folder: Path) -> bool:
    return (folder / "plan.yaml").is_file()


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST:
        raise InputError(f"expected at most {LARGEST} bytes, got {path.stat().st_size}: {path}")
    try:
        held = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"expected JSON in {path}, it is damaged: {error}") from error
    if not isinstance(held, dict):
        raise InputError(f"expected a JSON object in {path}, got {type(held).__name__}")
    return held


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"expected a JSON object on every line of {path}, it is damaged: {error}") from error
    if not all(isinstance(line, dict) for line in lines):
        raise InputError(f"expected a JSON object on every line of {path}, it holds something else")
    return lines


def _span(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First observed step and the one after the last, of each series: (n,), (n,)."""
    if not np.isnan(values).any():
        return np.zeros(len(values), np.int64), np.full(len(values), values.shape[2])
    seen = ~np.isnan(values).all(axis=1)
    return seen.argmax(axis=1), values.shape[2] - seen[:, ::-1].argmax(axis=1)
