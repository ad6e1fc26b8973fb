"""Losses against golden values, slow loops written from the formulas, and each other."""

import math
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep import losses
from tsrep.losses import LOSSES, debiased, decoupled, info_nce, sigmoid, soft, supcon
from tsrep.pairs import AnyPairs, Pairs, Twins

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "reference" / "losses.py")))

CLOSE = {torch.float32: {"rtol": 1e-5, "atol": 1e-5}, torch.float64: {"rtol": 1e-10, "atol": 1e-10}}


def plane(*degrees: float) -> Tensor:
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


U, V, W = plane(0, 80, 170, 260), plane(15, 100, 150, 290), plane(-10, 70, 185, 255)


def rows(*shape: int, seed: int = 0, kind: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(kind)


def units(*shape: int, seed: int = 0, kind: torch.dtype = torch.float64) -> Tensor:
    return normalize(rows(*shape, seed=seed), dim=-1).to(kind)


def one_way(u: Tensor, v: Tensor, tau: float) -> Pairs:
    own = torch.eye(len(u), dtype=u.dtype)
    share = u.new_full((1,), 1 / len(u))
    return Pairs(u @ v.T / tau, own, 1 - own, share, torch.arange(len(u)), floor=-1 / tau)


def pool(u: Tensor, v: Tensor, tau: float) -> Twins:
    n = len(u)
    share = u.new_full((1,), 1 / (2 * n))
    return Twins(torch.cat([u, v]) / tau**0.5, share, torch.arange(n).repeat(2), floor=-1 / tau)


def classes(z: Tensor, labels: list[int], tau: float) -> Pairs:
    label = torch.tensor(labels)
    others = 1 - torch.eye(len(z), dtype=z.dtype)
    attract = (label[:, None] == label).to(z.dtype) * others
    positive = (attract.sum(1) > 0).to(z.dtype)
    return Pairs(z @ z.T / tau, attract, others - attract, positive / positive.sum(), torch.arange(len(z)))


def value(loss: Callable[[AnyPairs], Tensor], pairs: AnyPairs) -> Tensor:
    """The number that a term makes of it: shares times losses."""
    return (loss(pairs) * pairs.weight).sum()


GOLDEN = {
    "info_nce one-way": (lambda: value(info_nce, one_way(U, V, 0.5)), 0.342421),
    "info_nce symmetric": (
        lambda: (value(info_nce, one_way(U, V, 0.5)) + value(info_nce, one_way(V, U, 0.5))) / 2,
        0.349207,
    ),
    "nt-xent, fused": (lambda: value(info_nce, pool(U, V, 0.5)), 0.607842),
    "nt-xent, dense": (lambda: value(info_nce, pool(U, V, 0.5).dense()), 0.607842),
    "supcon": (lambda: value(supcon, classes(torch.cat([U, V]), [0, 0, 1, 1] * 2, 0.5)), 2.028003),
    "decoupled": (lambda: value(decoupled, pool(U, V, 0.5)), -0.196234),
    "decoupled, weighted": (lambda: value(lambda p: decoupled(p, sharpness=0.5 / 0.5), pool(U, V, 0.5)), -0.190863),
    "debiased": (lambda: value(debiased, pool(U, V, 0.5)), 0.256640),
    "sigmoid": (lambda: value(sigmoid, one_way(U, V, 0.1)), 1.134139),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name: str) -> None:
    made, expected = GOLDEN[name]
    assert made().item() == pytest.approx(expected, abs=1e-6)


TWINS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "info_nce": (lambda u, v: value(info_nce, one_way(u, v, 0.2)), lambda u, v: slow.info_nce(u, v, 0.2)),
    "nt-xent": (lambda u, v: value(info_nce, pool(u, v, 0.2)), lambda u, v: slow.nt_xent(u, v, 0.2)),
    "supcon": (
        lambda u, v: value(supcon, classes(u, [0, 1, 0, 2, 1, 0], 0.2)),
        lambda u, v: slow.supcon(u, [0, 1, 0, 2, 1, 0], 0.2),
    ),
    "decoupled": (lambda u, v: value(decoupled, pool(u, v, 0.2)), lambda u, v: slow.decoupled(u, v, 0.2)),
    "decoupled, weighted": (
        lambda u, v: value(lambda p: decoupled(p, sharpness=0.5 / 0.2), pool(u, v, 0.2)),
        lambda u, v: slow.decoupled(u, v, 0.2, 0.5),
    ),
    "debiased": (
        lambda u, v: value(debiased, pool(u, v, 0.2)),
        lambda u, v: slow.debiased(u, v, 0.2, 0.1),
    ),
    "sigmoid": (lambda u, v: value(sigmoid, one_way(u, v, 0.1)), lambda u, v: slow.sigmoid(u, v, 10.0, -10.0)),
}


