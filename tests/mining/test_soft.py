"""Soft assignments against the paper's formulas in slow loops: masses, distances, scales."""

import gc
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tsrep.errors import InputError
from tsrep.even import filled, stretched
from tsrep.losses import info_nce, soft
from tsrep.method import Term
from tsrep.mining import soft as room
from tsrep.mining.soft import Assign, Soft, distances
from tsrep.pairing.hierarchical import Hierarchical
from tsrep.pairing.segments import Segments
from tsrep.pairs import Alone, Pairs
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "soft.py")))


def circle(*degrees: list[float]) -> Tensor:
    """(batch, time, 2) of angles."""
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


R1 = circle([0, 40, 80, 120], [180, 200, 240, 300])
R2 = circle([10, 45, 70, 130], [170, 210, 235, 310])
APART = torch.tensor([[0.0, 0.3], [0.3, 0.0]], dtype=torch.float64)


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def term(assign: Assign, alpha: float = 0.5) -> Term:
    return Term(Hierarchical(alpha), soft, (assign,))


def embedded(r1: Tensor, r2: Tensor, row: Tensor | None = None) -> dict[str, Embedding]:
    series = Series.of(torch.zeros(r1.shape[0], 1, r1.shape[1]), row=row)
    return {side: Embedding(r.mT, r.amax(1), series) for side, r in (("left", r1), ("right", r2))}


def assign(apart: Tensor | None, training: bool = True, **settings: Any) -> Assign:
    return Assign(Soft(**settings), apart).train(training)


def instances(r1: Tensor, r2: Tensor) -> Pairs:
    """The instance pairs of the finest scale, all weight on them."""
    pairs = next(iter(Hierarchical(1.0)(embedded(r1, r2), Alone()))).dense()
    return replace(pairs, weight=torch.full((1,), 1 / pairs.score[..., 0].numel(), dtype=torch.float64))


def apart_of(n: int, seed: int = 0) -> Tensor:
    made = rows(n, n, seed=seed).abs().clamp(max=1.0)
    return (made + made.T).fill_diagonal_(0.0) / 2


