"""Hierarchical pairs against golden values, a slow loop of the paper's algorithm, and what padding and crops may not change."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tsrep.losses import info_nce
from tsrep.method import Term
from tsrep.pairing.hierarchical import Hierarchical, common_steps
from tsrep.pairs import Alone
from tsrep.series import Embedding, Series, max_pool

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "losses.py")))


def plane(degrees: list[list[float]]) -> Tensor:
    """(batch, time) angles -> (batch, time, 2)"""
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


R1 = plane([[0, 40, 80, 120], [180, 200, 240, 300]])
R2 = plane([[10, 45, 70, 130], [170, 210, 235, 310]])


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def embedding(r: Tensor, alive: Tensor | None = None, start: int = 0, padding: float = 0.0) -> Embedding:
    """r: (batch, time, feature); alive: (batch, time), one run of True in every row."""
    values = torch.zeros(len(r), 1, r.shape[1], dtype=r.dtype)
    if alive is not None:
        values = values.masked_fill(~alive[:, None], float("nan"))
        r = torch.where(alive[..., None], r, padding)
    series = Series.of(values)
    series = Series(series.values, series.observed, series.extent, series.row, series.start + start)
    return Embedding(r.mT, max_pool(r.mT, series.extent), series)


def loss(pairing: Hierarchical, left: Embedding, right: Embedding) -> Tensor:
    return Term(pairing)({"left": left, "right": right}, Alone())[0]


def ragged(batch: int = 5, time: int = 11) -> Tensor:
    """Series that begin late, end early, last one step, last to the end."""
    alive = torch.zeros(batch, time, dtype=torch.bool)
    for row, (begin, end) in enumerate([(0, time), (3, time), (0, 6), (4, 5), (2, 9)][:batch]):
        alive[row, begin:end] = True
    return alive


def test_golden_values() -> None:
    """methods.md §10: instance and temporal loss of the finest scale, and the whole with its three scales."""
    views = {"left": embedding(R1), "right": embedding(R2)}
    parts = list(Hierarchical()(views, Alone()))
    assert len(parts) == 6
    for part, expected in zip(parts[:2], (0.249453, 1.485460), strict=True):
        assert info_nce(part).mean().item() == pytest.approx(expected, abs=1e-6)
    assert loss(Hierarchical(), *views.values()).item() == pytest.approx(0.594423, abs=1e-6)


@pytest.mark.parametrize("time", [1, 2, 3, 7, 8, 13])
def test_it_equals_the_slow_loop_in_value_and_gradient(time: int) -> None:
    r1, r2 = rows(3, time, 4).requires_grad_(), rows(3, time, 4, seed=1).requires_grad_()
    for alpha in (0.0, 0.3, 1.0):
        fast, loop = loss(Hierarchical(alpha), embedding(r1), embedding(r2)), slow.ts2vec_hierarchical(r1, r2, alpha)
        torch.testing.assert_close(fast, loop)
        if time > 1 or alpha > 0:
            for mine, theirs in zip(*(torch.autograd.grad(total, [r1, r2]) for total in (fast, loop)), strict=True):
                assert theirs.abs().max() > 1e-3
                torch.testing.assert_close(mine, theirs)


def test_ragged_series_equal_the_slow_loop_in_value_and_gradient() -> None:
    alive = ragged()
    r1, r2 = rows(5, 11, 4).requires_grad_(), rows(5, 11, 4, seed=1).requires_grad_()
    fast = loss(Hierarchical(), embedding(r1, alive), embedding(r2, alive))
    loop = slow.ts2vec_hierarchical(r1, r2, 0.5, alive)
    torch.testing.assert_close(fast, loop)
    for mine, theirs in zip(*(torch.autograd.grad(total, [r1, r2]) for total in (fast, loop)), strict=True):
        assert theirs[alive].abs().max() > 1e-3
        assert (theirs[~alive] == 0).all()
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "ragged"])
def test_the_weights_sum_to_one(alpha: float, whole: bool) -> None:
    alive = None if whole else ragged()
    views = {name: embedding(rows(5, 11, 4, seed=seed), alive) for seed, name in enumerate(("left", "right"))}
    parts = list(Hierarchical(alpha)(views, Alone()))
    total = sum(part.weight.expand(part.pool.shape[:-1]).sum() for part in parts)
    torch.testing.assert_close(total, torch.ones((), dtype=torch.float64))
    assert len(parts) == (8 if alpha == 0.5 else 4)
    if not whole:
        shares = {part.weight.expand(part.pool.shape[:-1]).sum().item() for part in parts}
        assert max(shares) - min(shares) < 1e-12  # scales count alike, however many anchors live


def test_what_lies_in_the_padding_changes_nothing() -> None:
    alive, r1, r2 = ragged(), rows(5, 11, 4), rows(5, 11, 4, seed=1)
    quiet, loud = (
        loss(Hierarchical(), embedding(r1, alive, padding=p), embedding(r2, alive, padding=-p)) for p in (0.0, 1e3)
    )
    assert torch.equal(quiet, loud)


def test_crops_are_compared_where_they_are_the_same_moments() -> None:
    """Steps 0…8 and 3…12 of one recording share six steps; what else the crops hold takes no part."""
    r1, r2 = rows(3, 9, 4), rows(3, 10, 4, seed=1)
    apart = loss(Hierarchical(), embedding(r1, start=20), embedding(r2, start=23))
    torch.testing.assert_close(apart, loss(Hierarchical(), embedding(r1[:, 3:]), embedding(r2[:, :6])))
    torch.testing.assert_close(apart, loss(Hierarchical(), embedding(r2, start=23), embedding(r1, start=20)))


def test_crops_of_one_distance_may_begin_anywhere() -> None:
    left, right = embedding(rows(2, 6, 4)), embedding(rows(2, 6, 4, seed=1), start=2)
    moved = torch.tensor([0, 7])
    for side in (left, right):
        side.series.start.add_(moved)
    mine, theirs, alive = common_steps(left, right)
    assert torch.equal(mine, left.steps[:, :, 2:])
    assert torch.equal(theirs, right.steps[:, :, :4])
    assert alive is None
    right.series.start[0] += 1
    with pytest.raises(ValueError, match="same distance"):
        common_steps(left, right)


def test_crops_that_do_not_meet_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        common_steps(embedding(rows(2, 4, 3)), embedding(rows(2, 4, 3), start=4))


def test_temporal_pairs_can_begin_at_a_coarser_scale() -> None:
    """The paper's temporal unit: below it only instances are told apart."""
    views = {"left": embedding(R1), "right": embedding(R2)}
    groups = [part.pool.shape[0] for part in Hierarchical(temporal_from=1)(views, Alone())]
    assert groups == [4, 2, 2, 1, 2]  # instances by time, moments by series from the second scale on


