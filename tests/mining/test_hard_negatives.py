"""Hard negatives and debiasing against golden values, slow loops of HCL's formula, and their hosts."""

import runpy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep.errors import InputError
from tsrep.losses import LOSSES, debiased, info_nce
from tsrep.method import Term
from tsrep.mining.debias import Debias
from tsrep.mining.hard_negatives import HardNegatives
from tsrep.pairing.across import Across
from tsrep.pairing.hierarchical import Hierarchical
from tsrep.pairing.instance import Instance
from tsrep.pairs import Alone, Pairing, Pairs
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "hard_negatives.py")))
DATA = Series.of(torch.zeros(4, 1, 1))


def plane(*degrees: float) -> Tensor:
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


U, V = plane(0, 80, 170, 260), plane(15, 100, 150, 290)


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def units(n: int, features: int, seed: int = 0) -> Tensor:
    return normalize(rows(n, features, seed=seed), dim=-1)


def embedded(u: Tensor, v: Tensor) -> dict[str, Embedding]:
    series = Series.of(torch.zeros(len(u), 1, 1))
    return {"left": Embedding(u[..., None], u, series), "right": Embedding(v[..., None], v, series)}


def loss(
    pairing: Pairing, u: Tensor, v: Tensor, beta: float | None, prior: float | None, detach: bool = True
) -> Tensor:
    term = Term(pairing)
    if beta is not None:
        term = term.mined(HardNegatives(beta, detach), DATA)
    if prior is not None:
        term = term.mined(Debias(prior), DATA)
    return term(embedded(u, v), Alone())[0]


def both_ways(u: Tensor, v: Tensor, beta: float | None, prior: float | None, tau: float = 0.5) -> Tensor:
    ways = (Across(tau, "left", "right"), Across(tau, "right", "left"))
    return torch.stack([loss(way, u, v, beta, prior) for way in ways]).mean()


def mined(pairs: Pairs, beta: float, detach: bool = True) -> Pairs:
    mine = HardNegatives(beta, detach).build(DATA).mine
    assert mine is not None
    return mine(pairs)


def pool(u: Tensor, v: Tensor, tau: float) -> Pairs:
    (pairs,) = Instance(tau)(embedded(u, v), Alone())
    return pairs.dense()


GOLDEN = {
    "hcl": (lambda: loss(Instance(0.5), U, V, 1.0, 0.1), 0.660807),
    "hcl without a prior": (lambda: loss(Instance(0.5), U, V, 1.0, None), 0.900682),
    "debiased": (lambda: loss(Instance(0.5), U, V, None, 0.1), 0.256640),
    "debiased, by a β of zero": (lambda: loss(Instance(0.5), U, V, 0.0, 0.1), 0.256640),
    "of two modalities": (lambda: both_ways(U, V, 1.0, 0.1), 0.386185),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name: str) -> None:
    made, expected = GOLDEN[name]
    assert made().item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("detach", [True, False], ids=["constant", "through"])
@pytest.mark.parametrize("prior", [None, 0.1], ids=["no prior", "prior"])
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_it_equals_the_slow_loop_in_value_and_gradient(beta: float, prior: float | None, detach: bool) -> None:
    fast = partial(loss, Instance(0.5), beta=beta, prior=prior, detach=detach)
    loop = partial(slow.hcl, tau=0.5, beta=beta, prior=prior or 0.0, detach=detach)
    compare(fast, loop, units(6, 5, seed=1), units(6, 5, seed=2))


def compare(fast: Callable[[Tensor, Tensor], Tensor], loop: Callable[[Tensor, Tensor], Tensor], *given: Tensor) -> None:
    found = []
    for made in (fast, loop):
        u, v = (part.clone().requires_grad_() for part in given)
        # Both see the lengths that the pairing sees.
        value = made(normalize(u, dim=-1), normalize(v, dim=-1))
        found.append([value.detach(), *torch.autograd.grad(value, [u, v])])
    assert found[1][1].abs().max() > 1e-2
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


