"""`dilated` and `causal`: padding, batches and skipped taps change nothing; what sees the future and what does not."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.encoders.laws import a_batch_is_one_by_one
from tsrep.encoders import dilated
from tsrep.encoders.causal import Causal
from tsrep.encoders.dilated import Dilated, DilatedConv, DilatedEncoder
from tsrep.series import POOLS, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "dilated.py")))

KINDS = {"dilated": Dilated, "causal": Causal}
CHANNELS = 3
NAN = float("nan")


def encoder_of(kind: str, pool: str = "max", depth: int = 5) -> DilatedEncoder:
    torch.manual_seed(0)
    made = KINDS[kind](hidden=6, depth=depth, features=10, pool=pool).build(CHANNELS, 24)
    assert isinstance(made, DilatedEncoder)
    return made.double().eval()


def rows(n: int, time: int, seed: int = 0) -> Tensor:
    return torch.randn(n, CHANNELS, time, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def holes(x: Tensor) -> Tensor:
    """A step that nothing observed, a channel that is missing for a while, and one value alone."""
    x = x.clone()
    x[0, :, 4], x[1, 2, 3:8], x[2, 0, 6] = NAN, NAN, NAN
    return x


@pytest.fixture(params=KINDS)
def encoder(request: pytest.FixtureRequest) -> DilatedEncoder:
    return encoder_of(request.param)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("left", "right"), [(5, 0), (0, 7), (4, 9), (64, 64)])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_padding_changes_nothing(kind: str, pool: str, left: int, right: int) -> None:
    """Left padding included: to a convolution it is what lies beyond the end of the array."""
    encoder = encoder_of(kind, pool)
    x = holes(rows(3, 13))
    bare = encoder(Series.of(x))
    padded = encoder(Series.of(functional.pad(x, (left, right), value=NAN)))
    close(padded.pooled, bare.pooled)
    close(padded.steps[:, :, left : left + 13], bare.steps)
    assert (padded.steps[:, :, :left] == 0).all()
    assert (padded.steps[:, :, left + 13 :] == 0).all()
    assert bare.pooled.std(0).min() > 1e-4


def test_a_batch_of_unequal_series_equals_one_by_one(encoder: DilatedEncoder) -> None:
    a_batch_is_one_by_one(encoder)


@pytest.mark.parametrize("length", [1, 2, 3, 24, 100])
@torch.no_grad()
def test_skipped_taps_equal_the_full_computation(encoder: DilatedEncoder, length: int) -> None:
    x = rows(3, length)
    if length > 8:
        x = holes(x)
    series = Series.of(x)
    found = encoder(series)
    for row in range(3):
        expected = slow.steps(encoder, series.values[row], series.observed[row])
        close(found.steps[row], expected)
        close(found.pooled[row], expected.amax(1))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("length", "dilation"), [(1, 1), (1, 8), (4, 4), (5, 4), (8, 4), (9, 4), (16, 8), (17, 8)])
def test_a_convolution_has_the_gradients_of_all_three_taps(length: int, dilation: int, causal: bool) -> None:
    torch.manual_seed(0)
    ours = DilatedConv(2, 4, dilation, causal=causal).double()
    full = nn.Conv1d(2, 4, 3, dilation=dilation).double()
    full.load_state_dict(ours.state_dict())
    x = torch.randn(3, 2, length, dtype=torch.float64)
    for layer, given in ((ours, x), (full, functional.pad(x, (2 * dilation, 0) if causal else (dilation, dilation)))):
        layer(given).square().sum().backward()
    close(ours(x), full(given))
    assert full.weight.grad.abs().max() > 1e-3
    close(ours.weight.grad, full.weight.grad)
    close(ours.bias.grad, full.bias.grad)


def test_taps_that_meet_nothing_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    taps = []

    def counted(x: Tensor, weight: Tensor, *rest: Any, **more: Any) -> Tensor:
        taps.append(weight.shape[2])
        return plain(x, weight, *rest, **more)

    plain = dilated.convolve
    monkeypatch.setattr(dilated, "convolve", counted)
    for kind, expected in (("dilated", [3, 3, 1, 1]), ("causal", [3, 2, 1, 1])):
        taps.clear()
        encoder_of(kind, depth=3)(Series.of(rows(1, 4)))
        assert [taps[i] for i in (0, 2, 4, 6)] == expected  # two of each block


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 1), (2, 0), (1, 0)])
def test_an_accelerator_is_asked_for_a_convolution_of_the_same_shape(before: int, after: int) -> None:
    weight, bias = torch.zeros(5, 2, before + 1 + after, device="meta"), torch.zeros(5, device="meta")
    found = dilated.convolve(torch.zeros(3, 2, 9, device="meta"), weight, bias, 4, before=before, after=after)
    assert found.shape == (3, 5, 9)


@torch.no_grad()
def test_a_missing_value_is_a_zero_and_a_missing_step_is_none(encoder: DilatedEncoder) -> None:
    """One missing channel stands at the channel's mean (zero after scaling); a step that nothing observed is not projected at all."""
    x = rows(1, 12)
    some, mean = x.clone(), x.clone()
    some[0, 1, 5], mean[0, 1, 5] = NAN, 0.0
    close(encoder(Series.of(some)).steps, encoder(Series.of(mean)).steps)
    step, zeros = x.clone(), x.clone()
    step[0, :, 5], zeros[0, :, 5] = NAN, 0.0
    hole, flat = encoder(Series.of(step)), encoder(Series.of(zeros))
    assert (hole.steps - flat.steps).abs().max() > 1e-3  # the projection has a bias
    assert hole.series.extent.all()
    assert hole.steps[0, :, 5].abs().max() > 1e-3  # made from its neighbours


