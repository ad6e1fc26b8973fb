"""ColloSSL's pairs: the golden loss, its signs, which moments meet, what is absent, and draws that follow from the batch alone."""

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize

from tsrep.errors import InputError
from tsrep.losses import info_nce
from tsrep.memory import Step
from tsrep.method import Term
from tsrep.mining.device_selection import DeviceSelection
from tsrep.pairing.collaborative import Collaborative, moved
from tsrep.pairs import Alone, Gather, Pairs
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "collossl.py")))
DEVICES = ("head", "left", "right", "hip")


def plane(*degrees: float) -> Tensor:
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


U, V, W = plane(0, 80, 170, 260), plane(15, 100, 150, 290), plane(-10, 70, 185, 255)


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed), dtype=torch.float64)


def embedded(pooled: Tensor, values: Tensor | None = None, gone: Tensor | None = None) -> dict[str, Embedding]:
    """(device, batch, feature), what each device recorded (device, batch, channel, time), and where it did not (device, batch)."""
    found = {}
    for d, name in zip(range(len(pooled)), DEVICES, strict=False):
        given = torch.ones(pooled.shape[1], 1, 1, dtype=pooled.dtype) if values is None else values[d].clone()
        if gone is not None:
            given[gone[d]] = torch.nan
        found[name] = Embedding(pooled[d][..., None], pooled[d], Series.of(given))
    return found


def fixed(attract: list[float], repel: list[float]) -> Callable[..., tuple[Tensor, Tensor]]:
    """A choice of devices that is the same for every anchor, the anchor left out."""
    others = 1 - torch.eye(len(attract), dtype=torch.float64)
    return lambda views, gather, generator: (torch.tensor(attract) * others, torch.tensor(repel) * others)


def pairing(select: Callable[..., tuple[Tensor, Tensor]], devices: int = 3, **settings: Any) -> Collaborative:
    return Collaborative(DEVICES[:devices], select, **{"anchor": "head"} | settings).train()


def value(mine: Collaborative, given: dict[str, Embedding], gather: Gather | None = None) -> Tensor:
    return Term(mine, info_nce)(given, gather or Alone())[0]


def places(pairs: Pairs, devices: int) -> Tensor:
    """(anchor, device, moment): which moments repel."""
    return (pairs.repel > 0).unflatten(1, (devices, -1))


def met(mine: Collaborative, given: dict[str, Embedding]) -> Tensor:
    """For every device and moment, the single moment that repels it: (device, batch)."""
    (pairs,) = mine(given, Alone())
    return places(pairs, len(mine.streams)).double().argmax(-1).T


def test_golden_value() -> None:
    """methods.md §10: positive V, negatives V with weight ½ and W with ¼, both rolled by one; τ = .05."""
    given = embedded(torch.stack([U, V, W]))
    found = {}
    for seed in range(40):
        mine = pairing(fixed([0.0, 1.0, 0.0], [0.0, 0.5, 0.25]), seed=seed)
        found[tuple(met(mine, given)[1:, 0].tolist())] = value(mine, given).item()
    assert len(found) == 9, "every two rolls of three places"
    assert found[3, 3] == pytest.approx(6e-6, abs=1e-6)
    assert slow.mcl(U, [(V, 1.0)], [(V.roll(1, 0), 0.5), (W.roll(1, 0), 0.25)], 0.05).item() == pytest.approx(
        found[3, 3]
    )
    inverted = slow.mcl(U, [(-V, 1.0)], [(-V.roll(1, 0), 0.5), (-W.roll(1, 0), 0.25)], 0.05)
    assert inverted.item() == pytest.approx(21.216239, abs=1e-6), "what the released code minimises"


