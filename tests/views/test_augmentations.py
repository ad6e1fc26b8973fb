"""What each augmentation is, measured on series where the answer is known."""

import pytest
import torch

from tsrep.errors import InputError
from tsrep.series import Series
from tsrep.views.crop_resize import CropResize
from tsrep.views.frequency import FrequencyMask
from tsrep.views.jitter import Jitter
from tsrep.views.mask import SpanMask, TimestampMask
from tsrep.views.permute import Permute
from tsrep.views.rotate import Rotate, rotations
from tsrep.views.scale import Scale
from tsrep.views.warp import MagnitudeWarp, TimeWarp


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int) -> Series:
    return Series.of(torch.randn(shape, generator=seeded(9)))


def ramp(batch: int, length: int) -> Series:
    """The value is the number of the step, so that a warped ramp shows the map of time itself."""
    return Series.of(torch.arange(length, dtype=torch.float32).repeat(batch, 2, 1))


def test_jitter_adds_noise_of_its_sigma() -> None:
    series = noise(64, 3, 100)
    added = Jitter(0.3)(series, seeded()).values - series.values
    assert added.std() == pytest.approx(0.3, rel=0.03) and added.mean() == pytest.approx(0, abs=0.01)


def test_scale_multiplies_each_channel_by_one_factor_around_one() -> None:
    series = noise(500, 4, 10)
    factor = Scale(0.5)(series, seeded()).values / series.values
    torch.testing.assert_close(factor, factor[:, :, :1].expand_as(factor))
    assert factor[:, :, 0].mean() == pytest.approx(1, abs=0.05)
    assert factor[:, :, 0].std() == pytest.approx(0.5, rel=0.1)


def test_scale_turns_signs_only_where_it_may() -> None:
    series = Series.of(torch.ones(500, 2, 3))
    assert (Scale(1.0)(series, seeded()).values < 0).float().mean() == pytest.approx(0.16, abs=0.04)
    assert (Scale(1.0, keep_sign=True)(series, seeded()).values >= 0).all()


def test_a_rotation_is_orthonormal_and_never_a_reflection() -> None:
    turn = rotations(torch.randn(200, 4, generator=seeded(), dtype=torch.float64), 180)
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3, dtype=torch.float64).expand(200, 3, 3))
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(200, dtype=torch.float64))


