"""`trend`: one convolution is the mean of many, a transform is the sum, and a causal step knows nothing later, to the last bit."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.encoders.laws import a_batch_is_one_by_one
from tsrep.encoders import trend
from tsrep.encoders.trend import Trend, TrendEncoder, Trends, causal_convolution
from tsrep.errors import InputError
from tsrep.series import POOLS, Series

CHANNELS = 3
NAN = float("nan")
STRICT = pytest.mark.parametrize("strict", [False, True])


def encoder_of(**fields: Any) -> TrendEncoder:
    """Small, and still with 64 taps, so that it convolves by transform."""
    torch.manual_seed(0)
    small: dict[str, Any] = {"hidden": 6, "depth": 2, "width": 5, "features": 8, "kernels": 64}
    made = Trend(**small | fields).build(CHANNELS, 24)
    assert isinstance(made, TrendEncoder)
    return made.double().eval()


def rows(n: int, time: int, seed: int = 0) -> Tensor:
    return torch.randn(n, CHANNELS, time, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ragged(time: int = 200) -> Tensor:
    """Whole, ended early, begun late, with a gap of all channels and of one."""
    x = rows(4, time)
    x[1, :, 90:], x[2, :, :60], x[3, :, 40:52], x[0, 1, 5:30] = NAN, NAN, NAN, NAN
    return x


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def one_by_one(trends: Trends, x: Tensor) -> Tensor:
    """As the paper says: each causal convolution by itself, then their mean."""
    made = []
    for part in trends.parts:
        assert isinstance(part, nn.Conv1d)
        made.append(part(functional.pad(x, (part.kernel_size[0] - 1, 0))))
    return torch.stack(made).mean(dim=0)


@pytest.fixture
def transforms(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the transforms that are made."""
    met: list[int] = []
    plain = torch.fft.rfft

    def counted(x: Tensor, n: int | None = None) -> Tensor:
        met.append(n or x.shape[-1])
        return plain(x, n=n)

    monkeypatch.setattr(torch.fft, "rfft", counted)
    return met


@STRICT
@pytest.mark.parametrize(("batch", "time"), [(3, 600), (8, 128), (40, 97), (8, 63), (2, 9), (1, 1)])
def test_the_convolution_is_the_mean_of_the_papers_eight_and_so_are_gradients(
    batch: int, time: int, strict: bool, transforms: list[int]
) -> None:
    torch.manual_seed(0)
    trends = Trends(4, 6, 128).double()
    assert [part.weight.shape[2] for part in trends.parts] == [1, 2, 4, 8, 16, 32, 64, 128]
    x = torch.randn(batch, 4, time, dtype=torch.float64)
    weighing = torch.randn(batch, 6, time, dtype=torch.float64)
    found, gradients = [], []
    for made in (lambda x: trends(x, strict=strict), lambda x: one_by_one(trends, x)):
        given = x.clone().requires_grad_()
        out = made(given)
        wanted = [given, *trends.parameters()]
        gradients.append(torch.autograd.grad((out * weighing).sum(), wanted, materialize_grads=True))
        found.append(out)
    assert bool(transforms) == (batch * time >= 4 * min(time, 128) and time >= 32)
    close(*found)
    for ours, theirs in zip(*gradients, strict=True):
        close(ours, theirs)
    assert min(g.abs().max() for g in gradients[1]) > 1e-3


@STRICT
@torch.no_grad()
def test_in_float32_it_is_as_exact_as_the_direct_one(strict: bool, transforms: list[int]) -> None:
    torch.manual_seed(0)
    trends = Trends(64, 32, 128)
    x = torch.randn(4, 64, 600)
    exact = one_by_one(trends.double(), x.double())
    found = trends.float()(x, strict=strict)
    assert transforms
    assert exact.abs().max() > 0.1
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5)


@torch.no_grad()
def test_only_the_strict_convolution_keeps_the_future_out_of_the_last_bit(transforms: list[int]) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 700), torch.randn(5, 4, 128)
    moved = []
    for strict in (True, False):
        before = causal_convolution(x, weight, strict=strict)
        for at in (100, 333, 500):
            changed = x.clone()
            changed[:, :, at:] += 1e4
            after = causal_convolution(changed, weight, strict=strict)
            assert not torch.equal(after[:, :, at:], before[:, :, at:])
            moved.append(not torch.equal(after[:, :, :at], before[:, :, :at]))
    assert transforms
    assert moved == [False] * 3 + [True] * 3