def test_a_temperature_divides_the_products() -> None:
    left, right = embedding(R1), embedding(R2)
    torch.testing.assert_close(
        loss(Hierarchical(temperature=0.25), left, right), loss(Hierarchical(), embedding(2 * R1), embedding(2 * R2))
    )


def test_permuting_the_batch_changes_nothing() -> None:
    order = torch.tensor([2, 0, 4, 1, 3])
    alive, r1, r2 = ragged(), rows(5, 11, 4), rows(5, 11, 4, seed=1)
    torch.testing.assert_close(
        loss(Hierarchical(), embedding(r1[order], alive[order]), embedding(r2[order], alive[order])),
        loss(Hierarchical(), embedding(r1, alive), embedding(r2, alive)),
    )


def test_rows_name_the_series_of_every_anchor() -> None:
    views = {"left": embedding(rows(3, 4, 2)), "right": embedding(rows(3, 4, 2, seed=1))}
    instances, moments, *_ = Hierarchical()(views, Alone())
    assert instances.row.expand(instances.pool.shape[:-1]).tolist() == [[0, 1, 2, 0, 1, 2]] * 4
    assert moments.row.expand(moments.pool.shape[:-1]).tolist() == [[0] * 8, [1] * 8, [2] * 8]


def test_half_precision_is_raised() -> None:
    half = loss(Hierarchical(), embedding(R1.bfloat16()), embedding(R2.bfloat16()))
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(0.594423, abs=0.02)


def test_one_series_alone_is_finite() -> None:
    r1, r2 = rows(1, 5, 3).requires_grad_(), rows(1, 5, 3, seed=1).requires_grad_()
    total = loss(Hierarchical(), embedding(r1), embedding(r2))
    assert total > 0
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(total, [r1, r2]))
