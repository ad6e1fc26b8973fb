"""Debiasing: some of what repels is of the anchor's own kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Lt

from tsrep.mining.cosine import temperature
from tsrep.pairs import Mined, Pairs
from tsrep.series import Series


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
        return Mined(mine=bounded, loss=("debiased", {"prior": self.prior}))


def bounded(pairs: Pairs) -> Pairs:
    """The pairs as they are, if their scores have a least value."""
    temperature(pairs, "debias")
    return pairs