@pytest.mark.parametrize("negatives", [1, 3])
def test_it_equals_the_slow_loop_in_value_and_gradient(negatives: int) -> None:
    mine = pairing(fixed([1.0, 0.7, 0.0, 1.0], [0.3, 1.0, 0.2, 0.0]), 4, negatives=negatives, temperature=0.3)
    (pairs,) = mine(embedded(rows(4, 6, 5)), Alone())
    repels = places(pairs, 4)
    found = []
    for fast in (True, False):
        z = rows(4, 6, 5).requires_grad_()
        if fast:
            total = value(mine, embedded(z))
        else:
            drawn = [
                (torch.stack([z[d][torch.nonzero(repels[b, d])[k, 0]] for b in range(6)]), w)
                for d, w in ((1, 1.0), (2, 0.2))
                for k in range(negatives)
            ]
            total = slow.mcl(z[0], [(z[1], 0.7), (z[3], 1.0)], drawn, 0.3)
        found.append([total.detach(), *torch.autograd.grad(total, [z])])
    assert found[1][1].abs().max() > 1e-2
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_the_loss_falls_as_the_positive_comes_nearer_and_rises_as_a_negative_does() -> None:
    """Finite differences: a wrong sign of the cosine has these the other way round."""
    z, step = normalize(rows(3, 6, 5), dim=-1), 1e-4
    mine = pairing(fixed([0.0, 1.0, 0.0], [0.0, 0.0, 1.0]), temperature=0.5)
    before, other = value(mine, embedded(z)), met(mine, embedded(z))[2]
    nearer = z.clone()
    nearer[1] += step * z[0]
    assert value(mine, embedded(nearer)) < before - 1e-6
    crowded = z.clone()
    for b in range(6):
        crowded[2, other[b]] += step * z[0, b]
    assert value(mine, embedded(crowded)) > before + 1e-6


@pytest.mark.parametrize("negatives", [1, 2, 5, 99])
def test_no_moment_is_moved_onto_itself_and_none_is_met_twice(negatives: int) -> None:
    for seed in range(20):
        met_by = moved(torch.ones(7, 3, dtype=torch.bool), negatives, Generator().manual_seed(seed))
        assert not met_by[torch.arange(7), :, torch.arange(7)].any()
        assert (met_by.sum(-1) == min(negatives, 6)).all()
        assert (met_by.sum(0) == min(negatives, 6)).all(), "each moment is met by as many as it meets"


def test_every_other_moment_is_met_at_some_time_and_devices_move_on_their_own() -> None:
    drawn = torch.stack([moved(torch.ones(5, 2, dtype=torch.bool), 1, Generator().manual_seed(s)) for s in range(60)])
    often = drawn.double().mean(0)[:, 0]
    assert (often + torch.eye(5) > 0.1).all()
    assert (drawn[:, :, 0] != drawn[:, :, 1]).flatten(1).any(1).double().mean() > 0.5


def test_moments_that_were_not_recorded_are_never_met() -> None:
    present = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1], [1, 1, 0]]).bool()
    for seed in range(10):
        met_by = moved(present, 2, Generator().manual_seed(seed))
        assert not (met_by & ~present.T).any()
        assert not met_by[torch.arange(5), :, torch.arange(5)].any()
        assert (met_by[:, :2].sum(-1) == 2).all()
        assert met_by[:, 2].sum() == 1 or met_by[:3, 2].sum() + met_by[4:, 2].sum() == 0, (
            "one moment alone has no other"
        )


def test_what_is_absent_has_no_mass_no_weight_and_no_gradient() -> None:
    gone = torch.zeros(3, 6, dtype=torch.bool)
    gone[0, 1], gone[1, 3], gone[2, [0, 5]] = True, True, True
    z = rows(3, 6, 5).requires_grad_()
    mine = pairing(fixed([0.0, 1.0, 0.0], [0.0, 1.0, 1.0]), negatives=2)
    given = embedded(z, gone=gone)
    (pairs,) = mine(given, Alone())
    for mass in (pairs.attract, pairs.repel):
        assert not mass.unflatten(1, (3, 6))[:, gone].any()
    torch.testing.assert_close(pairs.weight, torch.tensor([1, 0, 1, 0, 1, 1], dtype=torch.float64) / 4)
    (grad,) = torch.autograd.grad(value(mine, given), z)
    assert (grad[gone] == 0).all() and (grad[0, 3] == 0).all()
    assert grad[~gone].abs().sum() > 0


@pytest.mark.parametrize("gone", [[[1, 1], [1, 1], [1, 1]], [[0, 0], [1, 1], [1, 1]], [[0, 1], [1, 0], [0, 0]]])
def test_batches_with_next_to_nothing_in_them_are_finite(gone: list[list[int]]) -> None:
    z = rows(3, 2, 4).requires_grad_()
    for anchor in ("head", "all", "random"):
        mine = pairing(fixed([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]), anchor=anchor)
        total = value(mine, embedded(z, gone=torch.tensor(gone).bool()))
        assert total.isfinite()
        assert torch.autograd.grad(total, z)[0].isfinite().all()


