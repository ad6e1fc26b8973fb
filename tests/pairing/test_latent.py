"""Latent positives: how far a key may go, what is kept of where it went, and who feels it."""

import math
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep import randomness
from tsrep.memory import Step
from tsrep.pairing.latent import NEAR, Arcs, Latent, arcs, boundary
from tsrep.pairing.queue import Queue
from tsrep.pairs import Alone
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "halp.py")))
TAU = 0.3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def units(*shape: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(*shape, generator=generator(seed), dtype=torch.float64), dim=-1)


def angle(*degrees: float) -> Tensor:
    turn = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([turn.cos(), turn.sin()], dim=-1)


def points(keys: Tensor, centres: Tensor, target: Tensor, u: Tensor) -> tuple[Tensor, Arcs]:
    """z: (batch, positive, feature)."""
    cosine = keys @ centres.T
    found = arcs(cosine, centres @ centres.T, cosine.argmax(1, keepdim=True), target, u)
    return found.key[..., None] * keys[:, None] + found.target[..., None] * centres[target], found


def others(keys: Tensor, centres: Tensor) -> Tensor:
    """All targets of every key: (batch, prototype - 1)."""
    own = (keys @ centres.T).argmax(1)
    return torch.stack([torch.tensor([c for c in range(len(centres)) if c != o]) for o in own.tolist()])


# --- how far a key may go -----------------------------------------------------------------------------------------


def test_the_golden_value_in_the_plane() -> None:
    """k at 0°, p₀ at 20°, p at −90°: t_max = .388889, and z there is the bisector at −35°."""
    key, centres = angle(0.0), angle(20.0, -90.0)
    cosine = key @ centres.T
    target = torch.tensor([[1]])
    reach = boundary(
        cosine[:, 1], cosine[:, 0], centres[0] @ centres[1], torch.sin(torch.tensor(0.5 * math.pi)).double()
    )
    assert abs(float(reach) / (0.5 * math.pi) - 0.388889) < 1e-6
    z, found = points(key, centres, target, torch.zeros(1, 1, dtype=torch.float64))
    assert torch.allclose(z[0, 0], angle(-35.0)[0])
    assert found.kept.all()


def test_a_boundary_more_than_a_right_angle_away_is_found_too() -> None:
    """k at 0°, p₀ at 60°, p at 150°: the bisector lies at 105°, where the arc tangent of the printed formula is negative."""
    z, _ = points(angle(0.0), angle(60.0, 150.0), torch.tensor([[1]]), torch.zeros(1, 1, dtype=torch.float64))
    assert torch.allclose(z[0, 0], angle(105.0)[0])


def test_in_two_thousand_random_cases_the_end_of_the_arc_is_on_the_boundary() -> None:
    key, own, p = (units(2000, 16, seed=seed) for seed in range(3))
    near = (key * own).sum(1) > (key * p).sum(1)
    own, p = torch.where(near[:, None], own, p), torch.where(near[:, None], p, own)
    to_target, to_own, between = (key * p).sum(1), (key * own).sum(1), (own * p).sum(1)
    omega = to_target.arccos()
    reach = boundary(to_target, to_own, between, omega.sin())
    assert ((reach / omega > 0) & (reach / omega < 1)).all()
    z = ((omega - reach).sin()[:, None] * key + reach.sin()[:, None] * p) / omega.sin()[:, None]
    assert ((z * own).sum(1) - (z * p).sum(1)).abs().max() < 1e-12
    assert (z.norm(dim=1) - 1).abs().max() < 1e-12


def test_points_have_length_one_and_go_away_from_the_key_evenly_with_t() -> None:
    keys, centres = units(30, 6), units(5, 6, seed=1)
    u = torch.linspace(1.0, 0.0, 9, dtype=torch.float64)
    target = others(keys, centres)[:, :1].expand(-1, 9)
    z, _ = points(keys, centres, target, u.expand(30, -1))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(30, 9, dtype=torch.float64))
    cosine = (z * keys[:, None]).sum(-1)
    assert torch.allclose(cosine[:, 0], torch.ones(30, dtype=torch.float64))
    assert (cosine.diff(dim=1) < 0).all()


def test_no_spread_puts_all_on_the_boundary_and_more_moves_them_back_to_the_key() -> None:
    keys, centres = units(30, 6), units(5, 6, seed=1)
    target = others(keys, centres)
    own = (keys @ centres.T).argmax(1)
    for u, on in ((0.0, True), (0.5, False)):
        z, _ = points(keys, centres, target, torch.full(target.shape, u, dtype=torch.float64))
        lead = (z * centres[own][:, None]).sum(-1) - (z * centres[target]).sum(-1)
        assert (lead.abs() < 1e-12).all() if on else (lead > 1e-4).all()


