"""Objectives of many views: golden values, slow loops, what they are for two views, absent views, and what they are for."""

import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tsrep.losses import dhel, info_nce, soft
from tsrep.method import Term
from tsrep.pairing.each_pair import EachPair
from tsrep.pairing.gram import Gram, volume
from tsrep.pairing.mv_dhel import MVDHEL
from tsrep.pairing.mv_info_nce import MVInfoNCE
from tsrep.pairing.symile import Symile
from tsrep.pairs import Alone, Loss
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "multiview.py")))

KINDS: dict[str, tuple[Callable[..., Any], Loss]] = {
    "pairwise": (EachPair, info_nce),
    "mv_info_nce": (MVInfoNCE, info_nce),
    "mv_dhel": (MVDHEL, dhel),
    "symile": (Symile, info_nce),
    "gram": (Gram, soft),
}
LOOPS: Mapping[str, Callable[[list[Tensor], list[list[bool]]], Tensor]] = {
    "pairwise": lambda views, here: slow.pairwise(views, here, 0.2),
    "mv_info_nce": lambda views, here: slow.mv_info_nce(views, here, 0.2),
    "mv_dhel": lambda views, here: slow.mv_dhel(views, here, 0.2),
    "symile": lambda views, here: slow.symile(views, here, views[0].shape[1] ** (len(views) / 2 - 1) / 0.2),
    "gram": lambda views, here: slow.gram(views, here, 0.07, 0.1),
}


def plane(*degrees: float) -> Tensor:
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


U, V, W = plane(0, 80, 170, 260), plane(15, 100, 150, 290), plane(-10, 70, 185, 255)