def test_the_form_of_two_modalities_equals_its_slow_loop() -> None:
    compare(
        lambda u, v: both_ways(u, v, 1.0, 0.1, 0.3),
        lambda u, v: slow.across(u, v, 0.3, 1.0, 0.1),
        units(5, 4),
        units(5, 4, 1),
    )


def test_whether_masses_are_constants_changes_the_gradient_and_not_the_value() -> None:
    u, v = units(6, 5).requires_grad_(), units(6, 5, 1)
    values = [loss(Instance(0.5), u, v, 1.0, None, detach) for detach in (True, False)]
    assert torch.equal(*values)
    constant, through = (torch.autograd.grad(value, u)[0] for value in values)
    assert (constant - through).abs().max() > 1e-2


@pytest.mark.parametrize("name", LOSSES)
def test_a_beta_of_zero_is_the_host_whatever_its_loss(name: str) -> None:
    pairs = pool(units(6, 5), units(6, 5, 1), 0.2)
    torch.testing.assert_close(LOSSES[name](mined(pairs, 0.0)), LOSSES[name](pairs), rtol=0, atol=1e-12)


def test_a_beta_of_zero_is_ts2vec_too() -> None:
    steps = rows(2, 3, 4, 9)
    ragged = rows(3, 1, 9, seed=3)
    ragged[1, :, 5:] = torch.nan
    given = {
        side: Embedding(part, part.amax(-1), Series.of(ragged))
        for side, part in zip(("left", "right"), steps, strict=True)
    }
    plain = Term(Hierarchical())(given, Alone())[0]
    still, moved = (Term(Hierarchical()).mined(HardNegatives(beta), DATA)(given, Alone())[0] for beta in (0.0, 1.0))
    torch.testing.assert_close(still, plain, rtol=0, atol=1e-12)
    assert moved > plain + 0.1


def test_the_sum_over_negatives_grows_and_their_mass_stays() -> None:
    pairs = pool(units(7, 4), units(7, 4, 1), 0.3)
    plain = (pairs.repel * pairs.score.exp()).sum(-1)
    for beta in (0.3, 1.0, 4.0):
        hard = mined(pairs, beta)
        assert ((hard.repel * hard.score.exp()).sum(-1) > plain).all()
        torch.testing.assert_close(hard.repel.sum(-1), pairs.repel.sum(-1))
        assert (hard.repel[pairs.repel == 0] == 0).all()
        assert torch.equal(hard.attract, pairs.attract)


def test_permuting_negatives_permutes_their_masses() -> None:
    pairs = pool(units(5, 4), units(5, 4, 1), 0.3)
    order = torch.tensor([4, 0, 9, 2, 7, 1, 8, 3, 6, 5])
    shuffled = replace(pairs, score=pairs.score[:, order], attract=pairs.attract[:, order], repel=pairs.repel[:, order])
    torch.testing.assert_close(mined(shuffled, 1.0).repel, mined(pairs, 1.0).repel[:, order])


def test_masses_that_are_soft_already_are_weighed_as_masses() -> None:
    """A candidate of mass two counts as two candidates."""
    score = rows(3, 4)
    repel = torch.tensor([2.0, 1.0, 0.0, 1.0], dtype=torch.float64).expand(3, 4)
    doubled = torch.cat([score[:, :1], score], dim=1)
    one = mined(Pairs(score, torch.zeros(3, 4), repel, torch.ones(1), torch.arange(3)), 0.7).repel
    twice = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0], dtype=torch.float64).expand(3, 5)
    two = mined(Pairs(doubled, torch.zeros(3, 5), twice, torch.ones(1), torch.arange(3)), 0.7).repel
    torch.testing.assert_close(one[:, 0], two[:, 0] + two[:, 1])
    torch.testing.assert_close(one[:, 1:], two[:, 2:])