def test_the_golden_value() -> None:
    pairs = assign(APART, instance=5.0)(instances(R1, R2))
    assert (soft(pairs) * pairs.weight).sum().item() == pytest.approx(1.053633, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_all_scales_equal_the_slow_loop_in_value_and_gradient(alpha: float) -> None:
    """Also that moments in steps of the series are the paper's τ_T doubled from scale to scale."""
    apart, found = apart_of(3), []
    mine = term(assign(apart, instance=3.0, temporal=0.4, alpha=alpha))
    for made in (
        lambda u, v: mine(embedded(u, v), Alone())[0],
        lambda u, v: slow.hierarchical(u, v, apart, 3.0, 0.4, alpha),
    ):
        u, v = rows(3, 5, 4, seed=1).requires_grad_(), rows(3, 5, 4, seed=2).requires_grad_()
        value = made(u, v)
        found.append([value.detach(), *torch.autograd.grad(value, [u, v])])
    assert found[1][1].abs().max() > 1e-2
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_sharp_assignments_are_the_hard_loss() -> None:
    """τ_I and τ_T to infinity; of the nearest two series D is zero and stays so, hence 1 here."""
    apart = torch.full((3, 3), 0.5, dtype=torch.float64)
    given = embedded(rows(3, 5, 4, seed=1), rows(3, 5, 4, seed=2))
    plain = Term(Hierarchical())(given, Alone())[0]
    sharp = term(assign(apart, instance=1e3, temporal=1e3))(given, Alone())[0]
    torch.testing.assert_close(sharp, plain, rtol=0, atol=1e-9)
    assert term(assign(apart))(given, Alone())[0] > plain + 0.1


def test_shares_move_from_repulsion_to_attraction_and_no_mass_is_made() -> None:
    pairs = instances(rows(4, 3, 5), rows(4, 3, 5, seed=1))
    moved = assign(apart_of(4), instance=3.0)(pairs)
    torch.testing.assert_close(moved.attract + moved.repel, (pairs.attract + pairs.repel).expand_as(moved.attract))
    whole = pairs.attract == 1
    assert (moved.attract.expand_as(pairs.score)[:, whole] == 1).all()
    soft_ones = moved.attract.expand_as(pairs.score)[:, ~whole]
    assert soft_ones.min() == 0 and 0.01 < soft_ones.max() < 0.5


def test_rows_name_the_series_wherever_they_stand_in_the_batch() -> None:
    apart = apart_of(9)
    row = torch.tensor([7, 2, 5])
    u, v = rows(3, 5, 4, seed=1), rows(3, 5, 4, seed=2)
    named = term(assign(apart))(embedded(u, v, row), Alone())[0]
    placed = term(assign(apart[row][:, row]))(embedded(u, v), Alone())[0]
    torch.testing.assert_close(named, placed)
    assert (named - term(assign(apart))(embedded(u, v), Alone())[0]).abs() > 1e-4


def test_either_kind_of_pairs_can_stay_hard() -> None:
    given = embedded(rows(3, 5, 4, seed=1), rows(3, 5, 4, seed=2))
    for alpha, off in ((1.0, "instance"), (0.0, "temporal")):
        plain = Term(Hierarchical(alpha))(given, Alone())[0]
        torch.testing.assert_close(term(assign(apart_of(3), **{off: None}), alpha)(given, Alone())[0], plain)
        assert term(assign(apart_of(3)), alpha)(given, Alone())[0] > plain + 0.05
    made = Soft(instance=None).build(Series.of(torch.zeros(4, 1, 3))).mine
    assert isinstance(made, Assign) and made.apart is None


def test_in_evaluation_all_pairs_are_hard() -> None:
    """The rows of validation series are places in another set, here beyond the end of this one."""
    given = embedded(rows(3, 5, 4, seed=1), rows(3, 5, 4, seed=2), torch.tensor([11, 12, 13]))
    host = Term(Hierarchical())(given, Alone())[0]
    torch.testing.assert_close(term(assign(apart_of(3), training=False))(given, Alone())[0], host, rtol=0, atol=1e-12)


def test_segments_of_one_series_are_soft_by_their_distance_in_steps() -> None:
    steps = rows(2, 4, 12)
    (pairs,) = Segments(4)({"original": Embedding(steps, steps.amax(-1), Series.of(torch.zeros(2, 1, 12)))}, Alone())
    moved = assign(None, instance=None, temporal=0.2)(pairs)
    torch.testing.assert_close(moved.attract[0, 0, 2], 2 * torch.sigmoid(torch.tensor(-0.2 * 6, dtype=torch.float64)))
    assert soft(moved).isfinite().all()


def test_pairs_that_do_not_say_whose_they_are_are_refused() -> None:
    with pytest.raises(InputError, match=r"mining.soft: expected pairs that say"):
        assign(APART)(replace(instances(R1, R2), who=None))


def test_candidates_of_no_series_repel_as_before() -> None:
    pairs = instances(rows(4, 3, 5), rows(4, 3, 5, seed=1))
    assert pairs.who is not None
    nobody = replace(pairs, who=torch.where(torch.arange(8) == 2, -1, pairs.who))
    moved = assign(apart_of(4))(nobody)
    assert torch.equal(moved.repel[..., 2], pairs.repel[..., 2])
    assert (moved.repel[0, [1, 3]] < 1).all()


def test_the_distances_are_no_part_of_what_is_saved() -> None:
    assert not assign(APART).state_dict()


# --- distances ----------------------------------------------------------------------------------------------------


def ragged() -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((7, 2, 11))
    x[1, :, 7:], x[2, :, :4], x[3, 1, 4:9], x[4, :, 5], x[5, :, 6:], x[6, :, :6] = [np.nan] * 6
    return x


def series_of(x: np.ndarray) -> Series:
    return Series.of(torch.from_numpy(x))


def test_euclidean_distances_equal_the_slow_loop_and_see_no_padding() -> None:
    x = ragged()
    found = distances(series_of(x), "euclidean")
    expected = slow.euclidean(x)
    assert np.isnan(expected[5, 6]), "two that have no step in common"
    np.testing.assert_allclose(found, slow.scaled(expected), atol=1e-6)
    assert found.min() == 0 and found[5, 6] == found.max() == 1
    padded = np.concatenate([x, np.full((7, 2, 4), np.nan)], axis=2)
    np.testing.assert_allclose(distances(series_of(padded), "euclidean"), found, atol=1e-6)


def test_distances_in_chunks_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = distances(series_of(ragged()), "euclidean")
    monkeypatch.setattr(room, "CHUNK", 3)
    torch.testing.assert_close(distances(series_of(ragged()), "euclidean"), whole)


def test_warped_distances_equal_the_slow_loop() -> None:
    """Of series stretched from their first to their last step to the length of the longest, which padding does not change."""
    x = ragged()
    made = stretched(filled(x), 11)
    expected = slow.scaled(np.array([[slow.dtw(a, b) for b in made] for a in made]))
    np.testing.assert_allclose(distances(series_of(x), "dtw"), expected, atol=1e-6)
    padded = np.concatenate([np.full((7, 2, 3), np.nan), x, np.full((7, 2, 4), np.nan)], axis=2)
    np.testing.assert_allclose(distances(series_of(padded), "dtw"), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["euclidean", "dtw"])
def test_a_series_that_was_not_observed_is_far_from_all_others(kind: str) -> None:
    x = np.concatenate([ragged(), np.full((1, 2, 11), np.nan)])
    found = distances(series_of(x), kind)
    assert torch.equal(found[7], torch.tensor([1.0] * 7 + [0.0]))
    torch.testing.assert_close(found[:7, :7], distances(series_of(ragged()), kind))


def test_series_that_are_all_alike_or_two_are_far_from_each_other() -> None:
    for n in (1, 2, 3):
        assert torch.equal(distances(series_of(np.ones((n, 1, 4))), "euclidean"), 1 - torch.eye(n))


def test_too_many_series_are_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(room.MOST, "dtw", 5)
    with pytest.raises(
        InputError, match=r"at most 5 series .* by dtw, got 6; take distance=euclidean, or instance=null"
    ):
        Soft(distance="dtw").build(series_of(np.zeros((6, 1, 3))))


def test_distances_are_computed_once_for_all_terms() -> None:
    data = series_of(ragged())
    found = distances(data, "euclidean")
    assert distances(data, "euclidean") is found
    assert distances(series_of(ragged()), "euclidean") is not found
    assert Soft().build(data).mine.apart is found


def test_distances_are_forgotten_with_their_data() -> None:
    data = series_of(ragged())
    distances(data, "euclidean"), distances(data, "dtw")
    held = len(room._known)
    del data
    gc.collect()
    assert len(room._known) < held


def test_soft_pairs_change_the_objective_and_not_the_kind_of_it() -> None:
    pairs = instances(R1, R2)
    torch.testing.assert_close(soft(pairs), info_nce(pairs), rtol=0, atol=1e-12)
