"""Pairs across modalities: golden values, slow loops, streams that are absent, subjects, and neighbours mined in the other stream."""

import math
import runpy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tsrep.losses import LOSSES, debiased
from tsrep.memory import Step
from tsrep.method import Term
from tsrep.mining.hard_negatives import harder
from tsrep.pairing.across import Across
from tsrep.pairing.cross_modal import CrossModal
from tsrep.pairs import Alone, Pairs
from tsrep.series import Embedding, Series

REFERENCE = Path(__file__).parents[1] / "reference"
slow = SimpleNamespace(**runpy.run_path(str(REFERENCE / "cross_modal.py")))
hard = SimpleNamespace(**runpy.run_path(str(REFERENCE / "hard_negatives.py")))
SUBJECT = torch.tensor([3, 3, 5, 5, 3, 7])
UNKNOWN = torch.tensor([3, -1, 3, -1, 5, 5])
ALL = [(True, True)] * 6
SOME = [(True, True), (False, True), (True, True), (True, False), (True, True), (True, True)]


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plane(*degrees: float) -> Tensor:
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


U, V = plane(0, 80, 170, 260), plane(15, 100, 150, 290)


def embedding(pooled: Tensor, here: list[bool] | None = None, row: Tensor | None = None) -> Embedding:
    values = torch.zeros(len(pooled), 1, 2)
    if here is not None:
        values[~torch.tensor(here)] = math.nan
    series = Series.of(values, row)
    return Embedding(pooled[..., None], pooled, series)


def both(
    u: Tensor, v: Tensor, here: list[tuple[bool, bool]] | None = None, row: Tensor | None = None
) -> dict[str, Embedding]:
    sides = [None, None] if here is None else [[pair[s] for pair in here] for s in (0, 1)]
    return {"inertial": embedding(u, sides[0], row), "skeleton": embedding(v, sides[1], row)}


def loss(pairing: CrossModal, u: Tensor, v: Tensor, here: Any = None, **term: Any) -> Tensor:
    return Term(pairing, **term)(both(u, v, here), Alone())[0]


def gradients(value: Tensor, *of: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, of)


GOLDEN = {
    "symmetric InfoNCE": ({}, 0.349207),
    "hard negatives and a prior": ({"mining": (partial(harder, beta=1.0, detach=True),), "loss": debiased}, 0.386185),
    "β = 0 and no prior": ({"mining": (partial(harder, beta=0.0, detach=True),)}, 0.349207),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name: str) -> None:
    """methods.md §10."""
    term, expected = GOLDEN[name]
    assert loss(CrossModal(0.5), U, V, **term).item() == pytest.approx(expected, abs=1e-6)


