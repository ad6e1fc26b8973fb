"""Debiasing: some of what repels is of the anchor's own kind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
from annotated_types import Gt, Lt
from torch import Tensor, nn

from tsrep.memory import Step
from tsrep.mining.cosine import temperature
from tsrep.pairs import Mined, Pairs
from tsrep.series import Series, full


@dataclass(frozen=True)
class Debias:
    """Subtract from the negatives what of them is expected to be of the anchor's class. Chuang et al., NeurIPS 2020, arXiv:2007.00224.

    The loss becomes `losses.debiased`: a share τ⁺ of the sum over the negatives is estimated by the positive and subtracted, down to
    the least sum that cosines can have. Only for scores that are cosines over a temperature; InputError for others.

    prior: τ⁺, the chance that a negative is of the anchor's class: one over the number of classes, where they are even. Too much
           of it, and the least sum is reached: negatives have no gradient then.
    """

    prior: Annotated[float, Gt(0), Lt(1)] = 0.1

    def build(self, data: Series) -> Mined:
        return Mined(mine=Bound(self.prior), loss=("debiased", {"prior": self.prior}))


class Bound(nn.Module):
    """Leaves pairs as they are, if their scores have a least value, and remembers how often the loss was at it.

    clamped: share of the anchors of the last batch whose negatives are used up, NaN before the first.
    """

    clamped: Tensor

    def __init__(self, prior: float) -> None:
        super().__init__()
        self.prior = prior
        self.register_buffer("clamped", torch.tensor(math.nan))

    def forward(self, pairs: Pairs) -> Pairs:
        return bounded(pairs)

    def after_step(self, step: Step) -> None:
        if step.seen:
            self.clamped.copy_(step.mean(partial(used_up, prior=self.prior)))

    def numbers(self) -> dict[str, float]:
        """ "clamped": where it is high, the prior is too much, and negatives have no gradient."""
        clamped = float(self.clamped)
        return {} if math.isnan(clamped) else {"clamped": clamped}


def bounded(pairs: Pairs) -> Pairs:
    """The pairs as they are, if their scores have a least value."""
    temperature(pairs, "debias")
    return pairs


def used_up(pairs: Pairs, prior: float) -> Tensor:
    """(*group, anchor) 1 where the sum over the negatives is the least there can be, else 0.

    Σ_j r_ij e^{s_ij} − τ⁺ N e^{p_i} ≤ (1 − τ⁺) N e^{−1/τ}, in logs and without a difference.
    """
    score = full(pairs.score)
    positive, negative = (torch.logsumexp(score + mass.log(), -1) for mass in (pairs.attract, pairs.repel))
    count = pairs.repel.expand_as(score).sum(-1).log()
    least = math.log1p(-prior) - 1.0 / temperature(pairs, "debias")
    return (negative <= count + torch.logaddexp(positive + math.log(prior), torch.full_like(positive, least))).to(
        score.dtype
    )
