"""Levels: what each feature of an encoder is asked to exceed, as its answers to the training windows are spread.

Whether a feature is above zero says little where its answers lie above zero throughout. As in MiniRocket (Dempster et al. 2021,
arXiv:2012.08791, §3.2) the thresholds are therefore quantiles of what the training windows answer, other ones for each feature:

    levels[f] = the u-quantiles of the steps' f-th numbers,   u = frac((4 f + j) φ),   j = 1 … 4,   φ = (√5 − 1) / 2,

so that four neighbours in the sequence, which spread evenly, fall to one feature. Taken once, of the encoder that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from tsrep.encoders.streams import Each
from tsrep.errors import InputError
from tsrep.pools import LEVELS
from tsrep.series import Batch, Embedding, Series, as_batch, part_of

NAME = "levels"
"""Of the buffer of an encoder that holds them: (feature, 4), in ascending order."""

WINDOWS, STEPS = 32, 4096
"""Of the training windows, spread over all of them, and of the steps of these, that the quantiles are taken of, at most."""
CHUNK = 4
"""Windows that are embedded at a time: the steps of a wide encoder are many numbers."""

GOLDEN = (5**0.5 - 1) / 2


def settle(encoder: nn.Module, data: Series | Batch) -> None:
    """Give an encoder that learned, or each of several, its levels: a buffer, saved with its weights.

    data: what it learned from. Where streams share an encoder, all of them have a part in its levels, as large as each other's.
    """
    sharing: dict[nn.Module, list[Series]] = {}
    for name, series in as_batch(data).items():
        sharing.setdefault(part_of(encoder, name), []).append(series)
    for part, streams in sharing.items():
        windows, steps = max(2, WINDOWS // len(streams)), STEPS // len(streams)
        said = torch.cat([answers(part, series, windows, steps) for series in streams], dim=1)
        part.register_buffer(NAME, quantiles(said))


@torch.no_grad()
def answers(encoder: nn.Module, series: Series, windows: int, steps: int) -> Tensor:
    """(feature, step): what an encoder says at about `steps` steps, spread over `windows` windows that are spread over the series."""
    here = series.present.nonzero()[:, 0]
    rows = here[torch.linspace(0, len(here) - 1, min(windows, len(here)), dtype=torch.float64).round().long()]
    every = -(-len(rows) * series.length // steps)
    found = []
    for part in rows.split(CHUNK):
        made: Embedding = encoder(series.rows(part))
        found.append(made.steps.transpose(0, 1)[:, made.series.extent][:, ::every])
    return torch.cat(found, dim=1)


def quantiles(answers: Tensor) -> Tensor:
    """(feature, step) -> (feature, 4), of each feature its own quantiles, ascending. Each lies half-way between two answers: on one of
    them, rounding would decide whether a step of a training window is above."""
    ordered = answers.sort(dim=1).values
    features, steps = answers.shape
    u = torch.arange(1, features * LEVELS + 1, dtype=torch.float64).mul(GOLDEN).frac().view(features, LEVELS)
    below = (u * (steps - 1)).long().sort(dim=1).values
    return (ordered.gather(1, below) + ordered.gather(1, (below + 1).clamp(max=steps - 1))) / 2


def of(encoder: nn.Module) -> Tensor:
    """The levels of an encoder; InputError where it has none."""
    found = getattr(encoder, NAME, None)
    if found is None:
        raise InputError(
            'expected a model with levels for the pool "levels", this one has none: it was saved by an earlier version, or its weights '
            'never met the training data. Train it again, or use the pool "rich"'
        )
    return cast(Tensor, found)


def make_room(encoder: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Before weights that hold levels are loaded into a fresh encoder, or into each of several."""
    parts = (
        {f"parts.{i}.": part for i, part in enumerate(encoder.parts)} if isinstance(encoder, Each) else {"": encoder}
    )
    for prefix, part in parts.items():
        if prefix + NAME in weights:
            part.register_buffer(NAME, torch.empty(cast(int, part.features), LEVELS))