def test_it_is_both_ways_of_pairs_across() -> None:
    u, v = rows(6, 4), rows(6, 4, seed=1)
    ways = [
        Term(Across(0.2, a, b))(both(u, v), Alone())[0] for a, b in (("inertial", "skeleton"), ("skeleton", "inertial"))
    ]
    torch.testing.assert_close(loss(CrossModal(0.2), u, v), sum(ways) / 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("detach", [True, False])
def test_hard_negatives_in_logs_equal_the_direct_formula(beta: float, detach: bool) -> None:
    u, v = rows(6, 4).requires_grad_(), rows(6, 4, seed=1).requires_grad_()
    unit = torch.nn.functional.normalize
    fast = loss(CrossModal(0.5), u, v, mining=(partial(harder, beta=beta, detach=detach),), loss=debiased)
    loop = hard.across(unit(u, dim=-1), unit(v, dim=-1), 0.5, beta, 0.1, detach)
    torch.testing.assert_close(fast, loop, rtol=0, atol=1e-10)
    for mine, theirs in zip(gradients(fast, u, v), gradients(loop, u, v), strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)


def test_a_prior_of_nearly_one_leaves_the_floor() -> None:
    found = loss(CrossModal(0.5), U, V, loss=partial(debiased, prior=1 - 1e-9))
    positive = torch.exp((U * V).sum(1) / 0.5)
    expected = -torch.log(positive / (positive + 3 * math.exp(-1 / 0.5))).mean()
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("subject", [SUBJECT, UNKNOWN], ids=["known", "unknown"])
@pytest.mark.parametrize("here", [ALL, SOME], ids=["all", "some"])
@pytest.mark.parametrize("neighbours", [0, 1, 2])
@pytest.mark.parametrize("gamma", [0.0, 0.7])
def test_it_equals_the_slow_loop_in_value_and_gradient(
    gamma: float, neighbours: int, here: list[tuple[bool, bool]], subject: Tensor
) -> None:
    u, v = rows(6, 4).requires_grad_(), rows(6, 4, seed=1).requires_grad_()
    fast = loss(CrossModal(0.3, gamma=gamma, subject=subject, neighbours=neighbours), u, v, here)
    loop = slow.inter_modal(u, v, 0.3, gamma, subject.tolist(), here, neighbours)
    torch.testing.assert_close(fast, loop)
    for mine, theirs in zip(gradients(fast, u, v), gradients(loop, u, v), strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(mine, theirs)


def test_settings_change_something() -> None:
    """Else the slow loops would prove little."""
    u, v = rows(6, 4), rows(6, 4, seed=1)
    values = {
        round(loss(CrossModal(0.3, gamma=g, subject=SUBJECT, neighbours=k), u, v, here).item(), 6)
        for g in (0.0, 0.7)
        for k in (0, 1, 2)
        for here in (ALL, SOME)
    }
    assert len(values) == 12


@pytest.mark.parametrize("neighbours", [0, 1])
def test_rows_that_have_neither_stream_change_nothing(neighbours: int) -> None:
    u, v = rows(6, 4).requires_grad_(), rows(6, 4, seed=1).requires_grad_()
    pairing = CrossModal(0.3, neighbours=neighbours)
    whole = loss(pairing, u, v, [(True, True)] * 4 + [(False, False)] * 2)
    bare = loss(pairing, u[:4], v[:4])
    torch.testing.assert_close(whole, bare)
    for mine, alone in zip(gradients(whole, u, v), gradients(bare, u, v), strict=True):
        torch.testing.assert_close(mine, alone)
        assert (mine[4:] == 0).all() and mine[:4].abs().max() > 1e-3


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_a_whole_row_is_finite_and_weighs_nothing(name: str) -> None:
    u, v = rows(4, 3).requires_grad_(), rows(4, 3, seed=1).requires_grad_()
    total = loss(CrossModal(neighbours=1), u, v, [(True, False), (False, True)] * 2, loss=LOSSES[name])
    assert total.item() == 0
    assert all(g.isfinite().all() for g in gradients(total, u, v))


def test_weights_sum_to_one_over_all_pairs_of_views() -> None:
    made = {**both(rows(6, 4), rows(6, 4, seed=1), SOME)}
    made |= {"a": made["inertial"], "b": embedding(rows(6, 4, seed=2))}
    yielded = list(CrossModal(pairs=(("inertial", "skeleton"), ("a", "b")))(made, Alone()))
    assert len(yielded) == 4
    assert sum(float(pairs.weight.sum()) for pairs in yielded) == pytest.approx(1)


def test_masses_of_the_same_subject_weigh_more_and_of_the_same_series_none() -> None:
    pairs = next(iter(CrossModal(gamma=0.5, subject=SUBJECT)(both(rows(6, 4), rows(6, 4, seed=1)), Alone())))
    alike = SUBJECT[:, None] == SUBJECT
    off = ~torch.eye(6, dtype=torch.bool)
    assert (pairs.repel[alike & off] == 1.5).all() and (alike & off).any()
    assert (pairs.repel[~alike] == 1).all()
    assert (pairs.repel.diagonal() == 0).all() and torch.equal(pairs.attract, torch.eye(6, dtype=torch.float64))


def test_subjects_are_those_of_the_rows_and_not_of_the_places() -> None:
    row = torch.tensor([5, 0, 2])
    pairs = next(iter(CrossModal(gamma=1.0, subject=SUBJECT)(both(rows(3, 4), rows(3, 4, seed=1), row=row), Alone())))
    assert torch.equal(pairs.repel, 1 - torch.eye(3, dtype=torch.float64)), "subjects 7, 3 and 5 are three"


def test_a_subject_weight_needs_subjects() -> None:
    with pytest.raises(ValueError, match="expected the subject of every row"):
        CrossModal(gamma=1.0)


def test_neighbours_begin_after_the_warm_up_and_not_in_validation() -> None:
    u, v = rows(6, 4), rows(6, 4, seed=1)
    pairing, plain = (
        CrossModal(0.3, neighbours=1, warmup=2, gamma=1.0, subject=SUBJECT),
        CrossModal(0.3, gamma=1.0, subject=SUBJECT),
    )
    mined = loss(CrossModal(0.3, neighbours=1, gamma=1.0, subject=SUBJECT), u, v)
    told = Step("contrast", {}, {}, {}, Alone())
    for _ in range(2):
        assert torch.equal(loss(pairing, u, v), loss(plain, u, v))
        pairing.after_step(told)
    assert torch.equal(loss(pairing, u, v), mined) and not torch.equal(mined, loss(plain, u, v))
    assert torch.equal(loss(pairing.eval(), u, v), loss(CrossModal(0.3), u, v))
    again = CrossModal(0.3, neighbours=1, warmup=2, gamma=1.0, subject=SUBJECT)
    again.load_state_dict(pairing.state_dict())
    assert torch.equal(loss(again, u, v), mined), "what a checkpoint holds is where the warm-up stands"


def test_neighbours_are_mined_without_gradient() -> None:
    """With a stream that only judges, no gradient comes of the judgement: its own attraction is the only one."""
    u, v = rows(6, 4), rows(6, 4, seed=1).requires_grad_()
    first, _ = CrossModal(0.3, neighbours=2)(both(u, v), Alone())
    assert not first.attract.requires_grad and not first.repel.requires_grad
    assert (first.attract[:, 6:].sum(1) == 2).all() and (first.attract[:, 6:].diagonal() == 0).all()
    assert (first.attract[:, 6:] * first.repel[:, :6] == 0).all()


@dataclass(frozen=True)
class Heard:
    """A gather of one process that keeps what it is given, and the gather of one worker of many that is given parts of the same."""

    begin: int = 0
    kept: list[Tensor] = field(default_factory=list)
    replay: list[Tensor] | None = None

    def __call__(self, mine: Tensor) -> Tensor:
        if self.replay is None:
            self.kept.append(mine)
            return mine
        whole = self.replay[len(self.kept)]
        self.kept.append(mine)
        assert torch.equal(whole[self.begin : self.begin + len(mine)], mine)
        return whole

    def place(self, n: int) -> tuple[int, int]:
        return self.begin, n if self.replay is None else len(self.replay[0])


@pytest.mark.parametrize("settings", [{}, {"gamma": 0.7, "neighbours": 2}])
def test_two_workers_yield_the_pairs_of_one(settings: dict[str, Any]) -> None:
    u, v = rows(6, 4), rows(6, 4, seed=1)
    pairing, heard = CrossModal(0.3, subject=SUBJECT, **settings), Heard()
    whole = list(pairing(both(u, v, SOME), heard))
    for begin, end in ((0, 4), (4, 6)):
        share = both(u[begin:end], v[begin:end], SOME[begin:end], torch.arange(begin, end))
        for mine, everyone in zip(pairing(share, Heard(begin, [], heard.kept)), whole, strict=True):
            for name in ("score", "attract", "repel", "weight", "row"):
                torch.testing.assert_close(getattr(mine, name), getattr(everyone, name)[begin:end])
            assert mine.who is not None and everyone.who is not None and torch.equal(mine.who, everyone.who)


def test_scores_are_products_of_the_points_and_have_the_floor() -> None:
    pairs: Pairs = next(iter(CrossModal(0.25, neighbours=1)(both(rows(6, 4), rows(6, 4, seed=1)), Alone())))
    assert pairs.points is not None and pairs.floor == -4
    torch.testing.assert_close(pairs.points[0] @ pairs.points[1].mT, pairs.score)
    assert pairs.who is not None and pairs.who.tolist() == [*range(6)] * 2
