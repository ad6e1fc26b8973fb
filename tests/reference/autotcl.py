"""The parts of AutoTCL in slow loops, written from the paper's formulas and from nothing in tsrep. All return a scalar."""

from __future__ import annotations

import torch
from torch import Tensor


def mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()


def across(x: Tensor, v: Tensor, tau: float) -> Tensor:
    """Eq. 9, one way: −(1/B) Σ_i log e^{<x_i, v_i>/τ} / Σ_j e^{<x_i, v_j>/τ} of (B, feature) rows that are made unit."""
    losses = []
    for i in range(len(x)):
        total = torch.zeros((), dtype=x.dtype)
        for j in range(len(v)):
            total = total + torch.exp(_cosine(x[i], v[j]) / tau)
        losses.append(-torch.log(torch.exp(_cosine(x[i], v[i]) / tau) / total))
    return mean(losses)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / ((a @ a).sqrt() * (b @ b).sqrt())


def segments(series: list[Tensor], k: int, tau: float) -> Tensor:
    """§3.3: each (time, feature) series, bare, is cut into min(k, time) even parts that are max-pooled over unit steps.

    Part i attracts i + 1, the last one its left neighbour; parts further away than one repel. Mean over the parts of all series
    that have a neighbour.
    """
    losses = []
    for steps in series:
        unit = [s / (s @ s).sqrt() for s in steps]
        count = min(k, len(unit))
        parts = []
        for j in range(count):
            parts.append(torch.stack([s for t, s in enumerate(unit) if t * count // len(unit) == j]).amax(0))
        if count < 2:
            continue
        for i in range(count):
            good = torch.exp(parts[i] @ parts[i + 1 if i + 1 < count else i - 1] / tau)
            bad = [torch.exp(parts[i] @ parts[j] / tau) for j in range(count) if abs(i - j) > 1]
            losses.append(-torch.log(good / (good + sum(bad, torch.zeros((), dtype=good.dtype)))))
    return mean(losses)


def triplets(masks: list[Tensor]) -> Tensor:
    """Eq. 8 for every draw there is: anchor a, p one step beside it, n further away; each (time,) mask, bare."""
    losses = []
    for h in masks:
        for a in range(len(h)):
            near = [(h[a] - h[p]).abs() for p in (a - 1, a + 1) if 0 <= p < len(h)]
            far = [(h[a] - h[n]).abs() for n in range(len(h)) if abs(a - n) > 1]
            draws = [p - n for p in near for n in far]
            losses.append(mean(draws) if draws else torch.zeros((), dtype=h.dtype))
    per_mask = torch.stack(losses).split([len(h) for h in masks])
    return mean([each.mean() for each in per_mask])


def first_moment(x: Tensor, v: Tensor) -> Tensor:
    """Eq. 6: ‖mean_B x − mean_B v‖² of (B, feature)."""
    total = torch.zeros((), dtype=x.dtype)
    for f in range(x.shape[1]):
        total = total + (mean(list(x[:, f])) - mean(list(v[:, f]))) ** 2
    return total


def kernel(x: Tensor, v: Tensor) -> Tensor:
    """Gretton et al. 2012, eq. 5, with the sum of five Gaussian kernels whose widths are multiples of the mean squared distance."""
    both = [*x, *v]
    n = len(both)
    scale = sum(float(((a - b) ** 2).sum().detach()) for a in both for b in both) / (n * (n - 1))

    def like(a: Tensor, b: Tensor) -> Tensor:
        apart = ((a - b) ** 2).sum()
        return sum((torch.exp(-apart / (scale * 2.0**m)) for m in range(-2, 3)), torch.zeros((), dtype=x.dtype))

    return (
        mean([like(a, b) for a in x for b in x])
        + mean([like(a, b) for a in v for b in v])
        - 2 * mean([like(a, b) for a in x for b in v])
    )
