"""Instance pairs are those of NT-Xent, whatever the length of an embedding."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep.losses import LOSSES, info_nce
from tsrep.method import Term
from tsrep.pairing.instance import Instance
from tsrep.pairs import Alone
from tsrep.series import Embedding, Series


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def embedding(pooled: Tensor) -> Embedding:
    return Embedding(pooled[..., None], pooled, Series.of(torch.zeros(len(pooled), 1, 1, dtype=pooled.dtype)))


def loss(pairing: Instance, left: Tensor, right: Tensor, name: str = "info_nce") -> Tensor:
    return Term(pairing, LOSSES[name])({"left": embedding(left), "right": embedding(right)}, Alone())[0]


def test_golden_value_of_nt_xent() -> None:
    u, v = (torch.tensor(a, dtype=torch.float64).deg2rad() for a in ([0.0, 80, 170, 260], [15.0, 100, 150, 290]))
    left, right = (torch.stack([a.cos(), a.sin()], dim=1) for a in (u, v))
    assert loss(Instance(0.5), left, 3 * right).item() == pytest.approx(0.607842, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_scaling_a_row_changes_nothing(name: str) -> None:
    left, right = rows(5, 4), rows(5, 4, seed=1)
    stretch = torch.tensor([1.0, 0.01, 300.0, 7.0, 2.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(
        loss(Instance(), left * stretch, right / stretch, name), loss(Instance(), left, right, name)
    )


def test_scores_are_cosines_over_the_temperature() -> None:
    left, right = rows(5, 4), rows(5, 4, seed=1)
    (pairs,) = Instance(0.3)({"left": embedding(left), "right": embedding(right)}, Alone())
    z = normalize(torch.cat([left, right]), dim=1)
    torch.testing.assert_close(pairs.dense().score, z @ z.T / 0.3)


def test_the_weights_sum_to_one_and_rows_name_the_series() -> None:
    (pairs,) = Instance()({"left": embedding(rows(5, 4)), "right": embedding(rows(5, 4, seed=1))}, Alone())
    assert pairs.weight.expand(10).sum().item() == pytest.approx(1)
    assert pairs.row.tolist() == [*range(5), *range(5)]


def test_an_embedding_of_zeros_is_finite() -> None:
    left = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    total = loss(Instance(), left, rows(3, 4))
    assert total.isfinite()
    assert torch.autograd.grad(total, left)[0].isfinite().all()


def test_half_precision_is_raised() -> None:
    left, right = rows(5, 4).bfloat16(), rows(5, 4, seed=1).bfloat16()
    (pairs,) = Instance()({"left": embedding(left), "right": embedding(right)}, Alone())
    assert info_nce(pairs).dtype == torch.float32
    torch.testing.assert_close(loss(Instance(), left, right), loss(Instance(), left.float(), right.float()))


def test_a_series_of_which_nothing_was_recorded_takes_no_part() -> None:
    values = torch.randn(6, 2, 4, generator=torch.Generator().manual_seed(2))
    values[[1, 4]] = torch.nan
    series, rest = Series.of(values), torch.tensor([0, 2, 3, 5])
    z = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(3)).requires_grad_()

    def views(kept: torch.Tensor) -> dict[str, Embedding]:
        return {
            n: Embedding(p[kept, :, None], p[kept], series.rows(kept))
            for n, p in zip(("left", "right"), z, strict=True)
        }

    for loss in (info_nce, LOSSES["debiased"]):
        totals = [Term(Instance(0.3), loss)(views(kept), Alone())[0] for kept in (torch.arange(6), rest)]
        torch.testing.assert_close(*totals)
        mine, alone = (torch.autograd.grad(total, z)[0] for total in totals)
        torch.testing.assert_close(mine, alone)
        assert (mine[:, [1, 4]] == 0).all() and mine.abs().max() > 1e-3
