"""`tpn`: padding and batches change nothing, short windows embed, the widths and taps are ColloSSL's."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tsrep.encoders.tpn import TPN, TPNEncoder
from tsrep.series import POOLS, Series

CHANNELS = 3
NAN = float("nan")


def encoder_of(pool: str = "max") -> TPNEncoder:
    torch.manual_seed(0)
    made = TPN(hidden=(6, 8), features=10, pool=pool).build(CHANNELS, 24)  # type: ignore[arg-type]
    assert isinstance(made, TPNEncoder)
    return made.double().eval()


def rows(n: int, time: int) -> Tensor:
    return torch.randn(n, CHANNELS, time, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("left", "right"), [(5, 0), (0, 7), (40, 40)])
@pytest.mark.parametrize("pool", POOLS)
@torch.no_grad()
def test_padding_changes_nothing(pool: str, left: int, right: int) -> None:
    encoder, x = encoder_of(pool), rows(3, 13)
    x[0, :, 4], x[1, 2, 3:8] = NAN, NAN
    bare = encoder(Series.of(x))
    padded = encoder(Series.of(functional.pad(x, (left, right), value=NAN)))
    close(padded.pooled, bare.pooled)
    close(padded.steps[:, :, left : left + 13], bare.steps)
    assert (padded.steps[:, :, :left] == 0).all() and (padded.steps[:, :, left + 13 :] == 0).all()
    assert bare.pooled.std(0).max() > 1e-4


@torch.no_grad()
def test_a_batch_of_unequal_series_equals_one_by_one_down_to_a_single_step() -> None:
    encoder, x = encoder_of(), rows(5, 40)
    spans = [(0, 40), (0, 1), (6, 9), (3, 21), (39, 40)]
    for row, (begin, end) in enumerate(spans):
        x[row, :, :begin], x[row, :, end:] = NAN, NAN
    together = encoder(Series.of(x))
    for row, (begin, end) in enumerate(spans):
        alone = encoder(Series.of(x[row : row + 1, :, begin:end]))
        close(together.pooled[row], alone.pooled[0])
        close(together.steps[row, :, begin:end], alone.steps[0])


def test_widths_and_taps_are_those_of_collossl() -> None:
    encoder = TPN().build(6, 150)
    assert [tuple(c.weight.shape) for c in encoder.convolutions] == [(32, 6, 24), (64, 32, 16), (96, 64, 8)]  # type: ignore[union-attr]
    assert encoder.features == 96
    found = encoder(Series.of(torch.randn(2, 6, 150, generator=torch.Generator().manual_seed(0))))
    assert found.steps.shape == (2, 96, 150) and found.pooled.shape == (2, 96)
    assert torch.equal(found.pooled, found.steps.amax(2))


@torch.no_grad()
def test_inside_it_is_three_valid_convolutions() -> None:
    """Far from the ends nothing of the padding is seen."""
    encoder, x = encoder_of(), rows(2, 90)
    steps = x
    for convolution in encoder.convolutions:
        steps = convolution(steps).relu()
    close(encoder(Series.of(x)).steps[:, :, 21:66], steps[:, :, 0:45])


def test_every_parameter_learns_and_dropout_acts_in_training_alone() -> None:
    encoder = encoder_of()
    series = Series.of(rows(4, 60))
    encoder(series).pooled.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in encoder.parameters())
    assert torch.equal(encoder(series).steps, encoder(series).steps)
    encoder.train()
    torch.manual_seed(0)
    assert not torch.equal(encoder(series).steps, encoder(series).steps)
