"""What a learned view is trained by: relevance, sparsity and consistency, against slow loops of the formulas."""

import runpy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tsrep.pairing.consistency import Consistency, triplets
from tsrep.pairing.relevance import Kernel, Means
from tsrep.pairing.sparsity import Sparsity
from tsrep.pairs import Alone
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "autotcl.py")))

KINDS = {
    "mean": (Means(), lambda x, v: slow.first_moment(*(z / z.norm(dim=1, keepdim=True) for z in (x, v)))),
    "raw": (Means(unit=False), slow.first_moment),
    "kernel": (Kernel(), slow.kernel),
}


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def embedding(pooled: Tensor) -> Embedding:
    return Embedding(pooled[..., None], pooled, Series.of(torch.zeros(len(pooled), 1, 1, dtype=pooled.dtype)))


def apart(kind: str, x: Tensor, v: Tensor) -> Tensor:
    return KINDS[kind][0]({}, {"original": embedding(x), "informative": embedding(v)}, Alone())


def over(values: Tensor, alive: Tensor | None = None) -> Series:
    """A gate or a mask: (batch, channel, time); alive: (batch, time)."""
    if alive is not None:
        values = values.masked_fill(~alive[:, None], float("nan"))
    return Series.of(values)


def ragged() -> Tensor:
    alive = torch.zeros(7, 13, dtype=torch.bool)
    for row, (begin, end) in enumerate([(0, 13), (4, 13), (0, 7), (4, 5), (7, 9), (10, 13), (2, 6)]):
        alive[row, begin:end] = True
    return alive


# --- relevance ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_relevance_equals_the_slow_loop_in_value_and_gradient(kind: str) -> None:
    x, v = rows(6, 4).requires_grad_(), (rows(6, 4, seed=1) + 0.5).requires_grad_()
    fast, loop = apart(kind, x, v), KINDS[kind][1](x, v)
    torch.testing.assert_close(fast, loop)
    assert loop > 0.1
    for mine, theirs in zip(*(torch.autograd.grad(total, [x, v]) for total in (fast, loop)), strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_views_that_are_the_same_are_no_distance_apart(kind: str) -> None:
    x = rows(6, 4).requires_grad_()
    total = apart(kind, rows(6, 4), x)
    assert total == 0
    assert torch.autograd.grad(total, x)[0].abs().max() < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_relevance_compares_distributions_and_not_series_by_series(kind: str) -> None:
    x, v = rows(6, 4), rows(6, 4, seed=1)
    torch.testing.assert_close(apart(kind, x, v), apart(kind, x, v[[3, 1, 5, 0, 2, 4]]))


def test_the_kernels_see_a_change_of_spread_that_the_means_do_not() -> None:
    x = torch.cat([rows(6, 4), -rows(6, 4)])
    assert apart("raw", x, 3 * x) < 1e-12
    assert apart("kernel", x, 3 * x) > 0.1
    torch.testing.assert_close(apart("kernel", 9 * x, 27 * x), apart("kernel", x, 3 * x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 3])
def test_embeddings_that_are_all_alike_are_finite(kind: str, n: int) -> None:
    x = torch.ones(n, 4, dtype=torch.float64, requires_grad=True)
    total = apart(kind, torch.ones(n, 4, dtype=torch.float64), x)
    assert total == 0
    assert torch.autograd.grad(total, x)[0].isfinite().all()


def test_the_distance_of_the_means_has_the_scale_of_no_encoder() -> None:
    x, v = rows(6, 4), rows(6, 4, seed=1)
    torch.testing.assert_close(apart("mean", 9 * x, 5 * v), apart("mean", x, v))
    assert 0.1 < apart("mean", x, v) < 4
    assert apart("raw", 9 * x, 9 * v) > 50 * apart("raw", x, v)


# --- sparsity -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    phase: str


def cost(gate: Tensor) -> Tensor:
    return gate.sigmoid().mean(1)


def spent(objective: Sparsity, gate: Series) -> Tensor:
    return objective({"gate": gate}, {}, Alone())


@pytest.mark.parametrize("channels", [1, 3])
def test_sparsity_is_the_mean_over_the_steps_of_each_series(channels: int) -> None:
    odds, alive = rows(7, channels, 13).requires_grad_(), ragged()
    fast = spent(Sparsity(0.3, 0, cost), over(odds, alive))
    each = [o[:, here].sigmoid().mean() for o, here in zip(odds, alive, strict=True)]
    torch.testing.assert_close(fast, 0.3 * torch.stack(each).mean())
    (gradient,) = torch.autograd.grad(fast, odds)
    assert (gradient.mT[alive] > 0).all()
    assert (gradient.mT[~alive] == 0).all()


def test_the_weight_of_sparsity_rises_with_the_batches_of_its_phase_and_is_saved() -> None:
    objective, gate = Sparsity(2.0, 4, cost), over(rows(3, 1, 9))
    whole = spent(Sparsity(2.0, 0, cost), gate)
    rise = []
    for _ in range(6):
        rise.append((spent(objective, gate) / whole).item())
        objective.after_step(Turn("augment"))
        objective.after_step(Turn("contrast"))
    assert rise == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    again = Sparsity(2.0, 4, cost)
    again.load_state_dict(objective.state_dict())
    assert torch.equal(spent(again, gate), spent(objective, gate))


def test_what_is_within_the_budget_costs_nothing() -> None:
    odds = rows(7, 2, 13)
    everything = cost(odds).mean().item()
    assert spent(Sparsity(1.0, 0, cost, budget=everything + 0.1), over(odds)) == 0
    assert spent(Sparsity(1.0, 0, cost, budget=everything - 0.1), over(odds)).item() == pytest.approx(0.1)


# --- consistency --------------------------------------------------------------------------------------------------


def clipped(*shape: int) -> Tensor:
    """Masks with many exact zeros and ones, where slopes meet."""
    return (1.6 * uniform(*shape) - 0.3).clamp(0, 1)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "ragged"])