# --- what is kept -------------------------------------------------------------------------------------------------


def test_what_is_kept_is_nearest_to_the_keys_own_prototype_and_what_is_not_is_not() -> None:
    keys, centres = units(200, 4), units(12, 4, seed=1)
    target = others(keys, centres)
    z, found = points(keys, centres, target, torch.full(target.shape, 0.2, dtype=torch.float64))
    nearest = (z @ centres.T).argmax(-1)
    own = (keys @ centres.T).argmax(1, keepdim=True)
    assert 0.1 < found.kept.double().mean() < 0.9
    assert torch.equal(found.kept, nearest == own)


@pytest.mark.parametrize("u", [0.0, 0.3, 1.0])
def test_of_two_prototypes_everything_is_kept(u: float) -> None:
    keys, centres = units(500, 16).float(), units(2, 16, seed=1).float()
    target = others(keys, centres)
    _, found = points(keys, centres, target, torch.full(target.shape, u))
    assert found.kept.all()


@pytest.mark.parametrize("turn", [0.0, 0.3 * NEAR, math.pi - 0.3 * NEAR, math.pi])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_target_in_the_keys_own_or_the_opposite_direction_is_not_kept_and_breaks_nothing(
    turn: float, kind: torch.dtype
) -> None:
    keys = angle(0.0).to(kind)
    centres = torch.cat([angle(0.0), angle(math.degrees(turn)), angle(70.0)]).to(kind)
    z, found = points(keys, centres, torch.tensor([[1, 2]]), torch.zeros(1, 2, dtype=kind))
    assert z.isfinite().all() and found.key.isfinite().all()
    assert not found.kept[0, 0]


def test_a_key_on_the_boundary_stays_where_it_is() -> None:
    z, found = points(angle(0.0), angle(40.0, -40.0), torch.tensor([[1]]), torch.zeros(1, 1, dtype=torch.float64))
    assert torch.allclose(z[0, 0], angle(0.0)[0]) and found.kept.all()


# --- the objective ------------------------------------------------------------------------------------------------


def batch(q: Tensor, k: Tensor, absent: tuple[int, ...] = ()) -> dict[str, Embedding]:
    values = torch.ones(len(q), 1, 2)
    whole = Series.of(values)
    values = values.clone()
    values[list(absent)] = float("nan")
    return {"left": Embedding(q[..., None], q, whole), "right": Embedding(k[..., None], k, Series.of(values))}


def made(features: int = 6, size: int = 40, entered: int = 0, **settings: Any) -> tuple[Latent, Queue]:
    queue = Queue(size, features, TAU).double()
    latent = Latent(queue, **{"mu": 1.0, "positives": 7, "prototypes": 5, "every": 2} | settings).double()
    if entered:
        keys = units(entered, features, seed=9)
        queue.after_step(told(batch(keys, keys)))
    return latent, queue


def told(given: dict[str, Embedding], phase: str = "contrast") -> Step:
    return Step(phase, {}, {name: replace(e, pooled=e.pooled.detach()) for name, e in given.items()}, {}, Alone())


def begun(**settings: Any) -> tuple[Latent, Queue]:
    latent, queue = made(entered=81, **settings)
    for _ in range(2):
        latent.after_step(told(batch(units(4, 6), units(4, 6))))
    assert latent.centres.any()
    return latent, queue


def draws(latent: Latent, total: int, own: Tensor) -> tuple[Tensor, Tensor]:
    """Targets and u, as the formula of `Latent` takes them."""
    drawn = randomness.generator(latent.seed, randomness.PAIRING, int(latent.batches), 0)
    which, u = (torch.rand(total, latent.positives, generator=drawn, dtype=torch.float64) for _ in range(2))
    target = torch.zeros(total, latent.positives, dtype=torch.int64)
    for i in range(total):
        left = [c for c in range(len(latent.centres)) if c != own[i]]
        target[i] = torch.tensor([left[int(w * len(left))] for w in which[i]])
    return target, latent.spread * u