@pytest.mark.parametrize("most", [10.0, 30.0, 180.0])
def test_a_rotation_turns_by_at_most_its_angle(most: float) -> None:
    turn = rotations(torch.randn(2000, 4, generator=seeded(), dtype=torch.float64), most)
    angle = torch.rad2deg(torch.acos(((turn.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1)))
    assert angle.max() <= most + 1e-6 and angle.max() > 0.9 * most


def test_a_rotation_of_180_degrees_is_uniform() -> None:
    """E[R] = 0 and E[R_ij^2] = 1/3 for the uniform distribution over SO(3)."""
    turn = rotations(torch.randn(20000, 4, generator=seeded(), dtype=torch.float64), 180)
    assert turn.mean(0).abs().max() < 0.02 and (turn.square().mean(0) - 1 / 3).abs().max() < 0.02


def test_rotate_keeps_the_length_of_every_triple_and_turns_all_triples_alike() -> None:
    series = noise(5, 7, 30)
    out = Rotate(90)(series, seeded()).values
    for triple in ((0, 1, 2), (3, 4, 5)):
        torch.testing.assert_close(out[:, triple].norm(dim=1), series.values[:, triple].norm(dim=1))
    inner = (out[:, :3] * out[:, 3:6]).sum(1), (series.values[:, :3] * series.values[:, 3:6]).sum(1)
    torch.testing.assert_close(*inner, rtol=1e-4, atol=1e-4)
    assert torch.equal(out[:, 6], series.values[:, 6])
    assert (out[:, :6] - series.values[:, :6]).abs().max() > 0.5


def test_rotate_finds_the_axes_wherever_they_are_named() -> None:
    series = noise(4, 6, 20)
    order = [4, 0, 2, 5, 1, 3]
    out = Rotate(90, ([4, 0, 2], [5, 1, 3]))(series, seeded()).values
    sorted_first = Rotate(90)(Series.of(series.values[:, order]), seeded()).values
    torch.testing.assert_close(out[:, order], sorted_first)


def test_rotate_marks_a_triple_with_a_missing_axis_as_unobserved() -> None:
    values = torch.ones(2, 6, 4)
    values[0, 1, 2] = float("nan")
    observed = Rotate(30)(Series.of(values), seeded()).observed
    assert not observed[0, :3, 2].any() and observed[0, 3:].all() and observed[1].all()
    assert observed[0, :3].sum() == 9


def test_rotate_names_the_channels_it_misses() -> None:
    with pytest.raises(InputError, match=r"at least 6 channels.*got 3.*rotate.triples"):
        Rotate()(noise(2, 3, 5), seeded())


@pytest.mark.parametrize("triples", [((0, 1),), ((0, 1, 1),), ((0, 1, 2), (2, 3, 4)), ((0, 1, -1),), (), 3, (0, 1, 2)])
def test_rotate_refuses_what_is_no_triple(triples: object) -> None:
    with pytest.raises(InputError, match="lists of three channel numbers"):
        Rotate(30, triples)  # type: ignore[arg-type]


def test_permute_keeps_every_value_and_cuts_in_at_most_so_many_segments() -> None:
    out = Permute(5)(ramp(300, 40), seeded()).values[:, 0]
    assert torch.equal(out.sort(dim=1).values, ramp(300, 40).values[:, 0])
    segments = 1 + (out.diff(dim=1) != 1).sum(dim=1)
    assert segments.min() == 1 and segments.max() == 5 and len(segments.unique()) == 5


def test_permute_moves_channels_and_missing_values_together() -> None:
    values = ramp(20, 30).values
    values[:, :, 3] = float("nan")
    values[:, 1, 7] = float("nan")
    out = Permute(6)(Series.of(values), seeded())
    both = out.observed.all(dim=1)
    assert torch.equal(out.values[:, 0][both], out.values[:, 1][both])
    assert torch.equal((~out.observed).sum(dim=2), torch.tensor([1, 2]).expand(20, 2))
    lone = out.observed[:, 0] & ~out.observed[:, 1]
    assert (out.values[:, 0][lone] == 7).all() and lone.sum() == 20


def test_time_warp_maps_the_extent_onto_itself_and_never_runs_back() -> None:
    at = TimeWarp(0.8)(ramp(200, 50), seeded()).values[:, 0]
    assert (at.diff(dim=1) > 0).all()
    torch.testing.assert_close(at[:, 0], torch.zeros(200))
    torch.testing.assert_close(at[:, -1], torch.full((200,), 49.0))
    assert (at - torch.arange(50)).abs().amax(dim=1).median() > 2


def test_time_warp_is_smooth() -> None:
    speed = TimeWarp(0.5, knots=3)(ramp(100, 200), seeded()).values[:, 0].diff(dim=1)
    assert speed.std() > 0.2 and speed.diff(dim=1).abs().max() < 0.15


def test_a_value_between_a_seen_and_an_unseen_step_is_unseen() -> None:
    values = ramp(100, 40).values
    values[:, :, 20] = float("nan")
    out = TimeWarp(0.5)(Series.of(values), seeded())
    whole = TimeWarp(0.5)(ramp(100, 40), seeded()).values
    near = (whole - 20).abs() < 1
    assert torch.equal(~out.observed, near) and near.any()
    assert torch.equal(out.values[~near], whole[~near])


def test_magnitude_warp_follows_one_smooth_curve_for_each_channel() -> None:
    out = MagnitudeWarp(0.2)(Series.of(torch.ones(400, 3, 101)), seeded()).values
    at_knots = out[:, :, ::25]
    assert at_knots.mean() == pytest.approx(1, abs=0.02) and at_knots.std() == pytest.approx(0.2, rel=0.06)
    assert out.diff(dim=2).abs().max() < 0.12
    assert not torch.equal(out[:, 0], out[:, 1])


def test_timestamp_mask_hides_whole_steps_and_keeps_the_extent() -> None:
    out = TimestampMask(0.3)(noise(200, 4, 100), seeded())
    hidden = ~out.observed
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden)) and out.extent.all()
    assert hidden.float().mean() == pytest.approx(0.3, abs=0.02)
    assert TimestampMask(1.0)(noise(3, 2, 50), seeded()).observed.sum() == 0


@pytest.mark.parametrize(
    ("fraction", "length", "hidden"), [(0.1, 50, 5), (0.1, 30, 3), (0.01, 50, 1), (1.0, 50, 49), (0.5, 1, 0)]
)
def test_span_mask_hides_one_span_of_its_share(fraction: float, length: int, hidden: int) -> None:
    out = SpanMask(fraction)(noise(100, 3, length), seeded())
    seen = out.observed.all(dim=1)
    assert ((~seen).sum(dim=1) == hidden).all()
    edges = torch.nn.functional.pad(~seen, (1, 1)).int().diff(dim=1)
    assert ((edges == 1).sum(dim=1) == (1 if hidden else 0)).all()
    if length > 1 and hidden < length - 1:
        assert len((~seen).int().argmax(dim=1).unique()) > 20


def test_crop_resize_stretches_a_part_of_the_series() -> None:
    at = CropResize(0.5)(ramp(300, 41), seeded()).values[:, 0]
    kept = (at[:, -1] - at[:, 0]) / 40
    assert kept.min() >= 0.5 - 1e-6 and kept.min() < 0.52 and kept.max() > 0.98
    torch.testing.assert_close(at.diff(dim=1), kept[:, None].expand(-1, 40), rtol=1e-3, atol=1e-4)
    assert at.min() >= 0 and at.max() <= 40


@pytest.mark.parametrize("length", [40, 41])
def test_frequency_mask_removes_whole_frequencies_but_not_the_mean(length: int) -> None:
    series = noise(50, 3, length)
    out = FrequencyMask(0.25)(series, seeded()).values
    before, after = torch.fft.rfft(series.values.double()), torch.fft.rfft(out.double())
    gone, kept = after.abs() < 1e-4, (after - before).abs() < 1e-4
    assert (gone | kept).all() and gone.float().mean() == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(out.mean(dim=2), series.values.mean(dim=2))


def test_frequency_mask_adds_nothing_where_a_constant_is_half_missing() -> None:
    values = torch.full((4, 2, 32), 5.0)
    values[:, :, 10:20] = float("nan")
    series = Series.of(values)
    torch.testing.assert_close(FrequencyMask(0.5)(series, seeded()).values, series.values)