def test_transforms_are_short_however_long_the_series(transforms: list[int]) -> None:
    for strict in (False, True):
        trends = Trends(2, 3, 64)
        trends(torch.zeros(1, 2, 5000), strict=strict)
    assert set(transforms) == {128, 64}


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("left", "right"), [(5, 0), (0, 77), (64, 9)])
@pytest.mark.parametrize("pool", POOLS)
@torch.no_grad()
def test_padding_changes_nothing(pool: str, left: int, right: int, causal: bool, transforms: list[int]) -> None:
    encoder = encoder_of(pool=pool, causal=causal)
    bare = encoder(Series.of(ragged()))
    padded = encoder(Series.of(functional.pad(ragged(), (left, right), value=NAN)))
    assert transforms
    close(padded.pooled, bare.pooled)
    close(padded.steps[:, :, left : left + 200], bare.steps)
    assert (padded.steps[~padded.series.extent[:, None].expand_as(padded.steps)] == 0).all()
    assert bare.pooled.std(0).min() > 1e-5


@pytest.mark.parametrize("causal", [True, False])
def test_a_batch_of_unequal_series_equals_one_by_one(causal: bool) -> None:
    a_batch_is_one_by_one(encoder_of(causal=causal), time=150)


@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_only_the_encoder_of_the_papers_sees_the_future(causal: bool, transforms: list[int]) -> None:
    encoder = encoder_of(causal=causal)
    assert encoder.causal == causal
    x, at = rows(2, 300), 211
    changed = x.clone()
    changed[:, :, at:] += 1e3
    before, after = encoder(Series.of(x)).steps, encoder(Series.of(changed)).steps
    moved = (after - before).abs().amax((0, 1))
    assert transforms
    assert (moved[at:] > 1e-6).all()
    assert (moved[:at] == 0).all() if causal else moved[:at].max() > 1e-3


@pytest.mark.parametrize("causal", [True, False])
def test_the_receptive_field_is_what_one_step_depends_on(causal: bool) -> None:
    encoder = encoder_of(kernels=8, causal=causal)
    field = encoder.receptive_field
    assert field == 1 + 2 * 2 * (1 + 2 + 4) + 7
    x = rows(1, 3 * field).requires_grad_()
    middle = 3 * field // 2
    encoder(Series.of(x)).steps[0, :, middle].sum().backward()
    touched = torch.nonzero(x.grad.abs().sum((0, 1)))[:, 0]
    ahead = 0 if causal else encoder.base.receptive_field // 2
    assert (touched.max(), touched.min()) == (middle + ahead, middle + ahead - field + 1)


def test_every_parameter_learns_from_ragged_series_in_training(transforms: list[int]) -> None:
    encoder = encoder_of(dropout=0.0).train()
    encoder(Series.of(ragged())).steps.square().sum().backward()
    assert transforms
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-9, name


@torch.no_grad()
def test_training_and_evaluation_compute_the_same() -> None:
    encoder = encoder_of(dropout=0.0)
    series = Series.of(ragged())
    first, second = encoder(series).steps, encoder.train()(series).steps
    assert not torch.equal(first, second)  # on different paths
    close(first, second)


def test_dropout_acts_in_training_alone() -> None:
    encoder = encoder_of(dropout=0.5).train()
    series = Series.of(rows(2, 9))
    torch.manual_seed(0)
    assert not torch.equal(encoder(series).steps, encoder(series).steps)
    encoder.eval()
    assert torch.equal(encoder(series).steps, encoder(series).steps)


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_stays_near_float32(training: bool, transforms: list[int]) -> None:
    encoder = encoder_of(dropout=0.0).float().train(training)
    series = Series.of(ragged().float())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = encoder(series)
    assert transforms
    assert half.steps.dtype == torch.bfloat16
    torch.testing.assert_close(half.pooled.float(), encoder(series).pooled.detach(), rtol=0.1, atol=0.05)


def test_state_dicts_load_back() -> None:
    first, second = encoder_of(), encoder_of()
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.add_(0.1)
    series = Series.of(rows(2, 9))
    assert not torch.equal(first(series).pooled, second(series).pooled)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(series).pooled, second(series).pooled)
    assert (first.channels, first.features) == (CHANNELS, 8)


def test_kernels_that_are_no_power_of_two_are_refused() -> None:
    with pytest.raises(InputError, match="expected kernels to be a power of two, got 100: take 64 or 128"):
        Trend(kernels=100).build(CHANNELS, 24)
    assert trend.Trends(1, 1, 1)(torch.ones(1, 1, 3), strict=True).shape == (1, 1, 3)
