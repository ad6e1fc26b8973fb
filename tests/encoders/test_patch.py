import dataclasses

import pytest
import torch
from safetensors.torch import load, save

from tsrep.encoders.patch import Patch, PatchEncoder, flat, normalised, positions
from tsrep.errors import InputError
from tsrep.series import Series

SMALL = Patch(patch=4, stride=4, hidden=16, layers=2, heads=2, features=12)
VARIANTS = {
    "mean": SMALL,
    "overlap-cls": dataclasses.replace(SMALL, stride=3, pool="cls"),
    "nearest-max": dataclasses.replace(SMALL, between="nearest", pool="max"),
    "causal-last": dataclasses.replace(SMALL, between="nearest", pool="last", causal=True),
    "causal-overlap": dataclasses.replace(SMALL, stride=1, between="nearest", causal=True),
    "window": dataclasses.replace(SMALL, normalise="window"),
    "last-flat": dataclasses.replace(SMALL, normalise="last", pool="flat"),
    "flat-overlap": dataclasses.replace(SMALL, stride=3, pool="flat"),
}
NAN = float("nan")


def encoder_of(config: Patch) -> PatchEncoder:
    torch.manual_seed(0)
    encoder = config.build(channels=3, length=24)
    assert isinstance(encoder, PatchEncoder)
    return encoder.eval()


def ragged() -> torch.Tensor:
    """Six series of unequal length, padded on either side, with holes of one channel and of all."""
    x = torch.randn(6, 3, 24, generator=torch.Generator().manual_seed(1))
    x[1, :, 17:] = NAN
    x[2, :, :9] = NAN
    x[3, :, :5], x[3, :, 8:] = NAN, NAN
    x[4, 1, 3:11] = NAN
    x[5, :, 7:16] = NAN
    return x


def name_of(encoder: PatchEncoder) -> str:
    return next(name for name, config in VARIANTS.items() if config == encoder.config)


@pytest.fixture(params=VARIANTS)
def encoder(request: pytest.FixtureRequest) -> PatchEncoder:
    return encoder_of(VARIANTS[request.param])


def test_embeddings_have_the_promised_shapes(encoder: PatchEncoder) -> None:
    series = Series.of(ragged())
    embedding = encoder(series)
    assert embedding.steps.shape == (6, 12, 24)
    assert embedding.pooled.shape == (6, encoder.features)
    assert encoder.features == {"last-flat": 6 * 16, "flat-overlap": 8 * 16}.get(name_of(encoder), 12)
    assert embedding.series is series
    assert embedding.steps.isfinite().all()
    assert embedding.pooled.std(dim=0).min() > 1e-3


def test_steps_outside_the_extent_are_zero(encoder: PatchEncoder) -> None:
    series = Series.of(ragged())
    steps = encoder(series).steps
    outside = ~series.extent[:, None].expand_as(steps)
    assert outside.any()
    assert (steps[outside] == 0).all()
    assert (steps.abs().amax(dim=1)[series.extent] > 1e-4).all()


@pytest.mark.parametrize(("before", "after"), [(7, 0), (0, 5), (3, 30)])
def test_padding_changes_nothing(encoder: PatchEncoder, before: int, after: int) -> None:
    bare = encoder(Series.of(ragged()))
    padded = encoder(Series.of(torch.nn.functional.pad(ragged(), (before, after), value=NAN)))
    torch.testing.assert_close(padded.pooled, bare.pooled, atol=1e-5, rtol=0)
    torch.testing.assert_close(padded.steps[:, :, before : before + 24], bare.steps, atol=1e-5, rtol=0)


def test_a_batch_equals_its_series_one_by_one(encoder: PatchEncoder) -> None:
    series = Series.of(ragged())
    together = encoder(series)
    for i in range(len(series)):
        alone = encoder(series.rows(slice(i, i + 1)))
        torch.testing.assert_close(alone.pooled[0], together.pooled[i], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone.steps[0], together.steps[i], atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 3, 5, 61])
def test_series_of_any_length_have_embeddings(encoder: PatchEncoder, length: int) -> None:
    series = Series.of(torch.randn(2, 3, length))
    if encoder.config.pool == "flat" and length > 24:
        with pytest.raises(InputError, match="expected windows of at most 24 steps for pool=flat, got 61"):
            encoder(series)
        return
    embedding = encoder(series)
    assert embedding.steps.shape == (2, 12, length)
    assert embedding.steps.isfinite().all()
    assert embedding.pooled.isfinite().all()


@pytest.mark.parametrize("length", [22, 23, 24, 25])
def test_no_step_is_cut_from_the_pooled_embedding(encoder: PatchEncoder, length: int) -> None:
    encoder = encoder.config.build(channels=3, length=25).eval()
    x = torch.randn(1, 3, length, requires_grad=True)
    encoder(Series.of(x)).pooled.square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().amax(dim=1) > 0).all()


