"""What is watched while training: the collapse meter, as numbers for the history and as a warning in words."""

from __future__ import annotations

from collections.abc import Mapping

from tsrep.evaluation import collapse
from tsrep.series import Embedding


def meter(embeddings: Mapping[str, Embedding]) -> dict[str, float]:
    """Alignment, uniformity and effective rank of the first two views of a step; `rank_of` is the most the rank could be.

    A batch of fewer than two series tells nothing: no numbers.
    """
    views = [e.pooled for e in embeddings.values()][:2]
    if len(views) < 2 or len(views[0]) < 2 or views[0].shape != views[1].shape:
        return {}
    seen = collapse.meter(*views)
    numbers = {"alignment": seen.alignment, "uniformity": seen.uniformity, "rank": seen.rank}
    return numbers | {"rank_of": float(min(seen.features, seen.rows))}


def warning(values: Mapping[str, float]) -> str | None:
    """What to say of a step's numbers, or None."""
    if "rank_of" not in values:
        return None
    return collapse.verdict(values["alignment"], values["uniformity"], values["rank"], int(values["rank_of"]))
