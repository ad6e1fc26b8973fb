"""Prototypes of directions: spherical k-means."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize, one_hot


@torch.no_grad()
def spherical_kmeans(points: Tensor, count: int, generator: Generator, rounds: int = 20) -> Tensor:
    """(n, feature) of length one -> (count, feature) of length one, each the direction of the sum of the points nearest to it.

    Dhillon and Modha, Machine Learning 2001. It begins at points that are drawn one after the other, each with a chance as its
    distance 1 − cos from the nearest one drawn before (Arthur and Vassilvitskii, SODA 2007), and ends when nothing changes or after
    `rounds`. A prototype that is nearest to no point stays where it is. `count` is at most n.
    """
    chance = torch.ones(len(points), dtype=torch.float64)
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(int(torch.multinomial(chance, 1, generator=generator)))
        away = 1.0 - (points @ points[chosen].T).amax(1)
        chance = away.double().cpu().clamp(min=torch.finfo(points.dtype).eps)  # of points that are all alike too
        chance[chosen] = 0.0
    prototypes, before = points[chosen], None
    for _ in range(rounds):
        nearest = (points @ prototypes.T).argmax(1)
        if before is not None and torch.equal(nearest, before):
            break
        belongs = one_hot(nearest, count).to(points.dtype)
        moved = normalize(belongs.T @ points, dim=1)
        prototypes = torch.where(belongs.any(0)[:, None], moved, prototypes)
        before = nearest
    return prototypes
