"""Pairs across two views are those of InfoNCE one way."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tsrep.losses import LOSSES
from tsrep.method import Term
from tsrep.pairing.across import Across
from tsrep.pairs import Alone
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "autotcl.py")))


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def embedding(pooled: Tensor) -> Embedding:
    return Embedding(pooled[..., None], pooled, Series.of(torch.zeros(len(pooled), 1, 1, dtype=pooled.dtype)))


def loss(pairing: Across, x: Tensor, v: Tensor, name: str = "info_nce") -> Tensor:
    return Term(pairing, LOSSES[name])({"original": embedding(x), "view": embedding(v)}, Alone())[0]


def test_golden_value_of_one_way_info_nce() -> None:
    """methods.md §10."""
    u, v = (torch.tensor(a, dtype=torch.float64).deg2rad() for a in ([0.0, 80, 170, 260], [15.0, 100, 150, 290]))
    left, right = (torch.stack([a.cos(), a.sin()], dim=1) for a in (u, v))
    assert loss(Across(0.5), left, 3 * right).item() == pytest.approx(0.342421, abs=1e-6)
    both = (loss(Across(0.5), left, right) + loss(Across(0.5), right, left)) / 2
    assert both.item() == pytest.approx(0.349207, abs=1e-6)


@pytest.mark.parametrize("tau", [0.2, 1.0])
def test_it_equals_the_slow_loop_in_value_and_gradient(tau: float) -> None:
    x, v = rows(6, 4).requires_grad_(), rows(6, 4, seed=1).requires_grad_()
    fast, loop = loss(Across(tau), x, v), slow.across(x, v, tau)
    torch.testing.assert_close(fast, loop)
    for mine, theirs in zip(*(torch.autograd.grad(total, [x, v]) for total in (fast, loop)), strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(mine, theirs)


def test_the_weights_sum_to_one_and_rows_name_the_series() -> None:
    (pairs,) = Across()({"original": embedding(rows(5, 4)), "view": embedding(rows(5, 4, seed=1))}, Alone())
    assert pairs.weight.sum().item() == pytest.approx(1)
    assert pairs.row.tolist() == [*range(5)]
    assert torch.equal(pairs.attract, torch.eye(5, dtype=torch.float64))
    assert torch.equal(pairs.attract + pairs.repel, torch.ones(5, 5, dtype=torch.float64))


@pytest.mark.parametrize("name", LOSSES)
def test_an_embedding_of_zeros_is_finite(name: str) -> None:
    x = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    total = loss(Across(), x, rows(3, 4), name)
    assert total.isfinite()
    assert torch.autograd.grad(total, x)[0].isfinite().all()


def test_half_precision_is_raised() -> None:
    x, v = rows(5, 4).bfloat16(), rows(5, 4, seed=1).bfloat16()
    torch.testing.assert_close(loss(Across(), x, v), loss(Across(), x.float(), v.float()))