@torch.no_grad()
def test_what_was_under_a_missing_flag_never_matters(encoder: DilatedEncoder) -> None:
    """Views hide steps whose values were there: the embedding must not know them."""
    x = rows(2, 12)
    series = Series.of(x)
    hidden = series.observed.clone()
    hidden[0, :, 3:5], hidden[1, :, 11] = False, False
    first, second = (
        encoder(replace(series, values=torch.where(hidden, x, filling), observed=hidden)) for filling in (0.0, 1e6)
    )
    close(first.steps, second.steps)
    assert (first.steps - encoder(series).steps).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_only_the_dilated_encoder_sees_the_future(kind: str) -> None:
    encoder = encoder_of(kind)
    x, at = rows(2, 40), 25
    changed = x.clone()
    changed[:, :, at:] += 3.0
    before, after = encoder(Series.of(x)).steps, encoder(Series.of(changed)).steps
    moved = (after - before).abs().amax((0, 1))
    assert (moved[at:] > 1e-6).all()
    if kind == "causal":
        assert (moved[:at] == 0).all()
        close(encoder(Series.of(x[:, :, :at])).steps, before[:, :, :at])
    else:
        assert moved[:at].max() > 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_the_receptive_field_is_what_one_step_depends_on(kind: str) -> None:
    encoder = encoder_of(kind, depth=3)
    field = encoder.receptive_field
    assert field == 1 + 2 * 2 * (1 + 2 + 4 + 8)
    x = rows(1, 3 * field).requires_grad_()
    middle = 3 * field // 2
    encoder(Series.of(x)).steps[0, :, middle].sum().backward()
    touched = torch.nonzero(x.grad.abs().sum((0, 1)))[:, 0]
    assert touched.min() == middle - (field - 1 if kind == "causal" else field // 2)
    assert touched.max() == middle + (0 if kind == "causal" else field // 2)


@pytest.mark.parametrize("pool", POOLS)
@torch.no_grad()
def test_pools_are_taken_inside_the_extent(pool: str) -> None:
    encoder = encoder_of("dilated", pool)
    x = rows(3, 10)
    x[1, :, 7:], x[2, :, :4] = NAN, NAN
    found = encoder(Series.of(x))
    for row, (begin, end) in enumerate([(0, 10), (0, 7), (4, 10)]):
        part = found.steps[row, :, begin:end]
        close(found.pooled[row], {"max": part.amax(1), "mean": part.mean(1), "last": part[:, -1]}[pool])


def test_every_parameter_learns_from_ragged_series(encoder: DilatedEncoder) -> None:
    x = rows(3, 80)
    x[1, :, 30:], x[2, :, :50] = NAN, NAN
    encoder(Series.of(holes(x))).pooled.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-9, name


def test_dropout_acts_in_training_alone() -> None:
    encoder = encoder_of("dilated").train()
    series = Series.of(rows(2, 9))
    torch.manual_seed(0)
    assert not torch.equal(encoder(series).steps, encoder(series).steps)
    encoder.eval()
    assert torch.equal(encoder(series).steps, encoder(series).steps)


def test_bfloat16_stays_near_float32() -> None:
    encoder = encoder_of("dilated").float()
    x = rows(3, 24).float()
    x[1, :, 9:] = NAN
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = encoder(Series.of(x))
    assert half.steps.dtype == torch.bfloat16
    full = encoder(Series.of(x))
    torch.testing.assert_close(half.pooled.float(), full.pooled.detach(), rtol=0.1, atol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_state_dicts_load_back(kind: str) -> None:
    first, second = encoder_of(kind), KINDS[kind](hidden=6, depth=5, features=10).build(CHANNELS, 99).double().eval()
    series = Series.of(rows(2, 9))
    assert not torch.equal(first(series).pooled, second(series).pooled)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(series).pooled, second(series).pooled)
    assert (first.channels, first.features, first.causal) == (CHANNELS, 10, kind == "causal")
