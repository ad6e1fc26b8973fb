"""Writes a model's folder of plain files; `tsrep.loading` reads it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tsrep import checkpoint, drift, folders, forecast_heads, heads, plan, runtime, suspects
from tsrep.errors import InputError

if TYPE_CHECKING:
    from tsrep.model import Model


def checked(folder: Path) -> Path:
    """The folder itself. InputError where something else than a model stands there."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"expected a folder to save the model in, got a file: {folder}")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "plan.yaml").is_file():
        raise InputError(f"expected a new folder or one of a tsrep run, got one with other files: {folder}")
    if (folder / checkpoint.NAME).is_file():
        raise InputError(
            f"expected a folder to save the model in, {folder} holds a run that was stopped; choose another"
        )
    return folder


def put(model: Model, folder: Path) -> Path:
    """`Model.save` for the run's own folder too, whose checkpoint stays until the model is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as beside:
        export = _write(model, Path(beside), folders.stands(folder))
        for name in [p.name for p in Path(beside).iterdir()]:
            (Path(beside) / name).replace(folder / name)
    parts: dict[str, Any] = {folders.VIEW: model.view, suspects.NAME: model.suspects, heads.NAME: model.head}
    parts |= {
        drift.NAME: model.reference,
        forecast_heads.NAME: model.forecaster,
        runtime.NAME: export and export["sha256"],
    }
    for name, part in parts.items():
        if part is None:  # of a model that stood here before
            (folder / name).unlink(missing_ok=True)
    return folder


def _write(model: Model, folder: Path, stands: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What is known of the export that the folder then holds: the model's own, or the one of these weights that is there already,
    `stands` being the description beside it."""
    told = {"format": folders.FORMAT}
    (folder / "plan.yaml").write_text(plan.to_yaml(model.plan))
    checkpoint.save(folder / "weights.safetensors", model.encoder.state_dict(), told)
    if model.view is not None:
        checkpoint.save(folder / folders.VIEW, model.view.state_dict(), told)
    if model.suspects is not None:
        model.suspects.save(folder / suspects.NAME)
    if model.head is not None:
        model.head.save(folder / heads.NAME)
    if model.forecaster is not None:
        model.forecaster.save(folder / forecast_heads.NAME)
    if model.reference is not None:
        model.reference.save(folder / drift.NAME)
    described: dict[str, Any] = asdict(model.data) | told
    described |= {"scaler": model.scaler.to_dict(), "versions": folders.versions()}
    described["weights"] = folders.sha256(folder / "weights.safetensors")
    described["view"] = None if model.view is None else folders.sha256(folder / folders.VIEW)
    described["head"] = None if model.head is None else folders.sha256(folder / heads.NAME)
    described["forecast"] = None if model.forecaster is None else folders.sha256(folder / forecast_heads.NAME)
    described["reference"] = None if model.reference is None else folders.sha256(folder / drift.NAME)
    export = stands.get("export") if stands.get("weights") == described["weights"] else None
    if model.exported is not None and model.exported.holds(model.encoder):
        content = model.exported.runtime.content
        if content:
            (folder / runtime.NAME).write_bytes(content)
        export = {**model.exported.report, "sha256": folders.sha256(folder / runtime.NAME) if content else None}
    described["export"] = export
    tensors = {"inputs": torch.from_numpy(model.check)}
    if model.streams:
        described["streams"] = {name: known.to_dict() for name, known in model.streams.items()}
        tensors = {f"inputs/{name}": torch.from_numpy(known.check) for name, known in model.streams.items()}
    (folder / "data.json").write_text(json.dumps(described, indent=1))
    tensors["embeddings"] = torch.from_numpy(replace(model, exported=None).proof())
    checkpoint.save(folder / "check.safetensors", tensors, told)
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in model.history))
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in model.results))
    (folder / "README.md").write_text(model.card_with(export))
    return export