def units(count: int, n: int, features: int, seed: int = 0) -> list[Tensor]:
    made = torch.randn(count, n, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return list(normalize(made, dim=-1))


def embedded(views: list[Tensor], here: Tensor | None = None) -> dict[str, Embedding]:
    """here: (batch, M) bool."""
    found = {}
    for m, pooled in enumerate(views):
        series = Series.of(torch.ones(len(pooled), 1, 1, dtype=pooled.dtype))
        if here is not None:
            series = replace(series, observed=here[:, m, None, None], values=series.values * here[:, m, None, None])
        found[str(m)] = Embedding(pooled[..., None], pooled, series)
    return found


def loss(name: str, views: list[Tensor], here: Tensor | None = None, **settings: Any) -> Tensor:
    pairing, objective = KINDS[name]
    names = tuple(str(m) for m in range(len(views)))
    return Term(pairing(names, **settings), objective)(embedded(views, here), Alone())[0]


GOLDEN: list[tuple[str, list[Tensor], dict[str, Any], float]] = [
    ("pairwise", [U, V], {"temperature": 0.5}, 0.349207),
    ("mv_info_nce", [U, V], {"temperature": 0.5}, 0.609369),
    ("mv_info_nce", [U, V, W], {"temperature": 0.5}, 0.481388),
    ("mv_dhel", [U, V], {"temperature": 0.5}, 0.026297),
    ("mv_dhel", [U, V, W], {"temperature": 0.5}, -0.169949),
    ("symile", [U, V, W], {"temperature": 0.5, "even": False}, 3.193014),
    ("symile", [U, V], {"temperature": 0.5}, 0.349207),
    ("gram", [U, V], {"temperature": 0.07, "smoothing": 0.0}, 0.543224),
]


@pytest.mark.parametrize(("name", "views", "settings", "value"), GOLDEN, ids=lambda x: x if isinstance(x, str) else "")
def test_golden_values(name: str, views: list[Tensor], settings: dict[str, Any], value: float) -> None:
    """methods.md §10; for two views Symile is symmetric CLIP."""
    assert loss(name, views, **settings).item() == pytest.approx(value, abs=2e-6)


HOLES = torch.tensor(
    [[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1], [0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
).bool()


@pytest.mark.parametrize("holes", [False, True], ids=["all recorded", "views missing"])
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("name", KINDS)
def test_it_equals_the_slow_loop_in_value_and_gradient(name: str, count: int, holes: bool) -> None:
    here = HOLES[:, :count] if holes else torch.ones(7, count, dtype=torch.bool)
    found = []
    for made in (lambda v: loss(name, v, here), lambda v: LOOPS[name](v, here.tolist())):
        views = [view.requires_grad_() for view in units(count, 7, 5)]
        value = made([normalize(view, dim=-1) for view in views])
        found.append([value.detach(), *torch.autograd.grad(value, views)])
    for ours, theirs in zip(*found, strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
    absent = torch.stack(found[0][1:], dim=1)[~here]
    assert (absent == 0).all(), "what was not recorded is not moved"


@pytest.mark.parametrize("name", KINDS)
def test_weights_are_shares_and_those_of_the_absent_are_nothing(name: str) -> None:
    pairing = KINDS[name][0](("0", "1", "2"))
    for here, rows in ((HOLES[:, :3], {3}), (torch.ones(7, 3).bool(), set())):
        parts = [pairs.dense() for pairs in pairing(embedded(units(3, 7, 5), here), Alone())]
        assert sum(p.weight.expand(p.score.shape[:-1]).sum().item() for p in parts) == pytest.approx(1.0)
        dead = {
            int(row)
            for row in range(7)
            if all((p.weight.expand(p.score.shape[:-1])[..., row] == 0).all() for p in parts)
        }
        assert rows <= dead
        if name in ("symile", "gram"):
            assert dead == {row for row in range(7) if not here[row].all()}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("present", [[[0, 0], [0, 0]], [[1, 0], [0, 1]], [[1, 1], [0, 1]]])
def test_batches_with_next_to_nothing_in_them_are_finite(name: str, present: list[list[int]]) -> None:
    views = [view.requires_grad_() for view in units(2, 2, 3)]
    value = loss(name, views, torch.tensor(present).bool())
    assert value.isfinite()
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(value, views))


@pytest.mark.parametrize("name", KINDS)
def test_equal_rows_and_embeddings_of_zeros_are_finite(name: str) -> None:
    for filling in (0.0, 1.0):
        views = [torch.full((4, 3), filling).requires_grad_() for _ in range(3)]
        value = loss(name, views)
        assert value.isfinite()
        assert all(grad.isfinite().all() for grad in torch.autograd.grad(value, views))


@pytest.mark.parametrize("name", KINDS)
def test_the_order_of_series_is_nothing_and_alignment_is_better_than_none(name: str) -> None:
    first, *_ = units(1, 16, 6)
    noise = units(3, 16, 6, seed=1)
    views = [normalize(first + 0.1 * n, dim=-1) for n in noise]
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    if name == "symile":  # whose product of three is large where the third is the product of the others
        views[2] = normalize(views[0].sign() * views[1].sign(), dim=-1)
    torch.testing.assert_close(loss(name, [v[order] for v in views]), loss(name, views))
    assert loss(name, [views[0], views[1][order], views[2]]) > loss(name, views) + 0.1


def test_the_negatives_of_mv_dhel_lie_within_a_view() -> None:
    """Permuting the series of another view changes the numerator alone."""
    views, order = units(2, 6, 5), torch.tensor([1, 2, 3, 4, 5, 0])
    pairing = MVDHEL(("0", "1"))
    (one,), (other,) = (list(pairing(embedded([views[0], v]), Alone())) for v in (views[1], views[1][order]))
    assert not torch.allclose(one.score[..., 0], other.score[..., 0])
    torch.testing.assert_close(one.score[0, :, 1:], other.score[0, :, 1:])


def test_volumes_of_two_views_forget_the_sign_and_equal_views_span_nothing() -> None:
    a, b = units(2, 1, 4)
    torch.testing.assert_close(volume(a, b[:, None]) ** 2, 1 - (a * b).sum(-1) ** 2, atol=2e-8, rtol=0)
    torch.testing.assert_close(volume(a, b[:, None]), volume(a, -b[:, None]))
    assert volume(a, a[:, None]).item() < 2e-4
    line = torch.eye(3, dtype=torch.float64)
    assert volume(line[0], line[1:]).item() == pytest.approx(1.0)


@dataclass(frozen=True)
class Half:
    """Gather of one of two workers, whose embeddings of the other are known."""

    joined: list[Tensor]
    begin: int
    total: int

    def __call__(self, mine: Tensor) -> Tensor:
        return next(t for t in self.joined if t.shape[1:] == mine.shape[1:] and t.dtype == mine.dtype)

    def place(self, n: int) -> tuple[int, int]:
        return self.begin, self.total


@pytest.mark.parametrize("name", KINDS)
def test_shares_of_two_workers_add_up_to_the_loss_of_one(name: str) -> None:
    views, (pairing, objective) = units(3, 7, 5), KINDS[name]
    here, term = HOLES[:, :3], Term(pairing(("0", "1", "2")), objective)
    whole = embedded(views, here)
    joined = [torch.stack(views, dim=1), here, torch.arange(7)]
    total = torch.zeros((), dtype=torch.float64)
    for part in (slice(0, 3), slice(3, 7)):
        mine = {k: Embedding(e.steps[part], e.pooled[part], e.series.rows(part)) for k, e in whole.items()}
        total += term(mine, Half(joined, part.start, 7))[0]
    torch.testing.assert_close(total, term(whole, Alone())[0])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_half_precision_is_raised(name: str, kind: torch.dtype) -> None:
    views = [view.to(kind) for view in units(3, 6, 5)]
    torch.testing.assert_close(loss(name, views), loss(name, [view.float() for view in views]))


def test_symile_finds_what_only_three_views_together_tell_and_pairs_do_not() -> None:
    """c = a ⊕ b: any two are independent. Linear encoders of signs; of a and b, c is to be found among that of other series."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(0, 2, (1024, 5), generator=generator) * 2.0 - 1.0 for _ in range(2))
    signs, shares = [a, b, a * b], {}
    for name in ("symile", "pairwise"):
        torch.manual_seed(0)
        encoders = nn.ModuleList(nn.Linear(5, 16) for _ in signs)
        optimizer = torch.optim.Adam(encoders.parameters(), 0.2)
        for step in range(45):
            rows = torch.arange(32 * step, 32 * step + 32) % 768
            optimizer.zero_grad()
            loss(name, [enc(x[rows]) for enc, x in zip(encoders, signs, strict=True)]).backward()
            optimizer.step()
        with torch.no_grad():
            u, v, w = (normalize(enc(x[768:]), dim=-1) for enc, x in zip(encoders, signs, strict=True))
        found = ((u * v) @ w.T if name == "symile" else u @ w.T + v @ w.T).argmax(1)
        truth = signs[2][768:]
        shares[name] = float((truth[found] == truth).all(1).float().mean())
    assert shares["pairwise"] < 0.12, "one of 32 by chance"
    assert shares["symile"] > 0.9
