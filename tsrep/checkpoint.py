"""The state of a run on disk: tensors as safetensors, numbers as JSON in its header, replaced in one move. No pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tsrep.errors import InputError

NAME = "checkpoint.safetensors"
"""Of the state of a run that is not finished."""


def save(path: Path, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    """Write beside the file and move over it: whoever reads finds the old state or the new one, whole."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    save_file(
        {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, beside, {"numbers": json.dumps(numbers)}
    )
    umask = os.umask(0)  # safetensors writes for its user alone; a model is to be read by whom the user lets
    os.umask(umask)
    beside.chmod(0o666 & ~umask)
    os.replace(beside, path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            numbers = json.loads((file.metadata() or {})["numbers"])
            return {name: file.get_tensor(name) for name in file.keys()}, numbers  # noqa: SIM118 - not a dict
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise InputError(f"expected a tsrep checkpoint, got a damaged or foreign file: {path} ({error})") from error


def optimizer_tensors(optimizer: Optimizer, prefix: str) -> dict[str, Tensor]:
    """The moments of an optimiser as flat tensors; its settings follow from the plan."""
    state = optimizer.state_dict()["state"]
    return {f"{prefix}.{i}.{key}": torch.as_tensor(value) for i, held in state.items() for key, value in held.items()}


def load_optimizer(optimizer: Optimizer, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix + "."):
            index, key = name[len(prefix) + 1 :].split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def module_tensors(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def load_module(module: nn.Module, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    module.load_state_dict({k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(prefix + ".")})
