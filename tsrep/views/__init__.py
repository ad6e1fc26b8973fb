"""Views: what of a series is shown to the encoder. Augmentations by name, and chains of them.

An augmentation is a frozen dataclass of this folder that is called with (series, generator). A new file with one in it
appears in `AUGMENTATIONS` by itself, under the name of its class in lower case: `TimeWarp` is "time_warp".
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from tsrep.errors import InputError, nearest
from tsrep.views.augmentation import Augmentation


def _found() -> dict[str, type]:
    modules = [importlib.import_module(module.name) for module in pkgutil.iter_modules(__path__, prefix=__name__ + ".")]
    parts = [part for module in modules for part in vars(module).values() if _is_augmentation(part, module.__name__)]
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", part.__name__).lower(): part for part in parts}


def _is_augmentation(part: Any, module: str) -> bool:
    if not inspect.isclass(part) or part.__module__ != module or not is_dataclass(part) or "__call__" not in vars(part):
        return False
    return list(inspect.signature(part.__call__).parameters) == ["self", "series", "generator"]


AUGMENTATIONS: dict[str, type] = _found()
"""name -> class of every augmentation."""


def chain(specs: Iterable[str | Mapping[str, Any] | Augmentation]) -> tuple[Augmentation, ...]:
    """Augmentations from their names, in order.

    specs: names ("jitter"), names with parameters ({"jitter": {"sigma": 0.05}}), or augmentations themselves.
    Raises InputError for an unknown name or parameter, with the nearest that is known.
    """
    if isinstance(specs, str) or not isinstance(specs, Iterable):
        raise InputError(f"expected a list of augmentations such as ['jitter', 'scale'], got {specs!r}")
    built: list[Augmentation] = []
    for spec in [specs] if isinstance(specs, Mapping) else specs:
        if isinstance(spec, str):
            built.append(_build(spec, {}))
        elif isinstance(spec, Mapping):
            built.extend(_build(name, parameters or {}) for name, parameters in spec.items())
        elif callable(spec) and not inspect.isclass(spec):
            built.append(spec)
        else:
            raise InputError(f"expected the name of an augmentation or {{name: parameters}}, got {spec!r}")
    return tuple(built)


def _build(name: str, parameters: Mapping[str, Any]) -> Augmentation:
    if name not in AUGMENTATIONS:
        raise InputError(f"unknown augmentation {name!r}; {nearest(str(name), AUGMENTATIONS)}")
    if not isinstance(parameters, Mapping):
        raise InputError(f"expected the parameters of {name} as a mapping of name to value, got {parameters!r}")
    known = [field.name for field in fields(AUGMENTATIONS[name])]
    for parameter in parameters:
        if parameter not in known:
            raise InputError(f"unknown parameter {parameter!r} of {name}; {nearest(str(parameter), known)}")
    return cast(Augmentation, AUGMENTATIONS[name](**parameters))
