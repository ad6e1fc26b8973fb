"""Hard negatives: what is near and does not belong counts more."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from tsrep.memory import Step
from tsrep.pairs import Mined, Pairs
from tsrep.series import Series, full


@dataclass(frozen=True)
class HardNegatives:
    """Negatives repel the more, the nearer they are to the anchor (HCL). Robinson et al., ICLR 2021, arXiv:2010.04592.

    r_ij becomes N_i r_ij e^{β s_ij} / Σ_k r_ik e^{β s_ik} with N_i = Σ_k r_ik: the mass of an anchor stays and moves to where the
    scores are high. With `debias` beside it, `mining: {hard_negatives: {beta: 1}, debias: {prior: 0.1}}`, it is the paper's
    objective; alone it goes with every loss. The validation loss is mined too.

    beta:   β, how much nearness counts; 0 leaves the host as it is. Scores are over the temperature, so of two cosines that are
            d apart the higher one counts e^{βd/τ} times as much.
    detach: take the new masses as constants. False: the gradient goes through them too, as in the released code, and pushes
            away what is hard with more force still.
    """

    beta: Annotated[float, Ge(0)] = 1.0
    detach: bool = True

    def build(self, data: Series) -> Mined:
        return Mined(mine=Harder(self))


class Harder(nn.Module):
    """`harder` with its settings, and how uneven it makes the masses.

    even: mean of `evenness` over the anchors of the last batch, NaN before the first.
    """

    even: Tensor

    def __init__(self, settings: HardNegatives) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("even", torch.tensor(math.nan))

    def forward(self, pairs: Pairs) -> Pairs:
        return harder(pairs, self.settings.beta, self.settings.detach)

    def after_step(self, step: Step) -> None:
        if step.seen:
            self.even.copy_(step.mean(evenness))

    def numbers(self) -> dict[str, float]:
        """ "effective": where it is near zero, one negative is all that an anchor is repelled by, and beta is too much."""
        even = float(self.even)
        return {} if math.isnan(even) else {"effective": even}


def evenness(pairs: Pairs) -> Tensor:
    """(Σ_j r_ij)² / (n_i Σ_j r_ij²), (*group, anchor): the share of the n_i negatives that count. 1: all alike; 1/n_i: one alone.
    1 where there are none."""
    repel = full(pairs.repel).expand_as(pairs.score)
    squares = repel.square().sum(-1) * (repel > 0).sum(-1)
    return torch.where(squares > 0, repel.sum(-1).square() / torch.where(squares > 0, squares, 1.0), 1.0)


def harder(pairs: Pairs, beta: float, detach: bool) -> Pairs:
    """The same pairs with masses of repulsion N_i softmax_j(log r_ij + β s_ij): no power of e^s is ever taken."""
    score = full(pairs.score)
    here = pairs.repel > 0
    mass = torch.where(here, pairs.repel, 1.0).log() + beta * (score.detach() if detach else score)
    # The least number and not −∞: an anchor that has nothing to repel gets even shares of a mass of zero.
    share = mass.masked_fill(~here, torch.finfo(score.dtype).min).softmax(-1)
    repel = share * pairs.repel.expand_as(score).sum(-1, keepdim=True)
    # What is too small to have a logarithm with a finite gradient is nothing.
    return replace(pairs, repel=torch.where(repel < torch.finfo(score.dtype).tiny, 0.0, repel))
