"""Reads a model's folder, as `tsrep.saving` wrote it, and lets the model prove itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tsrep import checkpoint, drift, folders, forecast_heads, heads, levels, planning, randomness, suspects
from tsrep.checked import checked
from tsrep.data.scaling import Scaler
from tsrep.errors import InputError
from tsrep.folders import EARLIER, FILES, FORMAT, VIEW
from tsrep.half import Half
from tsrep.method import DataShape
from tsrep.model import Described, Model, encoder_for, shape_of
from tsrep.plan import Plan
from tsrep.runtime import BF16, Bound
from tsrep.streaming import Stream


def load(path: str | Path, runtime: str | None = None) -> Model:
    """A model from its folder, or from an address such as models:/name@champion.

    runtime: "torch"; "onnx", the export that `tsrep export` put into the folder; None, what the environment says (TSREP_RUNTIME), else
             the export where there is one and ONNX Runtime is installed, torch elsewhere. `Model.runtime` says which it became.
    Embeds the stored inputs again, by torch and by the export, and raises InputError when the embeddings differ, as for a missing or
    damaged file.
    """
    folder = folders.find(path)
    for name in FILES:
        if not (folder / name).is_file():
            raise InputError(
                f"expected a tsrep model in {path}, found no {name} there; it holds a run that is not finished, or is damaged"
            )
    made = planning.read(folder / "plan.yaml")[0]
    held = folders.json_of(folder / "data.json")
    if held.get("format") not in (EARLIER, FORMAT):
        raise InputError(
            f"expected model format {FORMAT}, got {held.get('format')} in {path}; use the tsrep version that saved it"
        )
    try:
        scaler = Scaler.from_dict(held["scaler"])
        content = {k: tuple(v) if isinstance(v, list) else v for k, v in held.items()}
        data = checked(Described, {k: v for k, v in content.items() if k not in folders.OF_THE_FOLDER}, "data.json")
    except (KeyError, TypeError) as error:
        raise InputError(f"expected a data description in {folder / 'data.json'}, it is damaged: {error}") from error
    stored, _ = checkpoint.load(folder / "check.safetensors")
    streams = _streams(held, stored, folder)
    shape = shape_of(made, data, streams)
    with randomness.seeded(made.seed, randomness.WEIGHTS):
        encoder = encoder_for(made, shape)
    weights, _ = checkpoint.load(folder / "weights.safetensors")
    levels.make_room(encoder, weights)
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"expected the weights of a '{type(made.encoder).__name__}' encoder in {path}: {error}"
        ) from error
    view = _view(made, shape, encoder, folder / VIEW) if (folder / VIEW).is_file() else None
    folders.saved_with(folder, VIEW, held.get("view"), "learned view")
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
    model = replace(
        model,
        head=heads.beside(folder, held, model.width),
        reference=drift.beside(folder, held, model.features),
        forecaster=forecast_heads.beside(folder, held, model.width),
    )
    expected = stored["embeddings"].numpy()
    folders.prove(model.proof() if streams else model.embed(model.check), expected, path)
    # What the stored inputs are too short to reach is told by the file itself.
    if held.get("weights") != folders.sha256(folder / "weights.safetensors"):
        raise InputError(
            f"expected the weights that were saved with the model in {path}, got others: they were changed or damaged"
        )
    report = held.get("export")
    fast = folders.exported(folder, report, runtime)
    if fast is None and report is not None and report["precision"] == BF16 and folders.asked(runtime) is None:
        fast = Half(model, int(report["length"]))
    if fast is None:
        return model
    model = replace(model, exported=Bound(fast, encoder, held["export"]))
    folders.prove(model.embed(model.check), expected, path, folders.tolerance_of(fast))
    return model


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
