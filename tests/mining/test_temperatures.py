"""Individual temperatures: the surrogate's gradient, the update against a slow loop, and who gets which temperature."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep.errors import InputError
from tsrep.memory import Seen, Step
from tsrep.method import Term
from tsrep.mining.hard_negatives import harder
from tsrep.mining.temperatures import Individual, Temperatures
from tsrep.pairing.hierarchical import Hierarchical
from tsrep.pairing.instance import Instance
from tsrep.pairs import Alone, Pairs, Twins
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "temperatures.py")))
HOST = 0.3


def units(n: int, features: int, seed: int = 0) -> Tensor:
    drawn = torch.randn(n, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return normalize(drawn, dim=-1)


def pool(u: Tensor, v: Tensor, row: Tensor | None = None) -> Twins:
    series = Series.of(torch.zeros(len(u), 1, 1), row=row)
    given = {"left": Embedding(u[..., None], u, series), "right": Embedding(v[..., None], v, series)}
    (pairs,) = Instance(HOST)(given, Alone())
    return pairs


def individual(n: int, **settings: Any) -> Individual:
    return Individual(n, Temperatures(**settings)).double().train()


def told(loss: Individual, pairs: Twins | Pairs) -> Step:
    row = pairs.row[: len(pairs.row) // 2]
    return Step("contrast", {}, {}, {"pairs": Seen.of([(pairs, loss(pairs))], row, keep=True)}, Alone())


def test_with_all_the_new_the_gradient_is_that_of_the_log_of_the_mean_without_the_positive() -> None:
    """τ log mean_j e^{(cos_ij − cos_i⁺)/τ} over the negatives alone."""
    loss, tau, found = individual(6, gamma=1.0, start=0.4), 0.4, []
    for ours in (True, False):
        u, v = units(6, 5).requires_grad_(), units(6, 5, 1).requires_grad_()
        pairs = pool(normalize(u, dim=-1), normalize(v, dim=-1))
        dense = pairs.dense()
        cosine = dense.score * HOST
        positive = (dense.attract * cosine).sum(-1)
        far = ((cosine - positive[:, None]) / tau).masked_fill(dense.repel == 0, -torch.inf)
        value = loss(pairs).mean() if ours else (tau * (far.logsumexp(-1) - torch.tensor(10.0).log())).mean()
        found.append(torch.autograd.grad(value, [u, v]))
    assert found[1][0].abs().max() > 1e-2
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("gamma", [0.3, 0.8, 1.0])
def test_losses_gradients_and_updates_equal_the_slow_loop(gamma: float) -> None:
    """Batches of a set of nine, some series twice, at a rate that reaches both ends of the range."""
    settings = {"gamma": gamma, "rho": 0.4, "momentum": 0.7, "rate": 0.2, "clip": 0.35, "lowest": 0.1, "highest": 0.5}
    loss, state = individual(9, start=0.3, **settings), slow.State(9, 0.3)
    for number, row in enumerate([[0, 3, 5, 7], [1, 3, 8], [7, 2, 0, 4, 6]]):
        found = []
        for ours in (True, False):
            u, v = (units(len(row), 4, 2 * number + k).requires_grad_() for k in (0, 1))
            left, right = normalize(u, dim=-1), normalize(v, dim=-1)
            pairs = pool(left, right, torch.tensor(row))
            value = loss(pairs).mean() if ours else slow.step(left, right, row, state, **settings)
            found.append([value.detach(), *torch.autograd.grad(value, [u, v])])
            if ours:
                loss.after_step(told(loss, pairs))
        assert found[1][1].abs().max() > 1e-2
        for mine, theirs in zip(*found, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)
        expected = (state.tau, [s or 0.0 for s in state.s], state.u)
        for mine, theirs in zip((loss.tau, loss.mean, loss.push), expected, strict=True):
            torch.testing.assert_close(mine, torch.tensor(theirs, dtype=torch.float64), rtol=1e-10, atol=1e-10)
    assert len(set(loss.tau.tolist())) > 4 and loss.push.abs().max() > 0.2


def test_the_temperature_grows_where_near_neighbours_are_many() -> None:
    """Half of the directions lie together, half are all at right angles: who has neighbours gets the higher temperature."""
    crowd = normalize(torch.ones(8, 16, dtype=torch.float64) + 0.2 * units(8, 16), dim=-1)
    alone = torch.linalg.qr(torch.cat([torch.ones(16, 1).double(), units(16, 8, 1)], dim=1)).Q[:, 1:].T
    u = torch.cat([crowd, alone])
    loss = individual(16, rho=0.2, rate=0.02, start=0.3)
    for _ in range(20):
        loss.after_step(told(loss, pool(u, u)))
    assert loss.tau[:8].min() > 0.3 > loss.tau[8:].max()


def test_nothing_changes_between_steps_and_the_state_makes_another_the_same() -> None:
    loss, pairs = individual(6), pool(units(6, 5), units(6, 5, 1))
    first = loss(pairs)
    assert torch.equal(loss(pairs), first)
    loss.after_step(told(loss, pairs))
    moved = pool(units(6, 5, 2), units(6, 5, 3))
    assert not torch.equal(loss(moved), individual(6)(moved))
    again = individual(6)
    again.load_state_dict(loss.state_dict())
    assert torch.equal(again(moved), loss(moved))
    assert set(loss.state_dict()) == {"tau", "mean", "push"}


def test_only_the_series_of_the_batch_are_changed() -> None:
    loss = individual(9)
    loss.after_step(told(loss, pool(units(3, 4), units(3, 4, 1), torch.tensor([4, 1, 7]))))
    assert (loss.mean != 0).nonzero()[:, 0].tolist() == [1, 4, 7]
    assert (loss.tau != loss.settings.start).nonzero()[:, 0].tolist() == [1, 4, 7]
    loss.after_step(Step("views", {}, {}, {}, Alone()))


def test_validation_takes_the_hosts_temperature() -> None:
    """Rows of validation series are places in another set, here beyond the end of this one."""
    loss, pairs = individual(3).eval(), pool(units(6, 5), units(6, 5, 1), torch.arange(50, 56))
    dense = pairs.dense()
    far = (dense.score - (dense.attract * dense.score).sum(-1, keepdim=True)).masked_fill(dense.repel == 0, -torch.inf)
    torch.testing.assert_close(loss(pairs), HOST * (far.logsumexp(-1) - torch.tensor(10.0).log()))


@pytest.mark.parametrize("training", [True, False])
def test_an_anchor_with_nothing_to_repel_loses_nothing_and_keeps_its_temperature(training: bool) -> None:
    loss = individual(3).train(training)
    u, v = units(1, 4).requires_grad_(), units(1, 4, 1).requires_grad_()
    pairs = pool(u, v)
    assert torch.equal(loss(pairs), torch.zeros(2, dtype=torch.float64))
    (grad,) = torch.autograd.grad(loss(pairs).sum(), u)
    assert grad.isfinite().all()
    if training:
        loss.after_step(told(loss, pairs))
        assert (loss.tau == loss.settings.start).all() and (loss.mean == 0).all()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_the_lowest_temperature_does_not_overflow(kind: torch.dtype) -> None:
    """A negative on the anchor and a positive opposite: e^80 at a temperature of .025."""
    u = torch.tensor([[1.0, 0], [1, 0], [-1, 0]], dtype=kind)
    points = torch.cat([u, -u]).requires_grad_()
    loss = Individual(3, Temperatures(start=0.025, lowest=0.025)).train()
    pairs = Twins(points / HOST**0.5, torch.ones(1), torch.arange(3).repeat(2), floor=-1 / HOST)
    value = loss(pairs)
    (grad,) = torch.autograd.grad(value.sum(), points)
    loss.after_step(told(loss, pairs))
    assert value.isfinite().all() and grad.isfinite().all()
    assert all(tensor.isfinite().all() for tensor in loss.state_dict().values())


def test_masses_weigh_the_negatives() -> None:
    """Hard negatives under it: a mean weighted by their masses."""
    loss, dense = individual(6, gamma=1.0), pool(units(6, 5), units(6, 5, 1)).dense()
    hard = harder(dense, 1.0, True)
    assert (loss(hard) > loss(dense)).all()
    torch.testing.assert_close(loss(replace(dense, repel=2 * dense.repel)), loss(dense))


def test_scores_that_are_no_cosines_are_refused() -> None:
    steps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    given = {
        side: Embedding(part, part.amax(-1), Series.of(torch.zeros(3, 1, 5)))
        for side, part in zip(("left", "right"), steps, strict=True)
    }
    with pytest.raises(InputError, match=r"mining.temperatures: expected scores that are cosines"):
        Term(Hierarchical()).mined(Temperatures(), Series.of(torch.zeros(3, 1, 5)))(given, Alone())


def test_a_range_without_the_start_is_refused() -> None:
    with pytest.raises(InputError, match="lowest <= start <= highest"):
        Temperatures(start=0.2, lowest=0.3).build(Series.of(torch.zeros(3, 1, 1)))
