"""Levels: what each feature of an encoder is asked to exceed, as its answers to the training windows are spread.

Whether a feature is above zero says little where its answers lie above zero throughout. As in MiniRocket (Dempster et al. 2021,
arXiv:2012.08791, §3.2) the thresholds are therefore quantiles of what the training windows answer, other ones for each feature:

    levels[f] = the u-quantiles of the steps' f-th numbers,   u = frac((4 f + j) φ),   j = 1 … 4,   φ = (√5 − 1) / 2,

so that four neighbours in the sequence, which spread evenly, fall to one feature. Taken once, of the encoder that is kept.

A share of steps is no continuous number: a step that lies on a level by rounding is above it on one machine and not on the other. Where
many training steps answer alike (a sensor at rest) a level is therefore put between this answer and the next other one, not on it. What
is left is a step here and there, by which two ways of computing may differ: 1 / steps of one number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from tsrep.encoders.streams import Each
from tsrep.pools import LEVELS, without_levels
from tsrep.series import Batch, Embedding, Series, as_batch, part_of

NAME = "levels"
"""Of the buffer of an encoder that holds them: (feature, 4), in ascending order."""

WINDOWS, STEPS = 32, 4096
"""Of the training windows, spread over all of them, and of the steps of these, that the quantiles are taken of, at most."""
CHUNK = 4
"""Windows that are embedded at a time: the steps of a wide encoder are many numbers."""

ALIKE = 1e-3
"""Answers that differ by less of a feature's deviation count as one."""

GOLDEN = (5**0.5 - 1) / 2


def settle(encoder: nn.Module, data: Series | Batch) -> None:
    """Give an encoder that learned, or each of several, its levels: a buffer, saved with its weights.

    data: what it learned from. Where streams share an encoder, all of them have a part in its levels, as large as each other's. An
    encoder of a stream of which no window was recorded is given none.
    """
    sharing: dict[nn.Module, list[Series]] = {}
    for name, series in as_batch(data).items():
        if bool(series.present.any()):
            sharing.setdefault(part_of(encoder, name), []).append(series)
    for part, streams in sharing.items():
        windows, steps = max(2, WINDOWS // len(streams)), STEPS // len(streams)
        said = [answers(part, series, windows, steps) for series in streams]
        fewest = min(one.shape[1] for one in said)
        part.register_buffer(NAME, quantiles(torch.cat([one[:, spread(one.shape[1], fewest)] for one in said], dim=1)))


@torch.no_grad()
def answers(encoder: nn.Module, series: Series, windows: int, steps: int) -> Tensor:
    """(feature, step): what an encoder says at `steps` steps or fewer of `windows` windows, spread over all of them."""
    here = series.present.nonzero()[:, 0]
    rows = here[torch.linspace(0, len(here) - 1, min(windows, len(here)), dtype=torch.float64).round().long()]
    most = max(1, steps // len(rows))
    found = []
    for part in rows.split(CHUNK):
        made: Embedding = encoder(series.rows(part))
        inside = made.steps.transpose(0, 1)[:, made.series.extent]
        # Copied, for a view would keep every step; not every n-th, which a period of the windows may be in step with.
        found.append(inside[:, spread(inside.shape[1], most * len(part))].clone())
    return torch.cat(found, dim=1)


def spread(n: int, most: int) -> Tensor:
    """Positions 0 … n − 1, or `most` of them, spread evenly and without a period: frac(k φ) n."""
    if n <= most:
        return torch.arange(n)
    return torch.arange(1, most + 1, dtype=torch.float64).mul(GOLDEN).frac().mul(n).long()


def quantiles(answers: Tensor) -> Tensor:
    """(feature, step) -> (feature, 4), of each feature its own quantiles, ascending, each half-way to the next other answer."""
    ordered = answers.sort(dim=1).values.contiguous()
    features, steps = answers.shape
    u = torch.arange(1, features * LEVELS + 1, dtype=torch.float64).mul(GOLDEN).frac().view(features, LEVELS)
    found = ordered.gather(1, (u * (steps - 1)).long().sort(dim=1).values)
    size = answers.std(dim=1, correction=0, keepdim=True).maximum(ALIKE * answers.abs().amax(dim=1, keepdim=True))
    apart = found + ALIKE * size.clamp(min=torch.finfo(answers.dtype).tiny)
    after = torch.searchsorted(ordered, apart, right=True)
    following = torch.where(after < steps, ordered.gather(1, after.clamp(max=steps - 1)), apart)
    return (found + following) / 2


def of(encoder: nn.Module) -> Tensor:
    """The levels of an encoder, (feature of a step, 4); InputError where it has none."""
    found = getattr(encoder, NAME, None)
    if found is None:
        raise without_levels()
    return cast(Tensor, found)


def make_room(encoder: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Before weights that hold levels are loaded into a fresh encoder, or into each of several."""
    parts = (
        {f"parts.{i}.": part for i, part in enumerate(encoder.parts)} if isinstance(encoder, Each) else {"": encoder}
    )
    for prefix, part in parts.items():
        if prefix + NAME in weights:
            part.register_buffer(NAME, torch.empty(step_features(part), LEVELS))


def step_features(encoder: nn.Module) -> int:
    """Numbers of the embedding of a step; those of a window are more where the encoder lays parts of it one after another."""
    return cast(int, getattr(encoder, "step_features", encoder.features))