def test_devices_out_of_step_lose_what_unaligned_ones_do() -> None:
    """Shuffling the positive device in time takes the loss from that of aligned devices to that of independent ones."""
    moment = rows(1, 64, 8)
    z = moment + 0.3 * rows(3, 64, 8, seed=1)
    mine = pairing(fixed([0.0, 1.0, 0.0], [0.0, 1.0, 1.0]), negatives=8, temperature=0.2)
    aligned = value(mine, embedded(z))
    shuffled = value(mine, embedded(torch.stack([z[0], z[1].roll(31, 0), z[2]])))
    unaligned = value(mine, embedded(torch.stack([z[0], *rows(2, 64, 8, seed=2)])))
    assert aligned < 0.5 * shuffled
    assert shuffled.item() == pytest.approx(unaligned.item(), rel=0.25)


def test_a_random_anchor_is_another_in_every_batch_and_all_of_them_in_evaluation() -> None:
    given = embedded(rows(4, 6, 5))
    mine = pairing(fixed([1.0] * 4, [1.0] * 4), 4, anchor="random")
    seen = []
    for _ in range(12):
        (pairs,), (again,) = mine(given, Alone()), mine(given, Alone())
        assert torch.equal(pairs.attract, again.attract) and torch.equal(pairs.repel, again.repel)
        seen.append(pairs.attract.unflatten(1, (4, 6)).sum((0, 2)).argmin().item())
        mine.after_step(Step("contrast", {}, given, {}, Alone()))
    assert set(seen) == {0, 1, 2, 3}
    resumed = pairing(fixed([1.0] * 4, [1.0] * 4), 4, anchor="random")
    resumed.load_state_dict(mine.state_dict())
    assert torch.equal(value(resumed, given), value(mine, given))
    mine.eval()
    everyone = list(mine(given, Alone()))
    assert len(everyone) == 4
    assert sum(pairs.weight.sum().item() for pairs in everyone) == pytest.approx(1.0)
    assert torch.equal(value(mine, given), value(resumed.eval(), given))
    resumed.after_step(Step("contrast", {}, given, {}, Alone()))
    assert torch.equal(value(mine, given), value(resumed, given)), "the validation loss is of the same pairs every time"


def test_all_anchors_are_the_mean_of_each() -> None:
    given, choice = embedded(rows(3, 6, 5)), fixed([1.0] * 3, [1.0] * 3)
    each = [value(pairing(choice, anchor=name), given) for name in DEVICES[:3]]
    torch.testing.assert_close(value(pairing(choice, anchor="all"), given), torch.stack(each).mean())


def test_an_unknown_anchor_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'right'"):
        pairing(fixed([1.0] * 3, [1.0] * 3), anchor="rigth")


@dataclass(frozen=True)
class Part:
    """Gather of one of two workers that knows what the other holds."""

    joined: list[Tensor]
    begin: int
    total: int

    def __call__(self, mine: Tensor) -> Tensor:
        same = [t for t in self.joined if t.dtype == mine.dtype and t.shape[1:] == mine.shape[1:]]
        return next(t for t in same if torch.equal(t[self.begin : self.begin + len(mine)], mine))

    def place(self, n: int) -> tuple[int, int]:
        return self.begin, self.total


def test_shares_of_two_workers_add_up_to_the_loss_of_one() -> None:
    z, values = rows(3, 7, 5), rows(3, 7, 2, 9, seed=1)
    gone = torch.zeros(3, 7, dtype=torch.bool)
    gone[1, 2], gone[0, 5] = True, True
    whole = embedded(z, values, gone)
    select = DeviceSelection(DEVICES[:3], dict.fromkeys(DEVICES, (0, 1)))
    mine = pairing(select, anchor="random", negatives=2)
    size = torch.stack([whole[name].series.values.square().sum(1).sqrt() for name in DEVICES[:3]], dim=1)
    present = torch.stack([whole[name].series.present for name in DEVICES[:3]], dim=1)
    joined = [normalize(z, dim=-1).transpose(0, 1), size, present, torch.arange(7)]
    total = torch.zeros((), dtype=torch.float64)
    for part in (slice(0, 3), slice(3, 7)):
        given = {k: Embedding(e.steps[part], e.pooled[part], e.series.rows(part)) for k, e in whole.items()}
        total += value(mine, given, Part(joined, part.start, 7))
    torch.testing.assert_close(total, value(mine, whole))


def test_half_precision_is_raised() -> None:
    z = rows(3, 6, 5).bfloat16()
    mine = pairing(fixed([0.0, 1.0, 0.0], [0.0, 1.0, 1.0]))
    torch.testing.assert_close(value(mine, embedded(z)), value(mine, embedded(z.float())))
