"""Segment pairs against a slow loop of the paper's formula, for whole and ragged series."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tsrep.losses import LOSSES
from tsrep.method import Term
from tsrep.pairing.segments import Segments, pool
from tsrep.pairs import Alone, Pairs
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "autotcl.py")))


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def embedding(steps: Tensor, alive: Tensor | None = None) -> Embedding:
    """steps: (batch, feature, time); alive: (batch, time), one run of True in every row."""
    values = torch.zeros(len(steps), 1, steps.shape[2], dtype=torch.float64)
    if alive is not None:
        values = values.masked_fill(~alive[:, None], float("nan"))
    return Embedding(steps, steps.mean(2), Series.of(values))


def ragged() -> Tensor:
    """Whole; late; early; one step; two steps; three; four."""
    alive = torch.zeros(7, 21, dtype=torch.bool)
    for row, (begin, end) in enumerate([(0, 21), (6, 21), (0, 13), (4, 5), (7, 9), (18, 21), (2, 6)]):
        alive[row, begin:end] = True
    return alive


def pairs(pairing: Segments, *args: Tensor) -> Pairs:
    (yielded,) = pairing({"original": embedding(*args)}, Alone())
    return yielded


def loss(pairing: Segments, *args: Tensor, name: str = "info_nce") -> Tensor:
    return Term(pairing, LOSSES[name])({"original": embedding(*args)}, Alone())[0]


@pytest.mark.parametrize("segments", [2, 3, 4, 7, 16])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "ragged"])
def test_it_equals_the_slow_loop_in_value_and_gradient(segments: int, whole: bool) -> None:
    alive = torch.ones(7, 21, dtype=torch.bool) if whole else ragged()
    steps = rows(7, 5, 21).requires_grad_()
    fast = loss(Segments(segments, 0.3), steps, alive)
    loop = slow.segments([s[:, here].T for s, here in zip(steps, alive, strict=True)], segments, 0.3)
    torch.testing.assert_close(fast, loop)
    mine, theirs = (torch.autograd.grad(total, steps)[0] for total in (fast, loop))
    torch.testing.assert_close(mine, theirs)
    assert (mine.mT[~alive] == 0).all()
    if segments > 2:
        assert theirs.abs().max() > 1e-3
    else:
        assert loop == 0, "two segments have nobody to be told from"


@pytest.mark.parametrize("name", LOSSES)
def test_what_lies_in_the_padding_changes_nothing(name: str) -> None:
    alive, steps = ragged(), rows(7, 5, 21)
    loud = torch.where(alive[:, None], steps, 1e3)
    assert torch.equal(loss(Segments(4), steps, alive, name=name), loss(Segments(4), loud, alive, name=name))


def test_a_segment_attracts_the_next_and_the_last_one_its_left_neighbour() -> None:
    made = pairs(Segments(5), rows(2, 3, 20))
    attract, repel = made.attract[0].bool(), made.repel[0].bool()
    assert attract.nonzero().tolist() == [[0, 1], [1, 2], [2, 3], [3, 4], [4, 3]]
    assert [row.nonzero().flatten().tolist() for row in repel] == [[2, 3, 4], [3, 4], [0, 4], [0, 1], [0, 1, 2]]
    assert torch.equal(made.attract[0], made.attract[1])


def test_every_step_lies_in_one_segment_and_segments_are_even() -> None:
    steps = torch.arange(21.0).expand(7, 1, -1)  # the maximum over a segment is its last step
    pooled, count = pool(steps, ragged(), 4)
    assert count.tolist() == [4, 4, 4, 1, 2, 3, 4]
    ends = [row[:n, 0].tolist() for row, n in zip(pooled, count, strict=True)]
    assert ends == [[5, 10, 15, 20], [9, 13, 17, 20], [3, 6, 9, 12], [4], [7, 8], [18, 19, 20], [2, 3, 4, 5]]
    assert (pooled[4, 2:] == 0).all()


def test_the_weights_sum_to_one_over_anchors_that_have_a_positive() -> None:
    made = pairs(Segments(4), rows(7, 3, 21), ragged())
    assert made.weight.sum().item() == pytest.approx(1)
    assert torch.equal(made.weight > 0, made.attract.sum(-1) > 0)
    assert (made.weight > 0).sum(1).tolist() == [4, 4, 4, 0, 2, 3, 4]
    assert made.row.expand(7, 4)[3].tolist() == [3] * 4


@pytest.mark.parametrize("name", LOSSES)
def test_series_without_any_pair_are_finite(name: str) -> None:
    steps = rows(3, 4, 1).requires_grad_()
    total = loss(Segments(4), steps, name=name)
    assert total == 0
    assert torch.autograd.grad(total, steps)[0].isfinite().all()


def test_only_the_first_series_of_the_joined_batch_take_part_where_that_is_asked_for() -> None:
    steps = rows(5, 3, 20)
    torch.testing.assert_close(loss(Segments(4, most=2), steps), loss(Segments(4), steps[:2]))
    assert (pairs(Segments(4, most=2), steps).weight[2:] == 0).all()


def test_scaling_an_embedding_changes_nothing_and_half_precision_is_raised() -> None:
    steps = rows(4, 3, 20)
    torch.testing.assert_close(loss(Segments(4), 7 * steps), loss(Segments(4), steps))
    half = loss(Segments(4), steps.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(Segments(4), steps.float()), rtol=0.02, atol=0.02)


def test_scores_have_no_floor_for_pooled_unit_steps_are_longer_than_one() -> None:
    """Two orthogonal steps pool to (1, 1); against a step that points the other way that is −√2, below any cosine."""
    steps = torch.tensor([[1.0, 0, -1, -1], [0, 1, -1, -1]], dtype=torch.float64)[None]
    made = pairs(Segments(2, 1.0), steps)
    torch.testing.assert_close(made.score[0, 0, 1], -torch.tensor(2.0, dtype=torch.float64).sqrt())
    assert made.floor is None