@pytest.mark.parametrize("kind", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", TWINS)
def test_every_loss_equals_its_slow_loop_in_value_and_gradient(name: str, kind: torch.dtype) -> None:
    fast, loop = TWINS[name]
    found, expected = [], []
    for made, told in ((fast, found), (loop, expected)):
        u, v = units(6, 5, seed=1, kind=kind).requires_grad_(), units(6, 5, seed=2, kind=kind).requires_grad_()
        loss = made(u, v)
        told += [loss.detach(), *torch.autograd.grad(loss, [u, v], allow_unused=True)]
    assert found[0].dtype == kind
    assert expected[1].abs().max() > 1e-2
    for mine, theirs in zip(found, expected, strict=True):
        if theirs is not None:
            torch.testing.assert_close(mine, theirs, **CLOSE[kind])


def test_the_debiased_floor_is_reached_and_equals_the_loop() -> None:
    u = units(5, 2, seed=3)
    loss = value(lambda p: debiased(p, 0.4), pool(u, u, 0.1))
    torch.testing.assert_close(loss, slow.debiased(u, u, 0.1, 0.4))
    assert (
        abs(float(loss - slow.debiased(u, u, 0.1, 0.0))) > 1e-3
    )  # the prior matters here, so the floor was not all there was


def test_soft_masses_equal_the_slow_loop() -> None:
    score, attract, repel = rows(5, 7).requires_grad_(), rows(5, 7, seed=1).abs(), rows(5, 7, seed=2).abs()
    attract[:, 2:], repel[:, :1] = 0.0, 0.0
    fast = info_nce(Pairs(score, attract, repel, torch.ones(1), torch.arange(5)))
    loop = slow.masses(score, attract, repel)
    torch.testing.assert_close(fast, loop)
    ours, theirs = (torch.autograd.grad(loss.sum(), score)[0] for loss in (fast, loop))
    assert theirs.abs().max() > 1e-2
    torch.testing.assert_close(ours, theirs)


def test_soft_assignments_equal_the_slow_loop_and_are_info_nce_where_they_are_hard() -> None:
    score, attract = rows(5, 7).requires_grad_(), rows(5, 7, seed=1).abs().clamp(max=1.0)
    attract[:, 3] = 0.0
    pairs = Pairs(score, attract, 1 - attract, torch.ones(1), torch.arange(5))
    fast, loop = soft(pairs), slow.soft(score, attract, pairs.repel)
    torch.testing.assert_close(fast, loop)
    ours, theirs = (torch.autograd.grad(loss.sum(), score)[0] for loss in (fast, loop))
    assert theirs.abs().max() > 1e-2
    torch.testing.assert_close(ours, theirs)
    hard = pool(units(5, 4), units(5, 4, seed=1), 0.3)
    torch.testing.assert_close(soft(hard), info_nce(hard), rtol=0, atol=1e-12)


def test_masses_that_are_learned_get_a_gradient() -> None:
    attract, repel = rows(4, 6).abs().requires_grad_(), rows(4, 6, seed=1).abs().requires_grad_()
    score = rows(4, 6, seed=2)
    assert torch.autograd.gradcheck(
        lambda a, r: info_nce(Pairs(score, a, r, torch.ones(1), torch.arange(4))), (attract, repel)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck(name: str) -> None:
    def number(u: Tensor, v: Tensor) -> Tensor:
        return value(LOSSES[name], pool(u, v, 0.4))

    assert torch.autograd.gradcheck(number, (units(4, 3).requires_grad_(), units(4, 3, seed=1).requires_grad_()))


def test_supcon_of_unique_labels_is_nt_xent() -> None:
    u, v = units(5, 4), units(5, 4, seed=1)
    labels = [*range(5), *range(5)]
    torch.testing.assert_close(value(supcon, classes(torch.cat([u, v]), labels, 0.3)), value(info_nce, pool(u, v, 0.3)))


def test_debiased_without_a_prior_is_nt_xent() -> None:
    pairs = pool(units(5, 4), units(5, 4, seed=1), 0.3)
    torch.testing.assert_close(debiased(pairs, 0.0), info_nce(pairs))


def test_debiased_scores_without_a_floor_lose_nothing_once_the_positive_outweighs_the_negatives() -> None:
    pairs = replace(pool(U, V, 0.5), floor=None)
    pool_of = pairs.pool.clone().requires_grad_()
    loss = debiased(replace(pairs, pool=pool_of), 0.9)
    (grad,) = torch.autograd.grad(loss.sum(), pool_of)
    assert torch.equal(loss, torch.zeros_like(loss)) and (grad == 0).all()
    assert debiased(pool(U, V, 0.5), 0.9).min() > 0


def test_the_decoupled_gradient_has_no_factor_of_the_positive() -> None:
    """∂L_i/∂û_i = (−v⁺ + Σ softmax · negatives) / τ, where InfoNCE has (1 − p⁺) times as much."""
    tau, anchor, candidates = 0.5, U[:1].clone().requires_grad_(), torch.cat([U[1:], V])
    attract = torch.tensor([[0.0, 0, 0, 1, 0, 0, 0]], dtype=torch.float64)
    pairs = Pairs(anchor @ candidates.T / tau, attract, 1 - attract, torch.ones(1), torch.zeros(1))
    (found,) = torch.autograd.grad(decoupled(pairs).sum(), anchor)
    negatives = candidates[attract[0] == 0]
    share = torch.softmax(negatives @ U[0] / tau, 0)
    torch.testing.assert_close(found[0], (share @ negatives - V[0]) / tau)
    assert decoupled(pool(U, V, 0.5)).min() < 0


def test_permuting_the_batch_changes_nothing() -> None:
    u, v = units(6, 4), units(6, 4, seed=1)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    for name, loss in LOSSES.items():
        torch.testing.assert_close(value(loss, pool(u[order], v[order], 0.2)), value(loss, pool(u, v, 0.2)), msg=name)
        torch.testing.assert_close(loss(pool(u[order], v[order], 0.2))[:6], loss(pool(u, v, 0.2))[:6][order], msg=name)


@pytest.mark.parametrize("name", LOSSES)
def test_aligned_views_beat_shuffled_ones(name: str) -> None:
    u = units(8, 6)
    aligned, shuffled = (value(LOSSES[name], pool(u, other, 0.2)) for other in (u, u.roll(1, 0)))
    assert aligned < shuffled - 0.1


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64], ids=str)
def test_one_thing_alone_and_equal_rows_are_finite(name: str, kind: torch.dtype) -> None:
    for u, v in ((units(1, 4, kind=kind), units(1, 4, seed=1, kind=kind)), (units(1, 4, kind=kind).expand(5, 4),) * 2):
        both = torch.stack([u, v]).clone().requires_grad_()
        loss = LOSSES[name](pool(both[0], both[1], 0.05))
        (grad,) = torch.autograd.grad(loss.sum(), both)
        assert loss.isfinite().all()
        assert grad.isfinite().all()


