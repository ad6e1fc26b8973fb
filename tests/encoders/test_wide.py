"""`wide`: padding and batches change nothing; what the bank is made of, and that it learns beside the deep part."""

import pytest
import torch

from tests.encoders.laws import CHANNELS, NAN, a_batch_is_one_by_one, close, padding_changes_nothing, rows
from tsrep.encoders.wide import Wide, WideEncoder
from tsrep.series import POOLS, Series


def encoder_of(pool: str = "max", length: int = 40) -> WideEncoder:
    torch.manual_seed(0)
    made = Wide(hidden=6, depth=3, features=5, kernels=12, competing=32, pool=pool).build(CHANNELS, length)  # type: ignore[arg-type]
    assert isinstance(made, WideEncoder)
    return made.double().eval()


@pytest.mark.parametrize(("left", "right"), [(5, 0), (0, 7), (40, 40)])
@pytest.mark.parametrize("pool", POOLS)
def test_padding_changes_nothing(pool: str, left: int, right: int) -> None:
    padding_changes_nothing(encoder_of(pool), left, right)


def test_a_batch_of_unequal_series_equals_one_by_one_down_to_a_single_step() -> None:
    a_batch_is_one_by_one(encoder_of())


@torch.no_grad()
def test_every_dilation_that_fits_has_its_share_and_no_kernel_knows_the_level() -> None:
    encoder = encoder_of(length=40)
    assert [len(w) for w in encoder.level.weights] == [2, 2, 2], "dilations 1, 2 and 4 span 9, 17 and 33 of 40 steps"
    assert (
        [len(w) for w in encoder_of(length=9).level.weights]
        == [6]
        == [len(w) for w in encoder_of(length=3).level.weights]
    )
    for bank in (encoder.level, encoder.change):
        for weight in bank.weights:
            assert weight.sum(dim=2).abs().max() < 1e-6 and (weight.flatten(1).norm(dim=1) - 1).abs().max() < 1e-6
    x = rows(2, 40)
    inner = slice(16, 24)  # where no kernel meets the end of the series
    raised, bare = (encoder(Series.of(values)).steps[:, 5:, inner] for values in (x + 3.0, x))
    assert (raised - bare).abs().max() < 1e-5 < bare.abs().max()


@torch.no_grad()
def test_the_second_half_of_the_bank_sees_differences_of_what_was_observed() -> None:
    """Slow twin: differences by hand, zero at the first step and beside a gap."""
    encoder, x = encoder_of(), rows(2, 40)
    x[0, 1, 7] = NAN
    change = torch.zeros_like(x)
    for row in range(2):
        for channel in range(CHANNELS):
            for t in range(1, 40):
                if not x[row, channel, t - 1 : t + 1].isnan().any():
                    change[row, channel, t] = x[row, channel, t] - x[row, channel, t - 1]
    close(encoder(Series.of(x)).steps[:, 5 + 6 : 5 + 12], encoder.change(change) / 12**0.5)
    assert change[0, 1, 7] == change[0, 1, 8] == 0 != change[0, 1, 9]


@torch.no_grad()
def test_of_rivals_the_best_alone_answers() -> None:
    """Slow twin: of each eight kernels, at each step, the one with the largest answer."""
    encoder, x = encoder_of(), rows(2, 40)
    answers = encoder.level_rivals(x)
    assert answers.shape[1] == 16
    expected = torch.zeros_like(answers)
    for row in range(2):
        for group in range(0, 16, 8):
            for t in range(40):
                best = max(range(group, group + 8), key=lambda k: float(answers[row, k, t]))
                expected[row, best, t] = answers[row, best, t]
    close(encoder(Series.of(x)).steps[:, 17 : 17 + 16], expected / 32**0.5)
    assert (expected != 0).sum() == 2 * 2 * 40


def test_without_rivals_there_is_the_plain_bank() -> None:
    encoder = Wide(hidden=6, depth=3, features=5, kernels=12, competing=0).build(CHANNELS, 40)
    assert encoder(Series.of(rows(2, 40).float())).steps.shape == (2, 17, 40)


def test_both_parts_learn() -> None:
    encoder = encoder_of()
    encoder(Series.of(rows(2, 40))).steps.square().sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().max() > 0 for name, p in encoder.named_parameters() if "deep" not in name
    )
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in encoder.deep.parameters())
