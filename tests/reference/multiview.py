"""Objectives of many views in slow loops, from the papers' formulas and from nothing in tsrep.

views: a list of M tensors (batch, feature) whose rows have length one. here: (batch, M) of True and False, which views were recorded.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def pairwise(views: list[Tensor], here: list[list[bool]], tau: float) -> Tensor:
    """Mean over pairs of views of the symmetric InfoNCE, over the series that have both."""
    ways = []
    for a, c in itertools.permutations(range(len(views)), 2):
        losses = []
        for i in range(len(here)):
            if here[i][a] and here[i][c]:
                s = [views[a][i] @ views[c][j] / tau for j in range(len(here)) if here[j][c]]
                losses.append(torch.log(sum(torch.exp(x) for x in s)) - views[a][i] @ views[c][i] / tau)
        if losses:
            ways.append(sum(losses) / len(losses))
    return sum(ways) / len(ways)


def mv_info_nce(views: list[Tensor], here: list[list[bool]], tau: float) -> Tensor:
    losses = []
    for i in range(len(here)):
        if sum(here[i]) < 2:
            continue
        top, bottom = 0, 0
        for a in range(len(views)):
            for c in range(len(views)):
                for j in range(len(here)):
                    if here[i][a] and here[j][c] and (j, c) != (i, a):
                        term = torch.exp(views[a][i] @ views[c][j] / tau)
                        bottom = bottom + term
                        top = top + term if j == i else top
        losses.append(-torch.log(top / bottom))
    return sum(losses) / len(losses)


def mv_dhel(views: list[Tensor], here: list[list[bool]], tau: float) -> Tensor:
    losses = []
    for i in range(len(here)):
        own = [m for m in range(len(views)) if here[i][m]]
        if len(own) < 2:
            continue
        top = sum(torch.exp(views[a][i] @ views[c][i] / tau) for a, c in itertools.combinations(own, 2))
        bottom = 1
        for m in own:
            others = [j for j in range(len(here)) if j != i and here[j][m]]
            if others:
                bottom = bottom * sum(torch.exp(views[m][i] @ views[m][j] / tau) for j in others)
        losses.append(-torch.log(top / bottom))
    return sum(losses) / len(losses)


def symile(views: list[Tensor], here: list[list[bool]], scale: float) -> Tensor:
    """The tuples of the views other than the anchor: from the j-th series that has all, the (j + r)-th, the (j + 2r)-th, …"""
    kept = [i for i in range(len(here)) if all(here[i])]
    losses = []
    for anchor in range(len(views)):
        others = [m for m in range(len(views)) if m != anchor]
        for i in range(len(kept)):
            total = 0
            for r in range(len(kept) if len(others) > 1 else 1):
                for j in range(len(kept)):
                    product = views[anchor][kept[i]]
                    for k, m in enumerate(others):
                        product = product * views[m][kept[(j + r * k) % len(kept)]]
                    total = total + torch.exp(scale * product.sum())
                    if r == 0 and j == i:
                        true = scale * product.sum()
            losses.append(torch.log(total) - true)
    return sum(losses) / len(losses)


def gram(views: list[Tensor], here: list[list[bool]], tau: float, smoothing: float) -> Tensor:
    """Half of the cross entropy over the candidates j and half of that over the anchors i, every view being the anchor's in turn."""
    kept = [i for i in range(len(here)) if all(here[i])]
    n, losses = len(kept), []
    for anchor in range(len(views)):
        rows = []
        for i in kept:
            line = []
            for j in kept:
                a = torch.stack([views[m][i if m == anchor else j] for m in range(len(views))])
                line.append(-torch.sqrt(torch.det(a @ a.T).clamp(min=0) + 1e-8) / tau)
            rows.append(torch.stack(line))
        logits = torch.stack(rows)
        for way in (logits, logits.T):
            for i in range(n):
                log_share = way[i] - torch.log(torch.exp(way[i]).sum())
                losses.append(-(1 - smoothing) * log_share[i] - smoothing * log_share.mean())
    return sum(losses) / len(losses)
