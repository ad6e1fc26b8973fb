"""Device selection: which devices attract the anchor and which repel it, by how alike what they record is (ColloSSL)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from tsrep.errors import InputError
from tsrep.memory import Step
from tsrep.pairs import Gather
from tsrep.series import Series

WIDTHS = (1e-4, 1e-3, 0.01, 0.1, 1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 100.0)
"""σ of the kernels, which are added up."""

LEAST = 1e-4
"""What two devices differ by at least, so that 1/MMD is finite."""

BOUNDS = (0.1, 10.0)
"""Least and largest weight of a negative device beside a positive one. Unbounded, one that is nearly the anchor's twin has 1e4 and
leaves nothing for the positive."""


@dataclass(frozen=True)
class Policy:
    """Ranks of the other devices, from the closest (0) on, that attract and that repel.

    attract, repel: (first, last) ranks, the last one exclusive; last = None: all that follow.
    shuffled:       which of the two orders is drawn instead of by distance.
    """

    attract: tuple[int, int | None]
    repel: tuple[int, int | None]
    shuffled: tuple[bool, bool] = (False, False)

    @property
    def others(self) -> int:
        """Devices beside the anchor without which there is nothing of this rank."""
        return 1 + max(self.attract[0], self.repel[0])


POLICIES: Mapping[str, Policy] = {
    "closest_pos_all_neg": Policy((0, 1), (0, None)),
    "closest_only": Policy((0, 1), (0, 1)),
    "closest_pos_rest_neg": Policy((0, 1), (1, None)),
    "closest_two": Policy((0, 1), (1, 2)),
    "closest_two_reverse": Policy((1, 2), (0, 1)),
    "hard_negative": Policy((0, 1), (1, 3)),
    "harder_negative": Policy((3, 4), (0, 2)),
    "mid_selection": Policy((1, 3), (3, None)),
    "closest_pos_random_neg": Policy((0, 1), (0, 1), (False, True)),
    "random": Policy((0, 1), (0, 1), (True, True)),
}
"""Those of the released code; the first is the paper's best. A device may both attract, at the same moment, and repel, at others."""

Rule = Literal[
    "closest_pos_all_neg",
    "closest_only",
    "closest_pos_rest_neg",
    "closest_two",
    "closest_two_reverse",
    "hard_negative",
    "harder_negative",
    "mid_selection",
    "closest_pos_random_neg",
    "random",
]


