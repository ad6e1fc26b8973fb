"""The baselines on real data, and the rule by which gaps and unequal lengths are made whole."""

import numpy as np
import pytest

from tsrep.errors import InputError
from tsrep.evaluation.baselines import BASELINES, catch22_features, features, minirocket_features
from tsrep.evaluation.linear import linear, ridge
from tsrep.even import even, filled, stretched


@pytest.fixture(scope="module")
def motions() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    from sktime.datasets import load_basic_motions

    train, labels = load_basic_motions(split="train", return_type="numpy3D")
    test, truth = load_basic_motions(split="test", return_type="numpy3D")
    return train, labels, test, truth


def test_minirocket_and_catch22_read_basic_motions(motions: tuple[np.ndarray, ...]) -> None:
    train, labels, test, truth = motions
    rocket, plain = minirocket_features(train, test), (catch22_features(train), catch22_features(test))
    assert rocket[0].shape == (40, 9996)
    assert plain[0].shape == (40, 24 * 6)
    assert (ridge(rocket[0], labels, rocket[1]) == truth).mean() >= 0.95
    assert (linear(plain[0], labels, plain[1]) == truth).mean() >= 0.8


def test_minirocket_follows_its_seed(motions: tuple[np.ndarray, ...]) -> None:
    train, _, test, _ = motions
    first, same, other = (minirocket_features(train, test, seed=seed)[0] for seed in (0, 0, 1))
    assert (first == same).all()
    assert (first != other).any()


def test_padding_changes_nothing(motions: tuple[np.ndarray, ...]) -> None:
    train, labels, test, _ = motions
    ragged = [array[:, :, :40].copy() for array in (train, test)]
    ragged[0][0, :, 25:] = np.nan
    padded = [np.pad(array, ((0, 0), (0, 0), (3, 20)), constant_values=np.nan) for array in ragged]
    for left, right in zip(minirocket_features(*ragged), minirocket_features(*padded), strict=True):
        assert (left == right).all()
    assert (catch22_features(ragged[0]) == catch22_features(padded[0])).all()
    assert len(np.unique(ridge(minirocket_features(*ragged)[0], labels, minirocket_features(*padded)[1]))) > 1


def test_the_test_part_does_not_change_how_the_training_part_is_seen(motions: tuple[np.ndarray, ...]) -> None:
    train, _, test, _ = motions
    alone = minirocket_features(train, test[:1])
    assert (alone[0] == minirocket_features(train, 100 + 5 * test)[0]).all()
    assert (even(train, test)[0] == even(train, test[:3] * 9)[0]).all()


def test_gaps_are_bridged_on_straight_lines_and_ends_are_held() -> None:
    values = np.array([[[np.nan, 1, np.nan, 3, np.nan], [5, np.nan, np.nan, np.nan, np.nan]]])
    (one,) = filled(values)
    np.testing.assert_allclose(one, [[1, 1, 2, 3], [5, 5, 5, 5]])


def test_a_channel_without_a_value_is_zero_and_a_series_without_one_is_refused() -> None:
    values = np.full((2, 2, 3), np.nan)
    values[0, 0] = 1
    with pytest.raises(InputError, match="1 without any, the first is row 1"):
        filled(values)
    (one,) = filled(values[:1])
    assert one.tolist() == [[1, 1, 1], [0, 0, 0]]


def test_stretching_keeps_the_ends_and_the_line_between() -> None:
    line = np.linspace(0, 1, 5)[None]
    np.testing.assert_allclose(stretched([line, line[:, ::-1]], 9)[:, 0], [np.linspace(0, 1, 9), np.linspace(1, 0, 9)])
    single = stretched([np.array([[4.0]])], 3)
    assert single.tolist() == [[[4, 4, 4]]]


def test_series_of_many_lengths_down_to_one_step_have_features() -> None:
    rng = np.random.default_rng(0)
    ragged = rng.standard_normal((6, 2, 26))
    for row, length in enumerate((1, 3, 7, 8, 20, 26)):
        ragged[row, :, length:] = np.nan
    left, right = minirocket_features(ragged, ragged[:2])
    assert left.shape == (6, left.shape[1])
    assert (left[:2] == right).all()
    assert np.isfinite(catch22_features(ragged)).all()


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(InputError, match="as many channels"):
        even(np.zeros((2, 3, 20)), np.zeros((2, 2, 20)))


def test_every_baseline_is_there_by_name_and_a_mistyped_one_is_answered() -> None:
    x = np.random.default_rng(0).standard_normal((6, 2, 20)).cumsum(axis=2)
    for name in BASELINES:
        left, right = features(name, x[:4], x[4:], seed=3)
        assert (len(left), len(right)) == (4, 2)
        assert left.shape[1] == right.shape[1] > 24
        assert left.std(axis=0).max() > 0
    np.testing.assert_array_equal(
        features("minirocket", x[:4], x[4:], seed=3)[1], minirocket_features(x[:4], x[4:], seed=3)[1]
    )
    with pytest.raises(InputError, match="did you mean 'minirocket'"):
        features("mini_rocket", x[:4], x[4:])
