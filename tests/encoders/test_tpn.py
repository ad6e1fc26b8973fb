"""`tpn`: padding and batches change nothing, short windows embed, the widths and taps are ColloSSL's."""

import pytest
import torch

from tests.encoders.laws import CHANNELS, a_batch_is_one_by_one, close, padding_changes_nothing, rows
from tsrep.encoders.tpn import TPN, TPNEncoder
from tsrep.series import POOLS, Series


def encoder_of(pool: str = "max") -> TPNEncoder:
    torch.manual_seed(0)
    made = TPN(hidden=(6, 8), features=10, pool=pool).build(CHANNELS, 24)  # type: ignore[arg-type]
    assert isinstance(made, TPNEncoder)
    return made.double().eval()


@pytest.mark.parametrize(("left", "right"), [(5, 0), (0, 7), (40, 40)])
@pytest.mark.parametrize("pool", POOLS)
def test_padding_changes_nothing(pool: str, left: int, right: int) -> None:
    padding_changes_nothing(encoder_of(pool), left, right)


def test_a_batch_of_unequal_series_equals_one_by_one_down_to_a_single_step() -> None:
    a_batch_is_one_by_one(encoder_of())


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