def test_a_causal_step_never_sees_later_than_itself() -> None:
    for name in ("causal-last", "causal-overlap"):
        encoder = encoder_of(VARIANTS[name])
        assert encoder.causal
        x = torch.randn(2, 3, 24)
        steps = encoder(Series.of(x)).steps
        for t in range(1, 24):
            changed = x.clone()
            changed[:, :, t:] += 3 * torch.randn(2, 3, 24 - t)
            other = encoder(Series.of(changed)).steps
            torch.testing.assert_close(other[:, :, :t], steps[:, :, :t], atol=1e-5, rtol=0)
            assert t > 20 or (other[:, :, t:] - steps[:, :, t:]).abs().max() > 1e-3
            torch.testing.assert_close(encoder(Series.of(x[:, :, :t])).steps, steps[:, :, :t], atol=1e-5, rtol=0)


def test_a_causal_step_lags_by_less_than_a_stride() -> None:
    encoder = encoder_of(VARIANTS["causal-last"])
    x = torch.randn(1, 3, 24)
    for t in range(24):
        changed = x.clone()
        changed[:, :, t] += 1
        moved = (encoder(Series.of(changed)).steps - encoder(Series.of(x)).steps).abs().amax(dim=(0, 1)) > 1e-5
        later = torch.arange(24) >= -(-t // 4) * 4
        torch.testing.assert_close(moved, later)


def test_a_two_sided_step_sees_both_sides() -> None:
    encoder = encoder_of(SMALL)
    assert not encoder.causal
    x = torch.randn(1, 3, 24)
    changed = x.clone()
    changed[:, :, 20] += 1
    assert (encoder(Series.of(changed)).steps - encoder(Series.of(x)).steps).abs().amax(dim=1).min() > 1e-5


def test_a_missing_value_is_not_a_zero() -> None:
    encoder = encoder_of(SMALL)
    zero = torch.randn(1, 3, 24)
    zero[0, 1, 6:9] = 0
    missing = zero.clone()
    missing[0, 1, 6:9] = NAN
    assert (encoder(Series.of(zero)).pooled - encoder(Series.of(missing)).pooled).abs().max() > 1e-4


def test_values_that_were_not_observed_do_not_matter_in_a_patch_without_any() -> None:
    encoder = encoder_of(SMALL)
    series = Series.of(ragged())
    tokens = encoder._tokens(encoder._patches(series.values), encoder._patches(series.observed.float()))
    torch.testing.assert_close(tokens[5, 2], positions(6, 16)[2])  # steps 8 to 11 of row 5 are missing
    assert (tokens[5, 1] - positions(6, 16)[1]).abs().max() > 1e-2


def test_a_nearest_step_has_the_embedding_of_its_patch() -> None:
    encoder = encoder_of(VARIANTS["nearest-max"])
    embedding = encoder(Series.of(torch.randn(2, 3, 24)))
    patches = embedding.steps.unflatten(2, (6, 4))
    assert (patches == patches[..., :1]).all()
    torch.testing.assert_close(patches[..., 0].amax(dim=2), embedding.pooled)


def test_linear_steps_pass_through_the_patches_at_their_centres() -> None:
    config = dataclasses.replace(SMALL, patch=3, stride=3)
    x = torch.randn(2, 3, 24)
    linear = encoder_of(config)(Series.of(x)).steps
    nearest = encoder_of(dataclasses.replace(config, between="nearest"))(Series.of(x)).steps
    torch.testing.assert_close(linear[:, :, 1::3], nearest[:, :, 1::3])
    torch.testing.assert_close(linear[:, :, 2], (2 * nearest[:, :, 1] + nearest[:, :, 4]) / 3)


def test_a_gradient_reaches_every_parameter(encoder: PatchEncoder) -> None:
    encoder.train()
    embedding = encoder(Series.of(ragged()))
    (embedding.pooled.square().mean() + embedding.steps.square().mean()).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_a_series_without_any_step_leaves_the_others_alone(encoder: PatchEncoder) -> None:
    x = ragged()
    whole = encoder(Series.of(x))
    x[0] = NAN
    embedding = encoder(Series.of(x))
    assert embedding.pooled.isfinite().all()
    assert (embedding.steps[0] == 0).all()
    torch.testing.assert_close(embedding.steps[1:], whole.steps[1:], atol=1e-5, rtol=0)


def test_it_runs_in_double_precision_and_in_bfloat16(encoder: PatchEncoder) -> None:
    x = ragged()
    single = encoder(Series.of(x))
    with torch.autocast("cpu", torch.bfloat16):
        half = encoder(Series.of(x)).pooled.float()
    torch.testing.assert_close(half, single.pooled, atol=0.05, rtol=0.1)
    double = encoder.double()(Series.of(x.double()))
    assert double.pooled.dtype == torch.float64
    torch.testing.assert_close(double.steps.float(), single.steps, atol=1e-4, rtol=0)


def test_loaded_equals_saved(encoder: PatchEncoder) -> None:
    other = encoder.config.build(channels=3, length=24).eval()
    series = Series.of(ragged())
    assert not torch.equal(other(series).pooled, encoder(series).pooled)
    other.load_state_dict(load(save(encoder.state_dict())))
    assert torch.equal(other(series).pooled, encoder(series).pooled)


@pytest.mark.parametrize("by", ["last", "window"])
def test_normalising_takes_level_and_scale_from_each_channel_over_what_was_observed(by: str) -> None:
    x = ragged().double()
    series = Series.of(x)
    found = normalised(series.values, series.observed, by)
    for row, channel in [(i, c) for i in range(6) for c in range(3)]:
        seen = series.observed[row, channel]
        values = x[row, channel][seen]
        expected = values - values[-1]
        if by == "window":
            expected = (values - values.mean()) / (values.var(unbiased=False) + 0.01).sqrt()
        torch.testing.assert_close(found[row, channel][seen], expected)
        assert (found[row, channel][~seen] == 0).all()
    assert not series.observed.all()


@pytest.mark.parametrize("by", ["last", "window"])
def test_a_channel_that_is_flat_or_never_observed_stays_flat(by: str) -> None:
    x = torch.full((1, 2, 8), 5.0)
    x[0, 1] = NAN
    series = Series.of(x)
    assert (normalised(series.values, series.observed, by) == 0).all()
    wiggle = Series.of(5 + 1e-3 * torch.randn(1, 1, 8, generator=torch.Generator().manual_seed(0)))
    assert 0 < normalised(wiggle.values, wiggle.observed, by).abs().max() < 0.05  # not blown up to one deviation


@pytest.mark.parametrize("by", ["last", "window"])
@torch.no_grad()
def test_a_normalised_window_has_lost_its_level(by: str) -> None:
    x = ragged()
    level = torch.tensor([10.0, -4.0, 0.5])[:, None]
    for config, same in ((dataclasses.replace(SMALL, normalise=by), True), (SMALL, False)):
        encoder = encoder_of(config)
        moved = (encoder(Series.of(x + level)).pooled - encoder(Series.of(x)).pooled).abs().max()
        assert (moved < 1e-4) == same


@torch.no_grad()
def test_flat_places_hold_the_embeddings_of_patches_with_the_last_at_the_end() -> None:
    encoder = encoder_of(dataclasses.replace(SMALL, pool="flat", between="nearest"))
    for length, patches in ((24, 6), (22, 6), (9, 3), (1, 1)):
        embedding = encoder(Series.of(torch.randn(2, 3, length)))
        places = 6**0.5 * embedding.pooled.unflatten(1, (6, 16))
        assert (places[:, : 6 - patches] == 0).all()
        tokens = encoder.out(encoder.norm(places[:, 6 - patches :]))
        torch.testing.assert_close(tokens.mT, embedding.steps[:, :, ::4])


def test_flat_takes_the_patches_of_each_row_to_its_own_end() -> None:
    tokens = torch.arange(1.0, 7).view(2, 3, 1)
    inside = torch.tensor([[True, True, True], [True, False, False]])
    assert flat(tokens, inside, 4).tolist() == [[0, 1, 2, 3], [0, 0, 0, 4]]


@torch.no_grad()
def test_padding_does_not_make_a_window_too_long_for_its_places() -> None:
    encoder = encoder_of(VARIANTS["last-flat"])
    whole = torch.nn.functional.pad(torch.randn(1, 3, 24), (9, 9), value=NAN)
    assert encoder(Series.of(whole)).pooled.isfinite().all()
    with pytest.raises(InputError, match="at most 24 steps for pool=flat, got 25"):
        encoder(Series.of(torch.randn(1, 3, 25)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 32}, "window of 24 steps, got patch=32"),
        ({"stride": 5}, "stride from 1 to patch=4, got 5"),
        ({"stride": 0}, "stride from 1 to patch=4, got 0"),
        ({"heads": 3}, "3 heads divide, got hidden=16"),
        ({"causal": True}, 'between="linear"'),
        ({"causal": True, "between": "nearest", "pool": "cls"}, 'pool="cls"'),
        ({"causal": True, "between": "nearest", "pool": "flat"}, 'pool="flat"'),
        (
            {"causal": True, "between": "nearest", "normalise": "window"},
            'normalise="none" for a causal encoder, got "window"',
        ),
    ],
)
def test_a_configuration_that_cannot_be_built_says_why(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SMALL, **change).build(channels=3, length=24)
