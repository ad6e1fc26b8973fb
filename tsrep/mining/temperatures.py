"""Individual temperatures (iSogCLR)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from tsrep.errors import InputError
from tsrep.memory import Seen, Step, exact, places
from tsrep.mining.cosine import temperature
from tsrep.pairs import AnyPairs, Mined, Pairs
from tsrep.series import Series, full


@dataclass(frozen=True)
class Temperatures:
    """Every series learns a temperature of its own, higher where its neighbours are many. Qiu et al., ICML 2023, arXiv:2305.11965.

    The objective is τ_i log mean_j e^{h_ij/τ_i} + τ_i ρ with h_ij = cos_ij − cos_i⁺ and the mean over the negatives j of anchor i,
    by their masses of repulsion. A moving mean s_i ← (1 − γ) s_i + γ mean_j e^{h_ij/τ_i} stands for that over all the data, so a
    small batch does less harm: the loss is mean_j p_ij h_ij with p_ij = e^{h_ij/τ_i} / s_i constant, which has the objective's
    gradient. After the step, with g_i = log s_i + ρ − mean_j p_ij h_ij/τ_i, the gradient of τ_i, held to ±`clip`,
    u_i ← (1 − m) u_i + m g_i and τ_i ← τ_i − η u_i. What the anchors of one series say of it is averaged.

    Replaces the loss of the host, which may be negative. A series that is seen for the first time starts with s_i = mean_j.
    Only for scores that are cosines over a temperature; InputError for others. Series of validation have no temperature of their own:
    in evaluation the loss is τ log mean_j e^{h_ij/τ} at the host's τ.

    start:    τ_i at first.
    lowest:   least τ_i.
    highest:  greatest τ_i.
    gamma:    γ, share of the new in s.
    rho:      ρ, how far the weights p may be from even: τ_i rises where their divergence from even ones is above ρ.
    momentum: m, share of the new in u, as the released code takes it.
    rate:     η, learning rate of τ.
    clip:     largest g.
    """

    start: Annotated[float, Gt(0)] = 0.2
    lowest: Annotated[float, Ge(0.025)] = 0.05
    highest: Annotated[float, Gt(0)] = 1.0
    gamma: Annotated[float, Gt(0), Le(1)] = 0.8
    rho: Annotated[float, Ge(0)] = 0.3
    momentum: Annotated[float, Gt(0), Le(1)] = 0.9
    rate: Annotated[float, Ge(0)] = 0.001
    clip: Annotated[float, Gt(0)] = 3.0

    def build(self, data: Series) -> Mined:
        if not self.lowest <= self.start <= self.highest:
            raise InputError(
                f"mining.temperatures: expected lowest <= start <= highest, got {self.lowest}, {self.start}, {self.highest}"
            )
        return Mined(loss=Individual(len(data), self))


class Individual(nn.Module):
    """Loss at the temperatures of n series: O(n) numbers, the same on every worker after every step.

    tau:  (n,) temperatures. mean: (n,) s, zero before a series was seen. push: (n,) u.
    """

    tau: Tensor
    mean: Tensor
    push: Tensor

    def __init__(self, n: int, settings: Temperatures) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("tau", torch.full((n,), settings.start, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(n, dtype=torch.float64))
        self.register_buffer("push", torch.zeros(n, dtype=torch.float64))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(exact(fn), recurse)
        return self

    def forward(self, pairs: AnyPairs) -> Tensor:
        """(*group, anchor)"""
        apart, share = contrast(pairs.dense())
        if not self.training:
            tau = temperature(pairs.dense(), "temperatures")
            mass = torch.where(share > 0, share, 1.0).log().masked_fill(share == 0, torch.finfo(share.dtype).min)
            return torch.where((share > 0).any(-1), tau * torch.logsumexp(mass + apart / tau, -1), 0.0)
        with torch.no_grad():
            _, weight, _ = self.looked(apart, share, pairs.row)
        return (weight * apart).sum(-1)

    def looked(self, apart: Tensor, share: Tensor, row: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """s_i (*group, anchor), p_ij (*group, anchor, candidate) and g_i (*group, anchor), at the temperatures that are now."""
        tau = self.tau[row][..., None].to(apart.dtype)
        raised = share * torch.exp(apart / tau)  # at most e^80 by the least temperature
        fresh, before = raised.sum(-1), self.mean[row].to(apart.dtype)
        mean = torch.where(before > 0, (1.0 - self.settings.gamma) * before + self.settings.gamma * fresh, fresh)
        weight = raised / torch.where(mean > 0, mean, 1.0)[..., None]
        gradient = mean.log() + self.settings.rho - (weight * apart / tau).sum(-1)
        return mean, weight, torch.where(mean > 0, gradient, 0.0)

    def after_step(self, step: Step) -> None:
        for seen in step.seen.values():
            row, mean, gradient, here = (step.gather(part) for part in self.told(seen))
            row, mean, gradient = row[here], mean[here], gradient[here].clamp(-self.settings.clip, self.settings.clip)
            self.mean[row] = mean.to(self.mean.dtype)
            push = (1.0 - self.settings.momentum) * self.push[row] + self.settings.momentum * gradient.to(self.push)
            self.push[row] = push
            moved = self.tau[row] - self.settings.rate * push
            self.tau[row] = moved.clamp(self.settings.lowest, self.settings.highest)

    def numbers(self) -> dict[str, float]:
        """Mean temperature of the series that were seen, and the shares of them that are held at the least and at the greatest."""
        tau = self.tau[self.mean > 0]
        if not len(tau):
            return {}
        ends = {"lowest": tau <= self.settings.lowest, "highest": tau >= self.settings.highest}
        return {"temperature": float(tau.mean())} | {name: float(held.double().mean()) for name, held in ends.items()}

    def told(self, seen: Seen) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of each series of this worker's batch, (batch,): its row; s and g, means over its anchors by their weights; whether it
        had any with something to repel."""
        total, mean, gradient = seen.loss.new_zeros(3, len(seen.row))
        for pairs, loss in seen.parts:
            apart, share = contrast(pairs.dense())
            s, _, g = self.looked(apart.detach(), share, pairs.row)
            weight = pairs.weight.detach().expand_as(loss) * (s > 0)
            place = places(pairs.row, seen.row).expand_as(loss).flatten()
            for sum_, part in ((total, weight), (mean, weight * s), (gradient, weight * g)):
                sum_.index_add_(0, place, part.flatten().to(sum_.dtype))
        here = total > 0
        whole = torch.where(here, total, 1.0)
        return seen.row, mean / whole, gradient / whole, here


def contrast(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """h_ij = cos_ij − cos_i⁺ and r_ij / Σ_j r_ij, (*group, anchor, candidate). Several positives: their mean by mass."""
    tau = temperature(pairs, "temperatures")
    score = full(pairs.score)
    attract, repel = (mass.to(score.dtype).expand_as(score) for mass in (pairs.attract, pairs.repel))
    positive = (attract * score).sum(-1) / _some(attract.sum(-1))
    return tau * (score - positive[..., None]), repel.detach() / _some(repel.sum(-1))[..., None].detach()


def _some(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, 1.0)
