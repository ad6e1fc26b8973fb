"""The hard concrete gate: a random number in [0, 1] that is exactly 0 or 1 with some probability, and has a gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class HardConcrete:
    """h = min(1, max(0, h̃ (ζ − γ) + γ)), h̃ = σ((log ε − log(1 − ε) + ℓ) / τ), ε ~ U(0, 1).

    ℓ is a log-odd, any real number. Stretching a number between 0 and 1 to between γ < 0 and ζ > 1 before it is clipped gives
    its ends a probability of their own, which has a closed form. Louizos et al. 2018, arXiv:1712.01312, eqs. 10 to 12.

    temperature: τ. low, high: γ and ζ.
    hard:        1[h > ½] forward, the gradient of h backward (straight-through).
    """

    temperature: float = 2 / 3
    low: float = -0.1
    high: float = 1.1
    hard: bool = False

    def sample(self, odds: Tensor, noise: Tensor | None) -> Tensor:
        """h of log-odds ℓ and noise ε of the same shape. None: ε = ½, whose log-odds are zero."""
        # The end of the float's range is no end of the gate's: at ε = 0 the noise would be infinite.
        moved = odds if noise is None else odds + torch.logit(noise, eps=1e-6)
        soft = (torch.sigmoid(moved / self.temperature) * (self.high - self.low) + self.low).clamp(0.0, 1.0)
        if not self.hard:
            return soft
        return (soft > 0.5).to(soft.dtype) + (soft - soft.detach())  # the bracket is exactly zero

    def opening(self, odds: Tensor) -> Tensor:
        """P(h > 0) = σ(ℓ − τ log(−γ / ζ)), what a step is expected to cost of an L0 norm.

        AutoTCL prints 1 − σ(τ log(−γ (1 − π) / (ζ π))) with ℓ = log π / (1 − π), which is the same for τ = 1 alone.
        """
        return torch.sigmoid(odds - self.temperature * math.log(-self.low / self.high))
