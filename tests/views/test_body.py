"""Views of a body keep what a body keeps: bones, distances, sides."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tsrep.data.bodies import JOINTS, KINECT
from tsrep.errors import InputError
from tsrep.series import Series
from tsrep.views import chain
from tsrep.views.body import joints, mirrored, triads
from tsrep.views.mirror import Mirror
from tsrep.views.shear import Shear
from tsrep.views.turn import Turn

NAMES = ("hip", "left_hand", "right_hand", "left_foot", "right_foot")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bodies(n: int = 6, length: int = 9) -> Series:
    values = torch.randn(n, 3 * len(NAMES), length, generator=seeded(1), dtype=torch.float64) + 2
    values[1, :, 6:] = math.nan
    values[2, 4, 3] = math.nan  # one axis of the left hand
    return Series.of(values)


def points(series: Series) -> Tensor:
    """(batch, time, joint, 3)"""
    return series.values.unflatten(1, (-1, 3)).permute(0, 3, 1, 2)


def distances(series: Series) -> Tensor:
    """Between all joints of a frame, zero where one of them is not observed: (batch, time, joint, joint)."""
    at, seen = points(series), series.observed.unflatten(1, (-1, 3)).all(2).mT
    apart = (at[:, :, :, None] - at[:, :, None]).square().sum(-1).sqrt()
    return apart * (seen[..., None] & seen[:, :, None])


@pytest.mark.parametrize("about", ["vertical", "any"])
@pytest.mark.parametrize("pivot", ["origin", "middle"])
def test_a_turn_keeps_all_distances(about: str, pivot: str) -> None:
    series = bodies()
    turned = Turn(180, about, pivot)(series, seeded())
    assert (turned.values - series.values).abs().max() > 0.5
    torch.testing.assert_close(distances(turned), distances(series), rtol=1e-6, atol=1e-6)
    moved = distances(turned).diff(dim=1)  # and how they change from frame to frame
    torch.testing.assert_close(moved, distances(series).diff(dim=1), rtol=1e-6, atol=1e-6)


def test_about_the_vertical_nobody_changes_height_and_the_origin_stays() -> None:
    series = bodies()
    turned = Turn(90)(series, seeded())
    torch.testing.assert_close(points(turned)[0, ..., 1], points(series)[0, ..., 1], rtol=1e-6, atol=1e-6)
    norm = points(series)[0].norm(dim=-1)
    torch.testing.assert_close(points(turned)[0].norm(dim=-1), norm, rtol=1e-6, atol=1e-6)
    any_axis = Turn(90, "any")(series, seeded())
    assert (points(any_axis)[0, ..., 1] - points(series)[0, ..., 1]).abs().max() > 0.1


def test_about_the_middle_the_middle_stays() -> None:
    series = bodies().rows(torch.tensor([0, 3, 4]))
    turned = Turn(120, "any", "middle")(series, seeded())
    torch.testing.assert_close(points(turned).mean((1, 2)), points(series).mean((1, 2)), rtol=1e-6, atol=1e-6)


def test_angles_are_even_between_the_limits() -> None:
    one = torch.zeros(4000, 3, 1)
    one[:, 0] = 1
    turned = Turn(30)(Series.of(one), seeded()).values[:, :, 0]
    angle = torch.atan2(-turned[:, 2], turned[:, 0]).rad2deg()
    assert angle.abs().max() <= 30.01
    assert angle.mean().abs() < 1 and angle.std().item() == pytest.approx(30 / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("view", [Turn(90), Turn(90, "any"), Shear(0.5)])
def test_a_joint_of_which_one_axis_is_missing_is_missing(view: Turn | Shear) -> None:
    out = view(bodies(), seeded())
    assert not out.observed[2, 3:6, 3].any() and (out.values[2, 3:6, 3] == 0).all()
    assert out.observed[2, :3].all() and out.observed[2, 6:].all()


def test_a_shear_is_one_linear_map_with_ones_on_the_diagonal_for_each_series() -> None:
    series = bodies().rows(torch.tensor([0, 3]))
    out = points(Shear(0.5)(series, seeded()))
    found = []
    for before, after in zip(points(series).flatten(1, 2), out.flatten(1, 2), strict=True):
        found.append(torch.linalg.lstsq(before, after).solution)
        torch.testing.assert_close(before @ found[-1], after, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found[-1].diagonal(), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-6)
        assert 0.1 < (found[-1] - torch.eye(3)).abs().max() <= 0.5
    assert (found[0] - found[1]).abs().max() > 0.05


def test_mirroring_twice_is_nothing_and_once_swaps_the_sides() -> None:
    series, mirror = bodies(), Mirror.of(NAMES, p=1)
    once = mirror(series, seeded())
    twice = mirror(once, seeded(1))
    assert torch.equal(twice.values, series.values) and torch.equal(twice.observed, series.observed)
    before, after = points(series)[0], points(once)[0]
    sign = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    assert torch.equal(after[:, 1], before[:, 2] * sign) and torch.equal(after[:, 0], before[:, 0] * sign)
    assert torch.equal(after[:, 3], before[:, 4] * sign)
    assert not once.observed[2, 7, 3] and once.observed[2, 4, 3], "what was not observed is on the other side too"


def test_a_mirrored_body_has_the_bones_it_had() -> None:
    series = bodies()
    once = distances(Mirror.of(NAMES, p=1)(series, seeded()))
    twins = torch.tensor(mirrored(NAMES))
    whole = torch.tensor([0, 1, 3, 4, 5])
    torch.testing.assert_close(once[whole], distances(series)[whole][:, :, twins][:, :, :, twins])


def test_some_series_are_mirrored_and_others_not() -> None:
    series = bodies(400)
    changed = (Mirror.of(NAMES)(series, seeded()).values != series.values).flatten(1).any(1)
    assert changed.double().mean().item() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("names", [JOINTS, KINECT])
def test_both_data_sets_name_twins(names: tuple[str, ...]) -> None:
    twins = mirrored(names)
    assert sorted(twins) == list(range(20))
    assert sum(t == i for i, t in enumerate(twins)) == 4
    assert names[twins[names.index("left_wrist")]] == "right_wrist"
    assert joints([f"{n}_{a}" for n in names for a in "xyz"]) == names


def test_names_say_what_is_a_body_and_what_a_sensor() -> None:
    inertial = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")
    assert joints(inertial) is None and triads(inertial) == ((0, 1, 2), (3, 4, 5))
    assert triads(("a", "b", "acc_x", "acc_y")) == () and triads(("t", "acc_x", "acc_y", "acc_z")) == ((1, 2, 3),)
    assert joints(("left_hand_x", "left_hand_y", "right_hand_x", "right_hand_y")) is None


@pytest.mark.parametrize("name", ["turn", "shear", "mirror"])
def test_channels_that_are_no_joints_are_refused(name: str) -> None:
    (view,) = chain([name])
    with pytest.raises(InputError, match=r"expected .*joints, x y z of each in turn"):
        view(Series.of(torch.zeros(2, 4, 5)), seeded())


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="right_hand as the twin of left_hand"):
        mirrored(("left_hand", "head"))
    for twins in ((1, 2, 0), (0, 5), "ab", (0.5,)):
        with pytest.raises(InputError, match=r"expected mirror\.twins"):
            Mirror(0.5, twins)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"turn\.about"):
        Turn(30, "sideways")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="series of 5 joints"):
        Mirror.of(NAMES)(Series.of(torch.zeros(2, 18, 5)), seeded())


def test_what_is_known_of_a_series_stays() -> None:
    series = replace(bodies(), start=torch.arange(6) * 3, row=torch.arange(6) + 10)
    for view in (Turn(), Shear(), Mirror.of(NAMES)):
        out = view(series, seeded())
        assert torch.equal(out.row, series.row) and torch.equal(out.start, series.start)
        assert torch.equal(out.extent, series.extent)
