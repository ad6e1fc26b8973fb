"""What is read of a window's step embeddings, by name, and how wide it is. Imports nothing: those who serve an export read it too."""

from __future__ import annotations

from collections.abc import Mapping

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
    """Numbers of an embedding of an encoder of so many features."""
    return features if pool is None else features * WIDTHS[pool]