@pytest.mark.parametrize("detach", [True, False], ids=["constant", "through"])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_large_betas_do_not_overflow(kind: torch.dtype, detach: bool) -> None:
    """e^{(1+β)/t} at β = 8 and t = .05 is e^180; in half precision e^12 is the end already."""
    points = units(8, 4).to(kind).requires_grad_()
    score = points @ points.T / 0.05
    own = torch.eye(8, dtype=kind)
    hard = mined(Pairs(score, own, 1 - own, torch.ones(1), torch.arange(8)), 8.0, detach)
    value = info_nce(hard)
    (grad,) = torch.autograd.grad(value.sum(), points)
    assert value.isfinite().all() and grad.isfinite().all()
    assert grad.abs().max() > 0
    torch.testing.assert_close(hard.repel.sum(-1), torch.full((8,), 7.0))


@pytest.mark.parametrize("detach", [True, False], ids=["constant", "through"])
def test_an_anchor_with_nothing_to_repel_has_a_finite_gradient(detach: bool) -> None:
    score = rows(3, 4).requires_grad_()
    attract, repel = torch.eye(3, 4, dtype=torch.float64), torch.zeros(3, 4, dtype=torch.float64)
    repel[1, 2:] = 1.0
    hard = mined(Pairs(score, attract, repel, torch.ones(1), torch.arange(3)), 1.0, detach)
    value = info_nce(hard)
    (grad,) = torch.autograd.grad(value.sum(), score)
    torch.testing.assert_close(value[[0, 2]], torch.zeros(2, dtype=torch.float64))
    assert grad.isfinite().all() and grad[1].abs().max() > 0.1


# --- debiasing ----------------------------------------------------------------------------------------------------


def test_a_prior_near_one_leaves_the_floor_alone() -> None:
    """−log(pos / (pos + N e^{−1/t})), and no gradient of the negatives."""
    tau, u, v = 0.5, units(6, 5), normalize(units(6, 5) + 0.3 * units(6, 5, 1), dim=-1)
    pairs = pool(u, v, tau)
    score = pairs.score.clone().requires_grad_()
    value = debiased(replace(pairs, score=score), 1 - 1e-9)
    positive = (pairs.attract * pairs.score).sum(-1).exp()
    floor = torch.exp(torch.tensor(-1 / tau, dtype=torch.float64))
    torch.testing.assert_close(value, -torch.log(positive / (positive + 10 * floor)))
    (grad,) = torch.autograd.grad(value.sum(), score)
    assert (grad[pairs.repel > 0] == 0).all()
    assert (grad[pairs.attract > 0] < 0).all()
    assert (torch.autograd.grad(debiased(replace(pairs, score=score), 0.01).sum(), score)[0][pairs.repel > 0] > 0).any()


def test_scores_without_a_floor_are_refused() -> None:
    steps = rows(2, 3, 4, 5)
    given = {
        side: Embedding(part, part.amax(-1), Series.of(torch.zeros(3, 1, 5)))
        for side, part in zip(("left", "right"), steps, strict=True)
    }
    with pytest.raises(InputError, match=r"mining.debias: expected scores that are cosines"):
        Term(Hierarchical()).mined(Debias(), DATA)(given, Alone())


def test_two_miners_that_set_the_loss_are_refused() -> None:
    with pytest.raises(ValueError, match="a term with the loss info_nce"):
        Term(Instance()).mined(Debias(), DATA).mined(Debias(0.2), DATA)


def test_the_order_of_the_two_says_nothing() -> None:
    given = embedded(units(6, 5), units(6, 5, 1))
    hard, fair = HardNegatives(), Debias()
    one, other = (
        Term(Instance()).mined(first, DATA).mined(second, DATA)(given, Alone())[0]
        for first, second in ((hard, fair), (fair, hard))
    )
    assert torch.equal(one, other)
