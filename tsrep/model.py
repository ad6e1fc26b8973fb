"""Model: what a user holds. It embeds, it is saved as a folder of plain files, and it proves itself when it is loaded."""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from tsrep import card, checkpoint, plan, randomness, registry, suspects
from tsrep.data.columns import CALENDAR, apart, columns, inputs
from tsrep.data.layout import check_channels
from tsrep.data.panel import Panel
from tsrep.data.readers import as_panel
from tsrep.data.scaling import Scaler
from tsrep.errors import InputError
from tsrep.method import DataShape
from tsrep.plan import Plan
from tsrep.readouts import READOUTS
from tsrep.series import Series
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

    def __repr__(self) -> str:
        method, encoder = registry.name_of("methods", self.plan.method), registry.name_of("encoders", self.plan.encoder)
        data = self.data.name or "data from memory"
        return f"Model({method} on {data}, {encoder}: {len(self.data.channels)} channels -> {self.features} numbers)"

    @property
    def features(self) -> int:
        """Width of an embedding; where channels are independent, of the embeddings of all channels one after another."""
        return cast(int, self.encoder.features) * self._apart

    @property
    def _apart(self) -> int:
        """Series that the encoder sees for each one of the data."""
        return len(set(self.data.channels) - set(CALENDAR)) if self.plan.data.independent else 1

    def embed(self, X: Any, pool: str | None = None, *, batch_size: int = CHUNK) -> np.ndarray:
        """Embeddings of windows, float32.

        X:    whatever `tsrep.fit` takes, with the channels that the model was trained on. NaN is missing.
        pool: None, the encoder's own pooling: (n, feature). max, mean or last over the steps: (n, feature).
              "rich": maximum, mean, standard deviation and share of positive values side by side: (n, 4 * feature); for linear probes.
              "steps": one embedding for each step, (n, feature, time), NaN in the padding of shorter series.
        Raises InputError for other channels, empty or infinite data, or a series of which nothing was observed.
        """
        known = (None, "steps", *READOUTS)
        if pool not in known:
            raise InputError(f"expected pool to be one of {', '.join(map(str, known))}, got {pool!r}")
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
        for name, part in ((VIEW, self.view), (suspects.NAME, self.suspects)):
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
        described = asdict(self.data) | {"scaler": self.scaler.to_dict(), "format": FORMAT, "versions": versions()}
        described["weights"] = _sha256(folder / "weights.safetensors")
        described["view"] = None if self.view is None else _sha256(folder / VIEW)
        (folder / "data.json").write_text(json.dumps(described, indent=1))
        made = self._embed(self.scaler.transform(self.check), None, CHUNK)
        tensors = {"inputs": torch.from_numpy(self.check), "embeddings": torch.from_numpy(made)}
        checkpoint.save(folder / "check.safetensors", tensors, {"format": FORMAT})
        (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.history))
        (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.results))
        (folder / "README.md").write_text(self.card())

    def card(self) -> str:
        """The model's card in Markdown: data, method with its source, results with spread, limits, versions, how to load."""
        return card.write(self.plan, asdict(self.data), self.features, self.history, self.results, versions())


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
            {k: v for k, v in content.items() if k not in ("scaler", "format", "versions", "weights", "view")},
            "data.json",
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"expected a data description in {folder / 'data.json'}, it is damaged: {error}") from error
    with randomness.seeded(made.seed, randomness.WEIGHTS):
        encoder = made.encoder.build(len(inputs(data.channels, made.data.independent)), data.length)
    weights, _ = checkpoint.load(folder / "weights.safetensors")
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"expected the weights of a '{type(made.encoder).__name__}' encoder in {path}: {error}"
        ) from error
    view = _view(made, data, encoder, folder / VIEW) if (folder / VIEW).is_file() else None
    if held.get("view") != (None if view is None else _sha256(folder / VIEW)):
        raise InputError(f"expected the learned view that was saved with the model in {path}, got another or none")
    stored, _ = checkpoint.load(folder / "check.safetensors")
    if set(stored) != {"inputs", "embeddings"}:
        raise InputError(
            f"expected inputs and embeddings in {folder / 'check.safetensors'}, got {', '.join(sorted(stored))}"
        )
    model = Model(
        encoder.eval(),
        made,
        scaler,
        data,
        stored["inputs"].numpy(),
        _lines(folder / "history.jsonl"),
        _lines(folder / "results.jsonl"),
        view,
        suspects.load(folder / suspects.NAME) if (folder / suspects.NAME).is_file() else None,
    )
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
        seen = inputs(model.data.channels, model.plan.data.independent)
        encoder = model.plan.encoder.build(len(seen), model.data.length)
    return replace(model, encoder=encoder.eval(), history=[], results=[], view=None, suspects=None)


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
    made = model.embed(model.check)
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


def _view(made: Plan, data: Described, encoder: nn.Module, path: Path) -> nn.Module:
    """The learned view of the plan's method, with the weights it was saved with."""
    shape = DataShape(data.rows, inputs(data.channels, made.data.independent), data.length, data.rate)
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