def test_decoupled_without_anything_to_repel_is_the_attraction_alone() -> None:
    torch.testing.assert_close(decoupled(pool(U[:1], V[:1], 0.5)), -(U[0] @ V[0] / 0.5).expand(2))


@pytest.mark.parametrize("name", LOSSES)
def test_an_anchor_without_a_positive_has_a_finite_gradient_and_changes_no_other(name: str) -> None:
    score = rows(4, 6).requires_grad_()
    attract, repel = torch.zeros(4, 6, dtype=torch.float64), torch.ones(4, 6, dtype=torch.float64)
    attract[[0, 2, 3], [1, 2, 4]], repel[[0, 2, 3], [1, 2, 4]] = 1.0, 0.0
    weight = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    loss = value(LOSSES[name], Pairs(score, attract, repel, weight, torch.arange(4)))
    (grad,) = torch.autograd.grad(loss, score)
    assert loss.isfinite()
    assert grad.isfinite().all()
    assert (grad[1] == 0).all()
    assert (grad[[0, 2, 3]].abs().amax(1) > 1e-3).all()
    some = [0, 2, 3]
    alone = value(LOSSES[name], Pairs(score[some], attract[some], repel[some], weight[some], torch.arange(3)))
    torch.testing.assert_close(loss, alone)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_raised_before_the_sums(name: str, low: torch.dtype) -> None:
    """A cosine of one at a temperature of .05 does not overflow, and the loss is that of the same numbers in float32."""
    u, v = units(6, 4), units(6, 4)
    half = replace(pool(u, v, 0.05), pool=pool(u, v, 0.05).pool.to(low))
    full = replace(half, pool=half.pool.float(), weight=half.weight.float())
    loss = LOSSES[name](half)
    assert loss.dtype == torch.float32
    assert loss.isfinite().all()
    if name == "info_nce":  # the factors are raised before the product
        torch.testing.assert_close(loss, LOSSES[name](full))
    else:
        torch.testing.assert_close(loss, LOSSES[name](full), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", LOSSES)
def test_scores_of_hundreds_do_not_overflow(name: str) -> None:
    """Aligned views at a temperature of .002: positives at +500, negatives down to −500, in float32."""
    u = torch.cat([units(3, 4), -units(3, 4)]).float()
    both = torch.stack([u, u]).requires_grad_()
    loss = LOSSES[name](pool(both[0], both[1], 0.002))
    (grad,) = torch.autograd.grad(loss.sum(), both)
    assert pool(u, u, 0.002).dense().score.aminmax() == pytest.approx((-500, 500), rel=1e-4)
    assert loss.isfinite().all()
    assert grad.isfinite().all()


# --- the fused path -----------------------------------------------------------------------------------------------


def fused(case: str, kind: torch.dtype, scale: float = 1.0) -> tuple[Twins, list[Tensor], Tensor]:
    """(pairs, their leaves, which anchors take part): groups of three, five things in two views, of eight things in all."""
    first, n, m = (2, 5, 8) if "joined" in case else (0, 5, 5)
    leaves = [(rows(3, 2 * n, 4, kind=kind) * scale).requires_grad_()]
    others = None
    if "joined" in case:
        full = rows(3, 2 * m, 4, seed=5, kind=kind) * scale
        here = [*range(first, first + n), *range(m + first, m + first + n)]
        full[:, here] = leaves[0].detach()
        others = full.requires_grad_()
        leaves.append(others)
    alive = None
    if "alive" in case:
        alive = torch.ones(3, m, dtype=torch.bool)
        alive[0, [1, 3, m - 1]], alive[1] = False, False
    takes_part = torch.ones(3, 2 * n, dtype=torch.bool) if alive is None else alive[:, first : first + n].repeat(1, 2)
    weight = rows(3, 2 * n, seed=9, kind=kind).abs() * takes_part
    return Twins(leaves[0], weight, torch.arange(2 * n), others, first, alive), leaves, takes_part


@pytest.mark.parametrize("kind", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("scale", [1.0, 15.0], ids=["small", "scores of hundreds"])
@pytest.mark.parametrize("case", ["plain", "alive", "joined", "joined alive"])
def test_the_fused_path_equals_the_dense_one(case: str, scale: float, kind: torch.dtype) -> None:
    pairs, leaves, takes_part = fused(case, kind, scale)
    if scale > 1:
        assert pairs.dense().score.abs().max() > 500
    dense, quick = info_nce(pairs.dense()), info_nce(pairs)
    torch.testing.assert_close(quick[takes_part], dense[takes_part], **CLOSE[kind])
    expected = torch.autograd.grad((dense * pairs.weight).sum(), leaves)
    found = torch.autograd.grad((quick * pairs.weight).sum(), leaves)
    assert quick.isfinite().all()
    for mine, theirs in zip(found, expected, strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(mine, theirs, rtol=CLOSE[kind]["rtol"], atol=scale * CLOSE[kind]["atol"])


@pytest.mark.parametrize("case", ["plain", "alive", "joined", "joined alive"])
def test_the_fused_path_passes_gradcheck(case: str) -> None:
    pairs, leaves, _ = fused(case, torch.float64)

    def number(pooled: Tensor, others: Tensor | None = None) -> Tensor:
        return value(info_nce, replace(pairs, pool=pooled, others=others))

    assert torch.autograd.gradcheck(number, leaves)


@pytest.mark.parametrize("case", ["plain", "joined alive"])
def test_the_fused_path_in_blocks_equals_the_whole(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, leaves, _ = fused(case, torch.float64)
    whole = info_nce(pairs)
    expected = torch.autograd.grad(value(info_nce, pairs), leaves)
    monkeypatch.setattr(losses, "BLOCK", 1)
    assert len(losses._blocks(torch.Size([3, 10, 10]))) == 3
    assert torch.equal(info_nce(pairs), whole)
    for mine, theirs in zip(torch.autograd.grad(value(info_nce, pairs), leaves), expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_things_that_are_not_alive_change_nothing() -> None:
    pairs, _, takes_part = fused("alive", torch.float64)
    dead = ~takes_part
    other = replace(pairs, pool=torch.where(dead[..., None], rows(3, 10, 4, seed=20) * 9, pairs.pool.detach()))
    assert not torch.equal(other.pool, pairs.pool)
    assert torch.equal(info_nce(other), info_nce(pairs))
    assert (info_nce(pairs)[dead] == 0).all()


def test_of_joined_anchors_each_worker_has_its_rows_of_the_whole() -> None:
    """Two workers, three and five of eight things, add up to one process in value and gradient."""
    whole = rows(16, 4).requires_grad_()
    alone = Twins(whole, whole.new_full((1,), 1 / 16), torch.arange(16))
    expected = torch.autograd.grad(value(info_nce, alone), whole)[0]
    total, grad = torch.zeros((), dtype=torch.float64), torch.zeros_like(whole)
    for first, n in ((0, 3), (3, 5)):
        here = [*range(first, first + n), *range(8 + first, 8 + first + n)]
        mine = Twins(whole[here], whole.new_full((1,), 1 / 16), torch.arange(2 * n), whole, first)
        loss = value(info_nce, mine)
        total, grad = total + loss.detach(), grad + torch.autograd.grad(loss, whole)[0]
    torch.testing.assert_close(total, value(info_nce, alone).detach())
    torch.testing.assert_close(grad, expected)


def test_the_dense_twin_says_who_attracts_and_who_repels() -> None:
    dense = pool(U, V, 0.5).dense()
    assert dense.attract.sum(1).tolist() == [1.0] * 8
    assert dense.repel.sum(1).tolist() == [6.0] * 8
    for i in range(8):
        assert dense.attract[i, (i + 4) % 8] == 1
        assert dense.attract[i, i] == dense.repel[i, i] == dense.repel[i, (i + 4) % 8] == 0


def test_nothing_is_learned_from_a_pool_that_needs_no_gradient() -> None:
    loss = info_nce(pool(U, V, 0.5))
    assert not loss.requires_grad
    assert math.isfinite(loss.sum().item())
