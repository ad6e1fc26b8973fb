"""Collapse: golden values, and a meter that warns of a constant encoder and of nothing else."""

import math

import numpy as np
import pytest
import torch

from tsrep.evaluation.collapse import alignment, effective_rank, meter, uniformity, verdict


def circle(*degrees: float) -> torch.Tensor:
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], dim=1)


U, V = circle(0, 80, 170, 260), circle(15, 100, 150, 290)


def test_alignment_and_uniformity_have_their_golden_values() -> None:
    assert float(alignment(U, V)) == pytest.approx(0.144332, abs=1e-6)
    assert float(uniformity(U)) == pytest.approx(-4.278844, abs=1e-6)


def test_they_equal_slow_loops_and_do_not_see_the_length_of_a_row() -> None:
    pairs = [math.exp(-2 * float(((U[i] - U[j]) ** 2).sum())) for i in range(4) for j in range(i)]
    assert float(uniformity(U)) == pytest.approx(math.log(np.mean(pairs)))
    scale = torch.tensor([1.0, 2.0, 30.0, 0.1])[:, None]
    assert float(alignment(scale * U, V)) == pytest.approx(float(alignment(U, V)))
    assert float(uniformity(scale * U)) == pytest.approx(float(uniformity(U)))


def test_both_have_gradients_and_pass_a_numerical_check() -> None:
    left, right = U.clone().requires_grad_(), V.clone().requires_grad_()
    assert torch.autograd.gradcheck(alignment, (left, right))
    assert torch.autograd.gradcheck(uniformity, (left,))
    (gradient,) = torch.autograd.grad(uniformity(left), left)
    assert gradient.abs().max() > 1e-3


def test_effective_rank_counts_the_directions_in_use() -> None:
    assert float(effective_rank(torch.eye(7))) == pytest.approx(7)
    assert float(effective_rank(torch.ones(9, 5))) == pytest.approx(1, abs=1e-4)
    assert float(effective_rank(torch.zeros(9, 5))) == pytest.approx(1)
    uneven = torch.diag(torch.tensor([0.5, 0.25, 0.25]))
    assert float(effective_rank(uneven)) == pytest.approx(2**1.5)


def test_an_ideal_sphere_is_not_warned_of() -> None:
    generator = torch.Generator().manual_seed(0)
    sphere = torch.randn(256, 64, generator=generator)
    near = sphere + 0.1 * torch.randn(256, 64, generator=generator)
    seen = meter(sphere, near)
    assert seen.verdict() is None
    assert -4 <= seen.uniformity < -3
    assert seen.alignment < 0.05
    assert seen.rank > 50


@pytest.mark.parametrize("rounding", [0.0, 1e-7, 1e-5])
def test_a_constant_encoder_is_warned_of_even_if_it_rounds(rounding: float) -> None:
    generator = torch.Generator().manual_seed(0)
    constant = torch.randn(64, generator=generator).expand(128, 64)
    left, right = (constant + rounding * torch.randn(128, 64, generator=generator) for _ in range(2))
    seen = meter(left, right)
    assert not seen.uniformity < -0.5
    warning = seen.verdict()
    assert warning is not None
    assert "collapsing" in warning
    assert "try" in warning


def test_a_large_constant_beside_what_tells_series_apart_is_no_collapse() -> None:
    generator = torch.Generator().manual_seed(0)
    apart = torch.randn(128, 64, generator=generator)
    left, right = apart + 30, apart + 0.1 * torch.randn(128, 64, generator=generator) + 30
    assert float(uniformity(left)) > -0.5  # the plain number would cry wolf
    assert meter(left, right).verdict() is None


def test_one_direction_and_strangers_and_nan_are_each_said() -> None:
    generator = torch.Generator().manual_seed(0)
    line = torch.randn(128, 1, generator=generator) * torch.randn(1, 64, generator=generator)
    assert "few directions" in (meter(line, line).verdict() or "")
    left, right = torch.randn(2, 128, 64, generator=generator)
    assert "strangers" in (meter(left, right).verdict() or "")
    assert "not finite" in (verdict(math.nan, -3.0, 10.0, 64) or "")


def test_the_meter_does_not_change_or_need_gradients_and_takes_half_precision() -> None:
    left = torch.randn(32, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    seen = meter(left, left)
    assert seen.alignment == 0
    assert left.grad is None
    half = meter(left.bfloat16(), left.bfloat16())
    assert half.uniformity == pytest.approx(seen.uniformity, abs=0.02)
