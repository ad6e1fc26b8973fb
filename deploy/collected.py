"""A collection as the routes speak of it: its name in the path, what is told of it, and that its model is gone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from .refusal import Refused

if TYPE_CHECKING:
    from .vectors import Kept, Vectors

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def told_of(name: str, vectors: Vectors) -> dict[str, Any]:
    kept = vectors.kept(name)
    return {
        "name": name,
        "model": kept.model,
        "identity": kept.identity,
        "metric": kept.metric,
        "features": kept.features,
        "description": kept.description,
        "count": vectors.count(name),
    }


def named(request: Request) -> str:
    """The name of the path. Refused where it could be more than a name."""
    name = str(request.path_params["name"])
    if not _NAME.fullmatch(name):
        message = f"expected a name of lower-case letters, digits, - and _, 63 at most, got '{name[:70]}'"
        raise Refused("collection_name", message, _NAME.pattern, name[:70])
    return name


def changed(name: str, kept: Kept) -> Refused:
    message = (
        f"expected the model '{kept.model}' as it was when the collection '{name}' was made, under any name, the service has none: "
        "make a new collection of the new model, embeddings of two models do not compare"
    )
    return Refused("identity", message, kept.identity)
