"""Scaling sees observed values alone; a fingerprint names exactly these data."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from tsrep.card import SCALED
from tsrep.data import Panel, Scaler, fingerprint
from tsrep.data.columns import CALENDAR
from tsrep.data.scaling import Way
from tsrep.data.skeleton import to_torso
from tsrep.errors import InputError
from tsrep.plan import Scaling


@pytest.fixture
def panel() -> Panel:
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((20, 3, 30)) * [[3.0], [0.01], [1.0]] + [[5.0], [1e4], [0.0]]).astype(np.float32)
    values[:, 2] = 7.0
    values[rng.random(values.shape) < 0.3] = np.nan
    return Panel(values)


def test_scaled_channels_have_mean_zero_and_deviation_one(panel: Panel) -> None:
    scaled = Scaler.fit(panel).transform(panel.values)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(panel.values))
    mean, deviation = np.nanmean(scaled.astype(float), (0, 2)), np.nanstd(scaled.astype(float), (0, 2))
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    np.testing.assert_allclose(deviation, [1, 1, 0], atol=1e-5)


def test_padding_changes_nothing_in_the_scaler(panel: Panel) -> None:
    padded = replace(panel, values=np.pad(panel.values, [(0, 0), (0, 0), (0, 9)], constant_values=np.nan))
    assert Scaler.fit(padded) == Scaler.fit(panel)


def test_constant_and_unseen_channels_keep_their_scale(panel: Panel) -> None:
    values = panel.values.copy()
    values[:, 0] = np.nan
    scaler = Scaler.fit(Panel(values))
    assert (scaler.mean[0], scaler.scale[0]) == (0.0, 1.0)
    assert (scaler.mean[2], scaler.scale[2]) == (7.0, 1.0)


def test_a_scaler_survives_json_exactly(panel: Panel) -> None:
    scaler = Scaler.fit(panel)
    assert Scaler.from_dict(json.loads(json.dumps(scaler.to_dict()))) == scaler
    with pytest.raises(InputError, match="mean and scale"):
        Scaler.from_dict({"mean": [1.0]})
    with pytest.raises(InputError, match="positive scales"):
        Scaler.from_dict({"mean": [1.0], "scale": [0.0]})


def test_the_identity_changes_nothing(panel: Panel) -> None:
    np.testing.assert_array_equal(Scaler.identity(3).transform(panel.values), panel.values)
    with pytest.raises(InputError, match="expected 2 channels"):
        Scaler.identity(2).transform(panel.values)


def test_a_fingerprint_sees_values_shape_and_names(panel: Panel) -> None:
    name = fingerprint(panel)
    assert len(name) == 64
    assert name == fingerprint(replace(panel, values=panel.values.copy(order="F")))
    other = panel.values.copy()
    other[3, 0, 4] = 1.5
    assert len({name, fingerprint(replace(panel, values=other)), fingerprint(replace(panel, channels=("a", "b", "c"))),
                fingerprint(panel.rows(slice(0, 19)))}) == 4  # fmt: skip
    assert fingerprint(replace(panel, label=np.arange(20))) == name


def test_a_fingerprint_is_the_same_in_another_process() -> None:
    code = (
        "import numpy as np; from tsrep.data import Panel, fingerprint;"
        "print(fingerprint(Panel(np.arange(24, dtype=np.float32).reshape(2, 3, 4), ('a', 'b', 'c'))))"
    )
    here = fingerprint(Panel(np.arange(24, dtype=np.float32).reshape(2, 3, 4), ("a", "b", "c")))
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert here == there


JOINTS = ("hip_center", "spine", "shoulder_center", "left_hand")


def skeletons(n: int = 6, time: int = 9) -> Panel:
    """Bodies that stand somewhere, with missing joints, frames and an end."""
    values = np.random.default_rng(1).standard_normal((n, 12, time)) + 4
    values[0, 9:, 2:4] = np.nan
    values[1, :, 6:] = np.nan
    values[2, :3, 0] = np.nan
    return Panel(values.astype(np.float32), tuple(f"{joint}_{axis}" for joint in JOINTS for axis in "xyz"))


def turned(values: np.ndarray) -> np.ndarray:
    """By an angle about an axis that is none of the three."""
    matrix = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))[0]
    body = np.einsum("ab,njbt->njat", matrix, values.reshape(len(values), -1, 3, values.shape[2]))
    return body.reshape(values.shape).astype(np.float32)


@pytest.mark.parametrize("way", ["one", "torso", "none"])
def test_what_is_scaled_of_a_turned_skeleton_is_turned_what_is_scaled_of_it(way: Way) -> None:
    given = skeletons()
    scaler = Scaler.fit(given, way)
    made = scaler.transform(given.values)
    assert np.isnan(made).any() and np.nanmax(np.abs(turned(made) - made)) > 0.1, "nothing was turned"
    np.testing.assert_allclose(scaler.transform(turned(given.values)), turned(made), atol=1e-5)
    each = Scaler.fit(given)
    off = np.abs(each.transform(turned(given.values)) - turned(each.transform(given.values)))
    assert np.nanmax(off) > 0.5, "channel by channel a rotation is none"


@pytest.mark.parametrize("way", ["each", "one", "none"])
def test_means_and_scales_lead_back_to_the_data(panel: Panel, way: Way) -> None:
    scaler = Scaler.fit(panel, way)
    back = scaler.transform(panel.values) * np.array(scaler.scale)[:, None] + np.array(scaler.mean)[:, None]
    np.testing.assert_allclose(back, panel.values, rtol=1e-6, atol=1e-6)


def test_a_plan_may_ask_for_every_way_of_scaling() -> None:
    assert get_args(Scaling) == get_args(Way) and set(SCALED) == set(get_args(Way))


def test_one_scale_is_the_root_mean_square_of_all_that_was_observed() -> None:
    given = skeletons()
    scaler = Scaler.fit(given, "one")
    assert set(scaler.mean) == {0.0} and len(set(scaler.scale)) == 1
    made = scaler.transform(given.values)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(given.values))
    assert np.sqrt(np.nanmean(made.astype(float) ** 2)) == pytest.approx(1)
    padded = replace(given, values=np.pad(given.values, [(0, 0), (0, 0), (0, 9)], constant_values=np.nan))
    assert Scaler.fit(padded, "one") == scaler
    nothing = Panel(np.zeros((2, 3, 4), np.float32))
    assert Scaler.fit(nothing, "one") == Scaler.identity(3)


def test_one_scale_leaves_the_calendar_a_scale_of_its_own() -> None:
    values = np.random.default_rng(0).standard_normal((2, 9, 30)).astype(np.float32) * 5
    panel = Panel(values, ("a", "b", *CALENDAR))
    one, each = Scaler.fit(panel, "one"), Scaler.fit(panel)
    assert one.scale[0] == one.scale[1] and one.mean[:2] == (0.0, 0.0)
    assert (one.mean[2:], one.scale[2:]) == (each.mean[2:], each.scale[2:])


def test_torso_lengths_are_those_of_to_torso_and_each_window_is_scaled_by_itself() -> None:
    given = skeletons()
    scaler = Scaler.fit(given, "torso")
    made = scaler.transform(given.values)
    np.testing.assert_array_equal(made, to_torso(given).values)
    assert np.isnan(made[2, :, 0]).all(), "where the hips are missing nothing is known"
    for row in range(len(given)):
        np.testing.assert_array_equal(scaler.transform(given.values[row : row + 1])[0], made[row])
    assert scaler.torso is not None
    hidden = given.values[3:4].copy()
    hidden[:, 6:9] = np.nan  # no shoulders: the median torso of the training part
    hips = np.tile(hidden[:, :3], (1, 4, 1))
    np.testing.assert_allclose(scaler.transform(hidden), (hidden - hips) / scaler.torso.length, atol=1e-5)
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert again == scaler
    np.testing.assert_array_equal(again.transform(given.values), made)


def test_a_damaged_torso_and_an_unknown_scaling_are_refused() -> None:
    whole = Scaler.fit(skeletons(), "torso").to_dict()
    for torso in ({"centre": 0}, {"centre": 0, "top": 4, "length": 1.0}, {"centre": 1, "top": 1, "length": 1.0},
                  {"centre": 0, "top": 2, "length": 0.0}, 3):  # fmt: skip
        with pytest.raises(InputError, match="expected"):
            Scaler.from_dict({**whole, "torso": torso})
    with pytest.raises(InputError, match="each, one, torso, none"):
        Scaler.fit(skeletons(), "all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="channels that are joints"):
        Scaler.fit(Panel(np.ones((1, 4, 2), np.float32)), "torso")