class DeviceSelection(nn.Module):
    """Masses of attraction and repulsion of every device for every anchor device. Jain et al., IMWUT 2022, arXiv:2202.00758, §4.1.

    streams: the devices.
    sensors: of each device, the channels whose magnitude is compared.
    rule:    one of `POLICIES`.
    once:    distances are the mean over the batches of the first epoch, and stay (a priori); False: those of the batch.

    total, count: sum of the distances of the batches so far, and how many had both devices; kept only where `once`.
    """

    total: Tensor
    count: Tensor
    settled: Tensor

    def __init__(
        self,
        streams: Sequence[str],
        sensors: Mapping[str, Sequence[int]],
        rule: str = "closest_pos_all_neg",
        *,
        once: bool = False,
    ) -> None:
        super().__init__()
        policy = POLICIES[rule]
        if len(streams) <= policy.others:
            raise InputError(
                f"expected more than {policy.others} devices for the rule {rule}, got {len(streams)}: {', '.join(streams)}; "
                "take closest_pos_all_neg"
            )
        self.streams, self.sensors, self.policy, self.once = tuple(streams), sensors, policy, once
        devices = len(self.streams)
        self.register_buffer("total", torch.zeros(devices, devices, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(devices, devices, dtype=torch.float64))
        self.register_buffer("settled", torch.zeros((), dtype=torch.bool))

    def forward(self, views: Mapping[str, Series], gather: Gather, generator: Generator) -> tuple[Tensor, Tensor]:
        """(device, device) masses twice: row a says how heavily each device attracts and repels the anchor device a."""
        return masses(self.policy, self.distances(views, gather), generator)

    @torch.no_grad()
    def distances(self, views: Mapping[str, Series], gather: Gather) -> Tensor:
        """(device, device) float64; infinite where two devices have no moment in common."""
        if bool(self.settled):
            return self._mean(self.total, self.count)
        now = self.compared(views, gather)
        if not self.once:
            return now
        here = now.isfinite()
        return self._mean(self.total + now.masked_fill(~here, 0.0), self.count + here)

    def compared(self, views: Mapping[str, Series], gather: Gather) -> Tensor:
        """Distances of one batch, that of all workers."""
        length = min(views[name].length for name in self.streams)
        signals = torch.stack([magnitude(views[name], self.sensors[name], length) for name in self.streams], dim=1)
        present = torch.stack([views[name].present for name in self.streams], dim=1)
        return discrepancy(gather(signals).transpose(0, 1), gather(present).T)

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        if not self.once or bool(self.settled) or not all(name in step.embeddings for name in self.streams):
            return
        now = self.compared({name: step.embeddings[name].series for name in self.streams}, step.gather)
        here = now.isfinite()
        self.total += now.masked_fill(~here, 0.0)
        self.count += here

    def after_epoch(self, epoch: int) -> None:
        self.settled |= self.count.any()

    @staticmethod
    def _mean(total: Tensor, count: Tensor) -> Tensor:
        return torch.where(count > 0, total / count.clamp(min=1), torch.inf)


def magnitude(series: Series, channels: Sequence[int], length: int) -> Tensor:
    """√Σ_c x_c² over these channels, interpolated to `length` steps: (batch, length) float64. What was not observed is zero."""
    size = series.values[:, list(channels)].detach().double().square().sum(1).sqrt()
    if size.shape[1] == length:
        return size
    resized: Tensor = functional.interpolate(size[:, None], size=length, mode="linear", align_corners=True)
    return resized[:, 0]


def discrepancy(signals: Tensor, present: Tensor, widths: Sequence[float] = WIDTHS) -> Tensor:
    """Maximum mean discrepancy of every two devices over the moments that both recorded: (device, device) float64.

    MMD(a, d) = max(1e-4, E k(a, a') + E k(d, d') − 2 E k(a, d)),  k(u, v) = Σ_σ exp(−|u − v|² / 2σ), means over all pairs, those of a
    moment with itself included, so that a device is at zero from itself. Gretton et al., JMLR 2012; the σ are ColloSSL's.

    signals: (device, batch, time) float64. present: (device, batch) bool. Infinite where two devices share no moment.
    """
    devices, batch, time = signals.shape
    flat = (signals - signals.mean((0, 1))).reshape(devices * batch, time)
    size = flat.square().sum(1)
    # In float64 the difference of squares keeps equal windows at zero, which the narrowest kernel needs.
    apart = (size[:, None] + size - 2.0 * flat @ flat.T).clamp_(min=0.0).float()
    kernel = torch.zeros_like(apart)
    for width in widths:
        kernel += torch.exp(apart * (-0.5 / width))
    kernel = kernel.view(devices, batch, devices, batch).double()
    both = (present[:, None] & present[None]).double()
    shared = both.sum(2)
    own = torch.stack([kernel[d, :, d] for d in range(devices)])
    within = torch.einsum("adb,abc,adc->ad", both, own, both)
    between = torch.einsum("adb,abdc,adc->ad", both, kernel, both)
    distance = ((within + within.T - 2.0 * between) / shared.clamp(min=1.0).square()).clamp(min=LEAST)
    return torch.where(shared > 0, distance, torch.inf)


def masses(policy: Policy, distances: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Attraction and repulsion of each device (columns) for each anchor (rows), from the distances between them.

    w_p = 1 and w_n = 1 / MMD(a, n), bounded by `BOUNDS`; then both over the largest of the anchor. A device that is drawn instead of
    ranked counts one. What shares no moment with the anchor, and the anchor itself, has no mass.
    """
    devices = len(distances)
    here = distances.isfinite() & ~torch.eye(devices, dtype=torch.bool, device=distances.device)
    drawn = torch.rand(2, devices, devices, generator=generator, dtype=torch.float64).to(distances.device)
    chosen = []
    for order, shuffled, (first, last) in zip(drawn, policy.shuffled, (policy.attract, policy.repel), strict=True):
        rank = (
            (order if shuffled else distances).masked_fill(~here, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
        )
        chosen.append(here & (rank >= first) & (rank < (devices if last is None else last)))
    attract, repel = (mask.double() for mask in chosen)
    if not policy.shuffled[1]:
        repel = repel * weights(distances)
    largest = torch.maximum(attract, repel).amax(1, keepdim=True)
    return attract / largest.clamp(min=LEAST), repel / largest.clamp(min=LEAST)


def weights(distances: Tensor) -> Tensor:
    """1 / MMD within `BOUNDS`."""
    return (1.0 / distances).clamp(*BOUNDS)


def acceleration(channels: Sequence[str]) -> tuple[int, ...]:
    """Places of acc_x, acc_y and acc_z among the names of channels; all places where there is none of them."""
    found = tuple(i for i, name in enumerate(channels) if name.lower() in ("acc_x", "acc_y", "acc_z"))
    return found or tuple(range(len(channels)))