@pytest.mark.parametrize("made", [uniform, clipped])
def test_consistency_equals_the_slow_loop_in_value_and_gradient(made: "object", whole: bool) -> None:
    alive = torch.ones(7, 13, dtype=torch.bool) if whole else ragged()
    mask = made(7, 13).requires_grad_()  # type: ignore[operator]
    fast = triplets(mask, alive).mean()
    loop = slow.triplets([h[here] for h, here in zip(mask, alive, strict=True)])
    torch.testing.assert_close(fast, loop)
    mine, theirs = (torch.autograd.grad(total, mask)[0] for total in (fast, loop))
    assert theirs[alive].abs().max() > 1e-3
    torch.testing.assert_close(mine, theirs)


def test_a_constant_mask_is_zero_and_a_block_is_better_than_stripes() -> None:
    block = torch.cat([torch.ones(1, 1, 10), torch.zeros(1, 1, 10)], dim=2)
    stripes = (torch.arange(20) % 2).float().expand(1, 1, 20)
    constant, blocked, striped = (
        Consistency(1.0)({"mask": over(mask)}, {}, Alone()).item()
        for mask in (torch.full((1, 1, 20), 0.7), block, stripes)
    )
    assert constant == 0
    assert blocked < -0.3 < 0.3 < striped


def test_consistency_is_a_mean_over_series_and_channels() -> None:
    mask, alive = uniform(7, 2, 13), ragged()
    whole = Consistency(0.5)({"mask": over(mask, alive)}, {}, Alone())
    channels = [triplets(mask[:, c], alive).mean() for c in range(2)]
    torch.testing.assert_close(whole, 0.5 * torch.stack(channels).mean())


def test_what_lies_in_the_padding_of_a_mask_changes_nothing() -> None:
    alive = ragged()
    quiet, loud = (triplets(torch.where(alive, uniform(7, 13), fill), alive) for fill in (0.0, 0.9))
    torch.testing.assert_close(quiet, loud)
