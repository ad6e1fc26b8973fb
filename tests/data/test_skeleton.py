"""Skeletons in units of the torso, and as bones and motion."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tsrep.data import catalogue
from tsrep.data.bodies import JOINTS, KINECT
from tsrep.data.panel import Panel
from tsrep.data.skeleton import PARENTS, bones, joint_names, motion, to_torso
from tsrep.encoders.skeleton_graph import PARENTS as TABLES
from tsrep.errors import InputError

CHANNELS = tuple(f"{joint}_{axis}" for joint in JOINTS for axis in "xyz")
HIP, NECK = JOINTS.index("hip_center"), JOINTS.index("shoulder_center")


def panel(n: int = 4, time: int = 7) -> Panel:
    values = np.random.default_rng(0).standard_normal((n, 60, time)).astype(np.float32)
    values[1, :, 5:] = np.nan
    return Panel(values, CHANNELS, subject=np.arange(n))


def body(given: Panel) -> np.ndarray:
    return given.values.reshape(len(given), 20, 3, -1)


def test_the_hips_are_the_origin_and_the_first_torso_is_one() -> None:
    out = body(to_torso(panel()))
    assert np.abs(out[[0, 2, 3], HIP]).max() == 0
    np.testing.assert_allclose(np.linalg.norm(out[:, NECK, :, 0], axis=1), 1, rtol=1e-5)
    assert np.isnan(out[1, :, :, 5:]).all() and np.isfinite(out[1, :, :, :5]).all()
    assert to_torso(panel()).subject is not None


def test_where_a_person_stands_and_how_tall_they_are_changes_nothing() -> None:
    given = panel()
    walk = np.cumsum(np.ones((4, 1, 3, 7), np.float32), axis=3) * np.array([[[0.5], [0.1], [-2]]], np.float32)
    moved = replace(given, values=(body(given) * 1.7 + walk).reshape(given.values.shape).astype(np.float32))
    assert np.nanmax(np.abs(moved.values - given.values)) > 1
    np.testing.assert_allclose(to_torso(moved).values, to_torso(given).values, atol=2e-5)
    twice = to_torso(to_torso(given))
    np.testing.assert_allclose(twice.values, to_torso(given).values, atol=1e-5)


def test_a_frame_without_its_centre_is_missing_and_the_first_torso_is_the_first_that_is_seen() -> None:
    given = panel()
    whole = to_torso(given)
    body(given)[0, HIP, :, 3] = np.nan
    body(given)[2, NECK, :, 0] = np.nan
    body(given)[3, NECK] = np.nan
    out = body(to_torso(given))
    assert np.isnan(out[0, :, :, 3]).all() and not np.isnan(out[0, :, :, [0, 1, 2, 4]]).any()
    np.testing.assert_allclose(np.linalg.norm(out[2, NECK, :, 1]), 1, rtol=1e-5)
    ratio = out[3, 0] / body(whole)[3, 0]
    assert np.allclose(ratio, ratio[0, 0], rtol=1e-4), "divided by the median torso of the others"


def test_bones_point_from_parent_to_joint_wherever_the_body_is() -> None:
    given = panel()
    out = body(bones(given))
    for place, joint in enumerate(JOINTS):
        parent = JOINTS.index(PARENTS.get(joint, joint))
        np.testing.assert_array_equal(out[0, place], body(given)[0, place] - body(given)[0, parent])
    moved = replace(given, values=given.values + 4)
    np.testing.assert_allclose(bones(moved).values, bones(given).values, atol=1e-5)
    assert (out[0, HIP] == 0).all() and np.isnan(out[1, :, :, 5:]).all()


def test_motion_is_the_step_from_the_frame_before() -> None:
    given = panel()
    out = motion(given)
    assert (out.values[0, :, 0] == 0).all() and np.isnan(out.values[1, :, 5:]).all()
    np.testing.assert_allclose(out.values[0].cumsum(1) + given.values[0, :, :1], given.values[0], atol=1e-5)


@pytest.mark.parametrize(("names", "table"), [(KINECT, "kinect_v1"), (JOINTS, "utd_mhad")])
def test_the_graphs_of_the_encoder_are_the_bones(names: tuple[str, ...], table: str) -> None:
    assert [names[p] for p in TABLES[table]] == [PARENTS.get(name, name) for name in names]


def test_other_channels_are_refused() -> None:
    plain = Panel(np.zeros((1, 4, 2), np.float32))
    with pytest.raises(InputError, match="expected channels that are joints"):
        joint_names(plain)
    three = Panel(np.ones((1, 3, 2), np.float32), ("nose_x", "nose_y", "nose_z"))
    with pytest.raises(InputError, match="expected a joint hip_center"):
        to_torso(three)
    with pytest.raises(InputError, match="known parent"):
        bones(three)
    still = replace(panel(), values=np.zeros((4, 60, 7), np.float32))
    with pytest.raises(InputError, match="frames that show both"):
        to_torso(still)


@pytest.mark.parametrize("name", ["UTD-MHAD:skeleton", "NW-UCLA"])
def test_bones_of_the_data_keep_their_length_and_sides_are_sides(name: str, tsrep_data: Path) -> None:
    """By which the order of the joints is the one that is said."""
    given = catalogue.load(name).train
    given = given.rows(slice(0, 200))
    at = given.values.reshape(len(given), 20, 3, -1)
    names = joint_names(given)
    apart = np.linalg.norm(at[:, :, None] - at[:, None], axis=3)
    vary = np.nanmean(np.nanstd(apart, axis=3), axis=0)  # metres, within a series
    joined = np.array([vary[i, names.index(PARENTS[n])] for i, n in enumerate(names) if n in PARENTS])
    assert np.median(joined) < 0.5 * np.median(vary[np.triu_indices(20, 1)])
    height = np.nanmean(at[:, :, 1], axis=(0, 2))
    order = [height[names.index(n)] for n in ("head", "shoulder_center", "hip_center", "left_knee", "left_foot")]
    assert order == sorted(order, reverse=True)
    side = np.nanmean(at[:, :, 0] - at[:, [names.index("spine")], 0], axis=(0, 2))
    assert all(side[names.index(f"left_{j}")] < side[names.index(f"right_{j}")] for j in ("shoulder", "hip", "foot"))
