"""Dynamic bad-pair mining (DBPM)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from tsrep.memory import Step, exact
from tsrep.pairs import Mined
from tsrep.series import Series

GOOD, NOISY, FAULTY = range(3)
"""What a pair is taken for."""

NORMAL = 1.4826
"""Deviation of a normal variable over its median absolute deviation, which by symmetry is that of each side alone."""


@dataclass(frozen=True)
class BadPairs:
    """Pairs that always lose abnormally little (noisy) or much (faulty) count less. Lan et al., ICLR 2024, arXiv:2302.03357.

    A memory keeps what the positive pair of every series lost, over the epochs. With m_i its mean over the past ones, and μ and σ the
    middle and spread of m over all series, a pair is noisy where m_i ≤ μ − β_n σ and faulty where m_i ≥ μ + β_f σ. A bad pair counts
    w_i = T(L_i; μ, σ) with L_i what it loses now; all others count 1, and before the warm-up is over all do.

    beta_noisy:  β_n.
    beta_faulty: β_f.
    spread:      robust: μ is the median, and σ of each side 1.4826 times the median distance of that side's pairs from it.
                 gaussian: mean and deviation, as published; faulty pairs stretch that σ until it hides the noisy ones.
    transform:   T. bounded: exp(−(L − μ)² / 2σ²), 1 at most. density: the normal density as published, which amplifies where
                 σ < .4. remove: 0.
    warmup:      epochs before any pair is weighed. None: until the memory repeats itself, see `reliability`.
    reliability: share of the spread of m that must be of the series and not of the draw of their views, by the correlation of the
                 memory's odd and even epochs (Spearman and Brown's formula), before any pair is weighed; where `warmup` says nothing.
    compat:      "official" follows the released code: m_i is the mean of L_(i,e) (1 + e) / E over the epochs e of E, though T is taken
                 at L; thresholds are gaussian and T the density, whatever `spread` and `transform` say; a `warmup` of None is 50.
    epochs:      E; "official" alone looks at it.

    With `reliability` nothing is weighed before four epochs. Losses of an epoch are kept as distances from that
    epoch's mean, and the mean over the epochs of these means is added again: where every epoch sees every series that is
    the paper's m, and where a series was left out of an epoch it is not favoured for it. The validation loss is the host's.
    """

    beta_noisy: Annotated[float, Gt(0)] = 2.0
    beta_faulty: Annotated[float, Gt(0)] = 3.0
    spread: Literal["robust", "gaussian"] = "robust"
    transform: Literal["bounded", "density", "remove"] = "bounded"
    warmup: Annotated[int, Ge(0)] | None = None
    reliability: Annotated[float, Ge(0), Le(1)] = 0.5
    compat: Literal["paper", "official"] = "paper"
    epochs: Annotated[int, Gt(0)] = 80

    def build(self, data: Series) -> Mined:
        official = self.compat == "official"
        warmup = 50 if official and self.warmup is None else self.warmup
        settings = replace(self, spread="gaussian", transform="density", warmup=warmup) if official else self
        return Mined(reweigh=Memory(len(data), settings))


@dataclass(frozen=True)
class Found:
    """What a memory holds of n pairs, on the processor.

    mean: (n,) mean loss over the epochs, NaN where never seen. kind: (n,) good, noisy or faulty.
    low, high: thresholds. reliability: the memory's. epochs: how many it saw. weighs: whether the warm-up was over; before, no pair is
    judged, and all are good.
    """

    mean: Tensor
    kind: Tensor
    low: float
    high: float
    reliability: float
    epochs: int
    weighs: bool


class Memory(nn.Module):
    """What the pair of each of n series lost: O(n) numbers, the same on every worker after every step.

    now:    (n,) this epoch's losses, NaN where not seen yet.
    total:  (2, n) sum over the epochs, even and odd ones apart. count: (2, n) epochs that saw the series.
    level:  sum of the epochs' means. epoch: epochs that are over.
    kind:   (n,) good, noisy or faulty, of the epochs that are over. middle: μ. spread: (2,) σ below and above it.
    repeats: the memory's reliability. factor: mean factor of the pairs in the last epoch.
    """

    now: Tensor
    total: Tensor
    count: Tensor
    level: Tensor
    epoch: Tensor
    kind: Tensor
    middle: Tensor
    spread: Tensor
    repeats: Tensor
    factor: Tensor

    def __init__(self, n: int, settings: BadPairs) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("now", torch.full((n,), float("nan"), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(2, n, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(2, n, dtype=torch.int64))
        self.register_buffer("kind", torch.zeros(n, dtype=torch.int64))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        self.register_buffer("spread", torch.zeros(2, dtype=torch.float64))
        for name in ("level", "middle", "repeats"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))
        self.register_buffer("factor", torch.ones((), dtype=torch.float64))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(exact(fn), recurse)
        return self

    def forward(self, loss: Tensor, row: Tensor) -> Tensor:
        """Factor of each series of a batch: (batch,), (batch,) -> (batch,)."""
        return self.factors(loss, row) if self.training else torch.ones_like(loss)

    def factors(self, loss: Tensor, row: Tensor) -> Tensor:
        kind = self.kind[row]
        spread = torch.where(kind == NOISY, self.spread[0], self.spread[1])
        weight = TRANSFORMS[self.settings.transform](loss, self.middle, spread)
        return torch.where(kind == GOOD, 1.0, weight).to(loss.dtype)

    def after_step(self, step: Step) -> None:
        for seen in step.seen.values():
            row, loss, weight = (step.gather(part) for part in (seen.row, seen.loss, seen.weight))
            here = weight > 0
            self.now[row[here]] = loss[here].to(self.now.dtype)

    def after_epoch(self, epoch: int) -> None:
        seen = ~self.now.isnan()
        if not bool(seen.any()):
            return
        half = int(self.epoch) % 2
        self.factor.copy_(self.factors(self.now[seen], seen.nonzero()[:, 0]).mean())
        if self.settings.compat == "official":
            kept = self.now * ((1.0 + self.epoch) / self.settings.epochs)
        else:
            level = self.now[seen].mean()
            kept = self.now - level
            self.level += level
        self.total[half] += torch.where(seen, kept, 0.0)
        self.count[half] += seen
        self.epoch += 1
        self.now.fill_(float("nan"))
        self._judge()

    def numbers(self) -> dict[str, float]:
        """Shares of the pairs that are noisy and faulty, the mean factor of all pairs in the last epoch, μ, the thresholds, and how far
        the memory repeats itself; none before the first epoch is over."""
        if not int(self.epoch):
            return {}
        low, high = self.thresholds()
        shares = {
            name: float((self.kind == code).double().mean()) for name, code in (("noisy", NOISY), ("faulty", FAULTY))
        }
        numbers = {"weight": float(self.factor), "middle": float(self.middle), "low": low, "high": high}
        return shares | numbers | {"reliability": float(self.repeats)}

    def mean(self) -> Tensor:
        """m: (n,) mean loss of each pair, NaN where it was never seen."""
        count = self.count.sum(0)
        level = self.level / self.epoch if self.settings.compat == "paper" else 0.0
        return torch.where(count > 0, self.total.sum(0) / count + level, float("nan"))

    def found(self) -> Found:
        low, high = self.thresholds()
        mean, kind = self.mean().cpu(), self.kind.cpu().clone()
        return Found(mean, kind, low, high, float(self.repeats), int(self.epoch), self.weighs())

    def thresholds(self) -> tuple[float, float]:
        """(at or below: noisy, at or above: faulty)."""
        below, above = self.spread.tolist()
        middle = float(self.middle)
        return middle - self.settings.beta_noisy * below, middle + self.settings.beta_faulty * above

    def weighs(self) -> bool:
        """Whether the warm-up is over; never before the first epoch is."""
        if self.settings.warmup is not None:
            return int(self.epoch) >= max(1, self.settings.warmup)
        return int(self.epoch) >= LOOKS and float(self.repeats) >= self.settings.reliability

    def _judge(self) -> None:
        mean = self.mean()
        middle, spread = spread_of(mean, self.settings.spread)
        self.middle.copy_(middle), self.spread.copy_(spread)
        self.repeats.copy_(reliability(self.total, self.count))
        self.kind.zero_()
        if self.weighs():
            self.kind.copy_(judged(mean, float(self.middle), *self.thresholds()))


def judged(mean: Tensor, middle: float, low: float, high: float) -> Tensor:
    """(n,) mean losses -> (n,) good, noisy or faulty; all good on a side of the middle that has no spread."""
    kind = torch.full_like(mean, GOOD, dtype=torch.int64)
    if low < middle:
        kind[mean <= low] = NOISY
    if high > middle:
        kind[mean >= high] = FAULTY
    return kind


LOOKS = 4
"""Epochs before a memory can be said to repeat itself: two of each half."""


def reliability(total: Tensor, count: Tensor) -> Tensor:
    """Spearman and Brown: 2r / (1 + r), r the correlation of two halves of a measurement; 0 where it cannot be told or is negative.

    total, count: (2, n) sums and how many; series that one of the halves never saw are left out.
    """
    both = (count > 0).all(0)
    if int(both.sum()) < 3:
        return total.new_zeros(())
    halves = total[:, both] / count[:, both]
    halves = halves - halves.mean(1, keepdim=True)
    size = halves.square().sum(1).prod().sqrt()
    r = (halves[0] * halves[1]).sum() / size
    return torch.where(size > 0, (2.0 * r / (1.0 + r)).clamp(min=0.0), 0.0) if bool(r > -1) else total.new_zeros(())


def spread_of(mean: Tensor, how: Literal["robust", "gaussian"]) -> tuple[Tensor, Tensor]:
    """μ and σ below and above it (2,), of mean losses (n,). Series that were never seen (NaN) are left out; zeros where fewer than
    two were seen."""
    mean = mean[~mean.isnan()]
    if len(mean) < 2:
        return mean.new_zeros(()), mean.new_zeros(2)
    if how == "gaussian":
        return mean.mean(), mean.std().repeat(2)
    middle = mean.quantile(0.5)
    sides = mean[mean <= middle], mean[mean >= middle]
    return middle, NORMAL * torch.stack([(side - middle).abs().quantile(0.5) for side in sides])


def bounded(loss: Tensor, middle: Tensor, spread: Tensor) -> Tensor:
    return torch.exp(-0.5 * ((loss - middle) / spread) ** 2)


def density(loss: Tensor, middle: Tensor, spread: Tensor) -> Tensor:
    return bounded(loss, middle, spread) / (spread * math.sqrt(2.0 * math.pi))


def remove(loss: Tensor, middle: Tensor, spread: Tensor) -> Tensor:
    return torch.zeros_like(loss)


TRANSFORMS: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "bounded": bounded,
    "density": density,
    "remove": remove,
}
