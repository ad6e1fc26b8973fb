"""Scaling sees observed values alone; a fingerprint names exactly these data."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tsrep.data import Panel, Scaler, fingerprint
from tsrep.errors import InputError


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
