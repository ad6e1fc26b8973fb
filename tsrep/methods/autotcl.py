"""AutoTCL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from tsrep.method import DataShape, Method, Objective, Phase, Term
from tsrep.pairing.across import Across
from tsrep.pairing.consistency import Consistency
from tsrep.pairing.relevance import Kernel, Means
from tsrep.pairing.segments import Segments
from tsrep.pairing.sparsity import Sparsity
from tsrep.views.gate import HardConcrete
from tsrep.views.learned import Learned, bounded
from tsrep.views.mask import TimestampMask

BUDGET = 0.4
"""What the released code lets the probabilities of a step add up to, over its channels, before it costs."""


@dataclass(frozen=True)
class AutoTCL:
    """What to keep of a series is learned, and a noisy copy of that attracts it. Zheng et al., ICLR 2024, arXiv:2402.10434.

    Two phases take turns. "augment" moves the view: a mask h and a factor g are to cost little and yet leave the embedding where
    it was, D(f(x), f(g ⊙ h ⊙ x)) + β P(h > 0) + λ L_t. "contrast" moves the encoder: x attracts η(g ⊙ h ⊙ x), some steps hidden,
    and within a series a segment attracts its neighbour, L_g + α L_l.

    temperature: τ of both contrasts.
    local:       α, what the segments count beside the whole series; 0: nothing.
    segments:    into how many a series is cut.
    every:       M: the view moves in every M-th step.
    sparsity:    β, what a mask that is open all along costs: T times the paper's β, which sums over the T steps. Too little and
                 everything is kept, too much and nothing is; the kernel relevance needs more (1 in trials).
    ramp:        steps of the view over which β rises from zero.
    consistency: λ, how much neighbouring steps are to be treated alike; 0: nothing.
    relevance:   D: distance between the batch means of the embeddings, or maximum mean discrepancy with Gaussian kernels.
    gate_temperature: τ of the hard concrete gate; a mask is nearer to 0 and 1 where it is lower.
    stretch:     how far the gate is stretched beyond 0 and 1, so that it reaches them: γ = −stretch, ζ = 1 + stretch.
    hard:        masks of 0 and 1 alone, with the gradient of the soft ones.
    floor:       least factor.
    mask:        share of the steps that η hides from the encoder; 0: no η.
    per_channel: a mask and a factor for every channel instead of one for all.
    hidden:      width of the augmentation network.
    depth:       its residual blocks.
    features:    width of what its two heads read.
    view_rate:   learning rate of the augmentation network over that of the encoder.
    gate:        learn the mask; False: h = 1 ("no h" in the paper's ablation).
    transform:   learn the factor; False: g = 1 ("no g").
    compat:      "official" is the objective of the released code, see below.

    Paper and released code differ. compat="official" follows the code in these: η is off (its switch was passed in the wrong place);
    the gate is fed with a probability where log-odds belong and stretched to [γ, 1], so it never closes; masks and factors are
    per channel; β weighs ReLU(mean Σ_channels π − .4) and does not rise; D is the kernel one; segments are those of the first series
    of the batch; L_t is left out, for as released it compares steps of other samples, and λ = 0 in most released settings. `mask`,
    `ramp`, `consistency`, `relevance` and `per_channel` then say nothing.
    It does not follow it in these: the view's D is taken from the finished embeddings, not from those before the last layer;
    segments begin at the first step; noise is drawn from (0, 1) and not from (b, 1 − b) with a bias b; no crop is drawn (windows
    are the data's); gradients that the code computes and discards are not computed; options that it reads and never uses do not
    exist. The printed formula of P(h > 0) is wrong for τ ≠ 1 and is corrected. Alike in both: AdamW; M counts steps, not epochs
    as printed in algorithm 1; a batch is no larger than the data, and what does not fill one waits for another epoch.
    Beyond the paper: D takes embeddings of length one, so that β means the same for every encoder; and log-odds are bounded, so that a
    gate can open again. With both, and β = .1 to .3 rising from zero, a mask finds what tells series apart; without, more runs stay
    open or shut for good.
    """

    recommended: ClassVar[Mapping[str, Any]] = {"batch_size": 32, "schedule": "cosine", "average": "mean"}

    temperature: Annotated[float, Gt(0)] = 1.0
    local: Annotated[float, Ge(0)] = 0.1
    segments: Annotated[int, Gt(1)] = 16
    every: Annotated[int, Gt(0)] = 1
    sparsity: Annotated[float, Ge(0)] = 0.2
    ramp: Annotated[int, Ge(0)] = 100
    consistency: Annotated[float, Ge(0)] = 0.01
    relevance: Literal["mean", "kernel"] = "mean"
    gate_temperature: Annotated[float, Gt(0)] = 2 / 3
    stretch: Annotated[float, Gt(0)] = 0.1
    hard: bool = False
    floor: Annotated[float, Gt(0), Lt(1)] = 0.05
    mask: Annotated[float, Ge(0), Le(1)] = 0.5
    per_channel: bool = False
    hidden: Annotated[int, Gt(0)] = 32
    depth: Annotated[int, Ge(0)] = 2
    features: Annotated[int, Gt(0)] = 16
    view_rate: Annotated[float, Gt(0)] = 10.0
    gate: bool = True
    transform: bool = True
    compat: Literal["paper", "official"] = "paper"

    def build(self, encoder: nn.Module, data: DataShape) -> Method:
        official = self.compat == "official"
        gate = HardConcrete(self.gate_temperature, -self.stretch, 1.0 if official else 1.0 + self.stretch, self.hard)
        view = Learned(
            len(data.channels),
            gate=gate if self.gate else None,
            floor=self.floor if self.transform else None,
            hide=TimestampMask(0.0 if official else self.mask),
            hidden=self.hidden,
            depth=self.depth,
            features=self.features,
            per_channel=official or self.per_channel,
            feed=torch.sigmoid if official else bounded,
        )
        augment: dict[str, Term | Objective] = {
            "relevance": Kernel() if official or self.relevance == "kernel" else Means()
        }
        if self.gate and self.sparsity > 0:
            if official:
                augment["sparsity"] = Sparsity(self.sparsity, 0, _probabilities, BUDGET)
            else:
                augment["sparsity"] = Sparsity(self.sparsity, self.ramp, _Opening(gate))
        if self.gate and self.consistency > 0 and not official:
            augment["consistency"] = Consistency(self.consistency)
        contrast: dict[str, Term | Objective] = {"global": Term(Across(self.temperature))}
        if self.local > 0:
            segments = Segments(self.segments, self.temperature, most=1 if official else None)
            contrast["local"] = Term(segments, share=self.local)
        phases = [Phase("contrast", (encoder,), contrast, embeds=("original", "view"))]
        if self.gate or self.transform:
            learning = Phase("augment", (view,), augment, self.every, self.view_rate, ("original", "informative"))
            phases.insert(0, learning)
        return Method("autotcl", view, encoder, tuple(phases))


@dataclass(frozen=True)
class _Opening:
    """Cost of a step: the probability that its gate is not shut, mean over the channels that have one of their own."""

    gate: HardConcrete

    def __call__(self, odds: Tensor) -> Tensor:
        return self.gate.opening(odds).mean(1)


def _probabilities(fed: Tensor) -> Tensor:
    """Cost of a step as released: Σ_channels π."""
    return fed.sum(1)