@pytest.mark.parametrize("spread", [0.1, 0.8])
def test_the_loss_equals_the_slow_loop_in_value_and_gradient(spread: float) -> None:
    latent, _ = begun(mu=1.7, spread=spread)
    q, k = (3.0 * units(9, 6, seed=seed) for seed in (3, 4))
    q, k = q.requires_grad_(), k.requires_grad_()
    own = (k @ latent.centres.T).argmax(1)
    target, u = draws(latent, 9, own)
    value = latent({}, batch(q, k), Alone())
    expected, kept = slow.loss(q, k.detach(), latent.centres, target, u, 1.7, TAU)
    assert 0.5 < kept < 1.0
    torch.testing.assert_close(value, expected, rtol=1e-8, atol=1e-10)
    (to_query,), (theirs,) = torch.autograd.grad(value, [q], retain_graph=True), torch.autograd.grad(expected, [q])
    assert theirs.abs().max() > 1e-2
    torch.testing.assert_close(to_query, theirs, rtol=1e-8, atol=1e-10)
    (to_key,) = torch.autograd.grad(value, [k], allow_unused=True)
    assert to_key is None and not latent.centres.requires_grad, "keys and prototypes are constants"
    latent.after_step(told(batch(q, k)))
    assert abs(latent.numbers()["kept"] - kept) < 1e-12


def test_without_prototypes_and_in_evaluation_the_loss_is_zero() -> None:
    q = units(4, 6).requires_grad_()
    fresh, (later, _) = made()[0], begun()
    assert fresh.numbers() == {}
    assert later({}, batch(q, q.detach()), Alone()) < -0.5 / TAU
    for latent in (fresh, later.eval()):
        value = latent({}, batch(q, units(4, 6, seed=1)), Alone())
        assert float(value.detach()) == 0.0
        assert not torch.autograd.grad(value, q)[0].any()


def test_where_nothing_is_kept_the_loss_is_zero_and_not_nan() -> None:
    """All prototypes in the key's own direction."""
    latent, _ = begun()
    key = units(1, 6).expand(3, -1)
    latent.centres.copy_(key[:1].expand_as(latent.centres))
    q = units(3, 6, seed=1).requires_grad_()
    value = latent({}, batch(q, key), Alone())
    assert float(value.detach()) == 0.0 and not torch.autograd.grad(value, q)[0].any()
    latent.after_step(told(batch(q, key)))
    assert latent.numbers() == {"kept": 0.0}


def test_a_series_of_which_one_view_shows_nothing_takes_no_part() -> None:
    latent, _ = begun()
    q, k = units(4, 6, seed=3), units(4, 6, seed=4)
    q.requires_grad_()
    (grad,) = torch.autograd.grad(latent({}, batch(q, k, absent=(2,)), Alone()), q)
    assert not grad[2].any() and grad[[0, 1, 3]].any(1).all()


# --- what it remembers --------------------------------------------------------------------------------------------


def test_prototypes_begin_when_more_than_twice_the_queue_has_entered_and_are_renewed_every_few_batches() -> None:
    latent, queue = made(size=40, entered=80, every=2)
    given = told(batch(units(4, 6), units(4, 6)))
    for _ in range(4):
        latent.after_step(given)
    assert not latent.centres.any() and int(latent.batches) == 4
    queue.after_step(given)
    seen = []
    for _ in range(5):
        latent.after_step(given)
        seen.append(latent.centres.clone())
    assert not seen[0].any()
    assert seen[1].any() and torch.equal(seen[1], seen[2])
    assert not torch.equal(seen[2], seen[3]) and torch.equal(seen[3], seen[4])
    torch.testing.assert_close(seen[4].norm(dim=1), torch.ones(5, dtype=torch.float64))
    latent.after_step(replace(given, phase="augment"))
    assert int(latent.batches) == 9


def test_the_loss_changes_nothing_and_draws_anew_after_every_batch() -> None:
    latent, _ = begun()
    latent.every = 100  # the prototypes stay
    given = batch(units(9, 6, seed=3), units(9, 6, seed=4))
    before = {name: tensor.clone() for name, tensor in latent.state_dict().items()}
    first = latent({}, given, Alone())
    assert torch.equal(first, latent({}, given, Alone()))
    assert all(torch.equal(before[name], tensor) for name, tensor in latent.state_dict().items())
    latent.after_step(told(given))
    assert not torch.equal(first, latent({}, given, Alone()))


@pytest.mark.parametrize(("size", "prototypes"), [(40, 5), (16, 4), (3, 2)])
def test_small_queues_have_fewer_prototypes(size: int, prototypes: int) -> None:
    latent, _ = made(size=size)
    assert latent.centres.shape == (prototypes, 6)
    assert set(latent.state_dict()) == {"centres", "batches", "kept"}, "the queue is not saved twice"
