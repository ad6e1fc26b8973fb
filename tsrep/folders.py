"""The folder of a model: where it is, whether its files are those that were saved, and whether it still gives its own embeddings.

Imports neither torch nor the model, for those who serve an export alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tsrep import runtime
from tsrep.errors import InputError
from tsrep.plugins import plugin

FORMAT = 2
EARLIER = 1
"""The format without levels among the weights, which is read, too."""

FILES = ("plan.yaml", "weights.safetensors", "data.json", "check.safetensors", "README.md")
VIEW = "view.safetensors"
"""Weights of a learned view, where there is one."""

OF_THE_FOLDER = (
    "format",
    "versions",
    "weights",
    "view",
    "head",
    "reference",
    "forecast",
    "export",
    "scaler",
    "streams",
)
"""What data.json holds that does not describe the data."""

RUNTIMES = (runtime.TORCH, "onnx")
VARIABLE = "TSREP_RUNTIME"

TOLERANCE = 1e-4
ROUGH = 0.5
"""What an export of reduced precision may differ by on the stored inputs: its gate was another, this only finds a wrong file."""

LARGEST = 2**20
"""Bytes of a text file of a model folder that are still parsed."""


def find(path: str | Path) -> Path:
    """The folder itself, or the one that an address such as models:/name@champion leads to."""
    text = str(path)
    scheme = text.split(":/", 1)[0] if ":/" in text else ""
    if scheme and scheme.isalpha() and len(scheme) > 1:
        return Path(plugin("sources", scheme)(text))
    if not Path(path).is_dir():
        raise InputError(f"expected the folder of a model, found none at {path}")
    return Path(path)


def versions() -> dict[str, str]:
    """Of what the numbers depend on, here and now."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("tsrep", "torch", "numpy", "pandas"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a checkout that is not installed
            found[name] = "unknown"
    return found


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_of(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST:
        raise InputError(f"expected at most {LARGEST} bytes, got {path.stat().st_size}: {path}")
    try:
        held = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"expected JSON in {path}, it is damaged: {error}") from error
    if not isinstance(held, dict):
        raise InputError(f"expected a JSON object in {path}, got {type(held).__name__}")
    return held


def stands(folder: Path) -> dict[str, Any]:
    """The description beside the weights of a model that stands in the folder already; empty where there is none, or a damaged one."""
    try:
        return json_of(folder / "data.json")
    except (InputError, OSError):
        return {}


def asked(wanted: str | None) -> str | None:
    """The runtime that is asked for, here or by TSREP_RUNTIME; None: what there is."""
    wanted = wanted or os.environ.get(VARIABLE) or None
    if wanted is not None and wanted not in RUNTIMES:
        raise InputError(f"expected runtime to be one of {', '.join(RUNTIMES)}, got '{wanted}'")
    return wanted


def saved_with(model: Path, name: str, hash_: str | None, what: str) -> bool:
    """Whether the file of this name, which the model's description tells the SHA-256 of, is in its folder; None: it tells of none.

    InputError where it is missing, is another one, or was not saved with the model.
    """
    path = model / name
    found = sha256(path) if path.is_file() else None
    if found != hash_:
        got = (
            f"no {name}" if found is None else f"another {name}" if hash_ else f"a {name} that belongs to no model here"
        )
        todo = "remove that file" if hash_ is None else "copy the whole folder again, or save the model again"
        raise InputError(f"expected the {what} that was saved with the model in {model}, found {got}: {todo}")
    return found is not None


def exported(
    folder: Path, report: Mapping[str, Any] | None, wanted: str | None = None, threads: int | None = None
) -> runtime.Runtime | None:
    """The export that a model's folder holds, ready to run; None where torch is wanted, or is what there is.

    report: what data.json says of the export, None where there is none. wanted: as in `tsrep.load`.
    """
    wanted = asked(wanted)
    path, hash_ = folder / runtime.NAME, None if report is None else report.get("sha256")
    if wanted == runtime.TORCH:
        return None
    saved_with(folder, runtime.NAME, hash_, "export")
    made = None if hash_ is None else runtime.onnx(path.read_bytes(), threads)
    if made is None and wanted is not None:
        raise InputError(
            f"expected an export in {folder}, the model has none: `tsrep export {folder}` makes it"
            if hash_ is None
            else 'expected ONNX Runtime for runtime="onnx", it is not installed: pip install "tsrep[onnx]"'
        )
    return made


def prove(made: np.ndarray, expected: np.ndarray, path: str | Path, tolerance: float = TOLERANCE) -> None:
    """InputError where a model embeds its stored inputs otherwise than when it was saved."""
    if made.shape != expected.shape:
        raise InputError(
            f"expected embeddings of shape {expected.shape} from the model in {path}, got {made.shape}: it is damaged"
        )
    difference = float(np.max(np.abs(made - expected) / (1.0 + np.abs(expected))))
    if not difference <= tolerance:
        raise InputError(
            f"the model in {path} does not give the embeddings that were stored with it (they differ by {difference:.2g}, "
            f"at most {tolerance:g} was expected): weights or scaling were changed, or this machine computes differently"
        )


def tolerance_of(fast: runtime.Runtime) -> float:
    return TOLERANCE if fast.precision == "float32" else ROUGH
