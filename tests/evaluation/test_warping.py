"""Dynamic time warping: a hand example, a slow loop, published accuracies, and the rule of affordability."""

from pathlib import Path

import numpy as np
import pytest

from tsrep.data import load
from tsrep.errors import InputError
from tsrep.evaluation.warping import BANDS, MOST, affordable, nearest_warped, warped
from tsrep.even import even


def slow(x: np.ndarray, y: np.ndarray, band: int) -> float:
    """The recursion as it is written, all of the matrix: (channel, time) twice."""
    time = x.shape[1]
    cost = np.full((time + 1, time + 1), np.inf)
    cost[0, 0] = 0
    for i in range(time):
        for j in range(time):
            if abs(i - j) <= band:
                here = ((x[:, i] - y[:, j]) ** 2).sum()
                cost[i + 1, j + 1] = here + min(cost[i, j], cost[i, j + 1], cost[i + 1, j])
    return float(np.sqrt(cost[time, time]))


def test_a_shifted_peak_costs_nothing_within_the_band_and_all_beyond_it() -> None:
    """By hand: (0,0,1,0,0,0) onto (0,1,0,0,0,0) is a shift by one. Scaling divides by the training part's deviation √5 / 6."""
    train = np.array([[[0.0, 1, 0, 0, 0, 0]]])
    test = np.array([[[0.0, 0, 1, 0, 0, 0]], [[0.0, 0, 0, 0, 1, 0]]])
    near = nearest_warped(train, test, band=1 / 6)[1]
    assert near[0] == pytest.approx(0, abs=1e-12)
    assert near[1] == pytest.approx(np.sqrt(2) * 6 / np.sqrt(5))  # three steps away: both peaks are paid for
    assert nearest_warped(train, test, band=0)[1] == pytest.approx([np.sqrt(2) * 6 / np.sqrt(5)] * 2)
    assert nearest_warped(train, test, band=1.0)[1] == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize("band", [0.0, 0.1, 0.34, 1.0])
def test_the_nearest_is_that_of_a_slow_loop(band: float) -> None:
    rng = np.random.default_rng(1)
    train, test = rng.standard_normal((7, 2, 12)).cumsum(axis=2), rng.standard_normal((5, 2, 12)).cumsum(axis=2)
    test[0, :, 9:] = np.nan  # shorter: stretched
    place, distance = nearest_warped(train, test, band=band)
    left, right = even(train, test)
    table = np.array([[slow(x, y, int(np.ceil(band * 12))) for y in left] for x in right])
    np.testing.assert_array_equal(place, table.argmin(axis=1))
    np.testing.assert_allclose(distance, table.min(axis=1))
    assert len(set(place.tolist())) > 1


def test_of_two_that_are_equally_near_the_first_wins() -> None:
    train = np.array([[[5.0, 1, 2]], [[0.0, 1, 2]], [[0.0, 1, 2]]])
    assert nearest_warped(train, train, band=0.1)[0].tolist() == [0, 1, 1]
    assert nearest_warped(train, train, band=0.1, other=True)[0].tolist() == [1, 2, 1]


def test_published_accuracies_are_met(tsrep_data: Path) -> None:
    """CBF: .997 with DTW, .852 Euclidean (UCR archive)."""
    data = load("CBF")
    accuracy = {
        band: np.mean(
            data.train.label[nearest_warped(data.train.values, data.test.values, band=band)[0]] == data.test.label
        )
        for band in (0.0, 1.0)
    }
    assert accuracy[1.0] == pytest.approx(0.997, abs=5e-4)
    assert accuracy[0.0] == pytest.approx(0.852, abs=5e-4)


def test_the_band_is_learned_on_the_training_part_and_the_narrowest_of_equals_wins() -> None:
    """One bump or two: within a narrow band the nearest of a single one is the double one that begins where it is."""
    label = np.array([0, 1] * 4)
    series = np.zeros((8, 1, 40))
    for row, first in enumerate(np.repeat([2, 14, 26, 20], 2)):
        series[row, 0, [first, *([first + 6] if label[row] else [])]] = 1
    predicted, band = warped(series[:6], label[:6], series[6:])
    assert band == 1.0
    assert predicted.tolist() == [0, 1]
    apart = series + 10 * label[:, None, None]
    assert warped(apart[:6], label[:6], apart[6:])[1] == BANDS[0]


def test_what_is_affordable_is_said_by_rows_and_length() -> None:
    rows, time = 100, int(np.sqrt(MOST / 20_000))
    assert affordable(np.empty((rows, 1, time)), np.empty((rows, 1, time)))
    assert not affordable(np.empty((rows, 1, time)), np.empty((rows + 1, 1, time)))


def test_a_band_beyond_the_series_is_refused() -> None:
    with pytest.raises(InputError, match=r"between 0 and 1.*got 12"):
        nearest_warped(np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), band=12)
