"""Drift: the statistic is its formula, the test keeps its level and sees what has moved, and the reference goes with its model."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import tsrep
from tsrep import drift
from tsrep.drift import LEVEL, Reference

sys.path.insert(0, str(Path(__file__).parent))
from reference import mmd as slow

ENCODER = {"name": "dilated", "hidden": 8, "depth": 2, "features": 8}
RNG = np.random.default_rng(0)


def windows(n: int, seed: int, speed: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    phase, noise = rng.uniform(0, 6, (n, 2, 1)), rng.standard_normal((n, 2, 24)) / 2
    return (np.sin(speed * np.arange(24) + phase) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> tsrep.Model:
    return tsrep.fit(windows(200, 0), encoder=ENCODER, training={"steps": 10})


def test_the_statistic_and_its_width_are_their_formulas():
    x, y = RNG.standard_normal((33, 5)).astype(np.float32), (RNG.standard_normal((40, 5)) + 3).astype(np.float32)
    reference = Reference(x + 100)  # far from zero
    found = reference.compare(y + 100)
    assert reference.width == pytest.approx(slow.width(x), rel=1e-4)
    assert found.value == pytest.approx(slow.mmd(x, y, slow.width(x)), rel=1e-3)
    assert found.drifted and found.value > 10 * found.threshold


def test_the_threshold_is_that_of_random_splits():
    """Counted one by one over splits of both samples together."""
    x, y = RNG.standard_normal((32, 2)), RNG.standard_normal((32, 2)) + 0.5
    found = Reference(x.astype(np.float32)).compare(y, splits=19, seed=4)
    rng, both, values = np.random.default_rng(4), np.concatenate([x, y]), []
    first = np.zeros((19, 64), bool)
    first[:, :32] = True
    for ours in rng.permuted(first, axis=1):
        values.append(slow.mmd(both[ours], both[~ours], slow.width(x)))
    assert found.threshold == pytest.approx(max(values), rel=1e-3, abs=1e-6)  # of so few the largest


@pytest.mark.parametrize("shape", ["normal", "heavy", "few values"])
def test_without_drift_it_is_called_once_in_a_hundred(shape):
    rng, tries = np.random.default_rng(7), 500
    draw = {
        "normal": lambda n: rng.standard_normal((n, 4)),
        "heavy": lambda n: rng.standard_cauchy((n, 4)),
        "few values": lambda n: rng.integers(0, 3, (n, 4)).astype(float),
    }[shape]
    alarms = [Reference(draw(48).astype(np.float32)).compare(draw(40), splits=99, seed=k).drifted for k in range(tries)]
    expected = LEVEL * tries
    assert 0 < sum(alarms) < expected + 4 * expected**0.5  # and never is no level either


def test_what_has_moved_is_seen_and_held_out_windows_are_not(model):
    same = [model.reference.compare(model.embed(windows(150, seed))).drifted for seed in range(1, 9)]
    assert sum(same) <= 1
    for changed in (windows(150, 20, speed=1.3), windows(150, 21) + 1, 2 * windows(150, 22)):
        found = model.reference.compare(model.embed(changed))
        assert found.drifted and found.value > found.threshold > 0


def test_the_reference_is_embeddings_of_training_windows_spread_over_all(model):
    assert len(model.reference) == 200
    np.testing.assert_allclose(model.reference.embeddings, model.embed(windows(200, 0)), rtol=1e-5, atol=1e-6)
    assert drift.sample(np.zeros((5000, 1, 24))).shape == (drift.MOST, 1, 24)
    assert drift.sample(np.zeros((100, 1, 2**14))).shape == (drift.LEAST, 1, 2**14)  # long windows cost time


def test_it_is_saved_with_its_model_and_refused_with_another(model, tmp_path):
    folder = model.save(tmp_path / "model")
    loaded = tsrep.load(folder)
    np.testing.assert_array_equal(loaded.reference.embeddings, model.reference.embeddings)
    assert tsrep.untrained(model, 1).reference is None
    Reference(model.reference.embeddings + 1).save(folder / drift.NAME)
    with pytest.raises(tsrep.InputError, match="the reference that was saved"):
        tsrep.load(folder)


def test_a_run_of_before_still_loads(model, tmp_path):
    folder = model.save(tmp_path / "model")
    (folder / drift.NAME).unlink()
    held = json.loads((folder / "data.json").read_text())
    del held["reference"]
    (folder / "data.json").write_text(json.dumps(held))
    old = tsrep.load(folder)
    assert old.reference is None
    np.testing.assert_array_equal(old.embed(windows(5, 3)), model.embed(windows(5, 3)))
    assert tsrep.load(old.save(tmp_path / "again")).reference is None


@pytest.mark.parametrize(("shape", "told"), [((40, 3), r"embeddings \(n, 4\)"), ((31, 4), "at least 32 windows")])
def test_what_can_not_be_compared_is_refused(shape, told):
    with pytest.raises(tsrep.InputError, match=told):
        Reference(np.zeros((40, 4), np.float32)).compare(np.zeros(shape))
