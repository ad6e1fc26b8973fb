"""What is read of a window's step embeddings, by name, and how wide it is. Imports no torch: those who serve an export read it too."""

from __future__ import annotations

from collections.abc import Mapping

from tsrep.errors import InputError

LEVELS = 4
"""Thresholds of each feature, see `tsrep.levels`."""

WIDTHS: Mapping[str, int] = {"max": 1, "mean": 1, "last": 1, "rich": 4, "levels": 3 + LEVELS}
"""Pool -> numbers for each feature."""

STEPS = "steps"
"""Not one embedding of a window, but one of each step."""

WHOLE = (None, *WIDTHS)
"""Those that give one embedding of a window; None is the encoder's own pooling."""

KNOWN = (*WHOLE, STEPS)
"""All that `Model.embed` knows."""


def width(features: int, pool: str | None) -> int:
    """Numbers of an embedding, `features` being those of a step, or for None those of the encoder's own pooling."""
    if pool not in KNOWN:
        raise InputError(f"expected pool to be one of {', '.join(map(str, KNOWN))}, got {pool!r}")
    return features * WIDTHS.get(pool or "", 1)


def without_levels() -> InputError:
    """What a model says that has none."""
    return InputError(
        'expected a model with levels for the pool "levels", this one has none: it was saved by an earlier version, or its weights '
        'never met the training data. Train it again, or use the pool "rich"'
    )
