"""Windows hold what the series held, and every step that they should."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsrep.data import Panel, as_panel, join, windows
from tsrep.errors import InputError


def counted(lengths: list[int], missing: float = 0.0) -> Panel:
    """Series in which step t of series i holds 1000 i + t in channel 0 and its negative in channel 1."""
    n, time = len(lengths), max(lengths)
    values = (1000 * np.arange(n)[:, None] + np.arange(time)).astype(np.float32)
    values[np.arange(time) >= np.array(lengths)[:, None]] = np.nan
    if missing:
        values[np.random.default_rng(0).random(values.shape) < missing] = np.nan
    return Panel(np.stack([values, -values], axis=1), ("a", "b"), 10.0, label=np.arange(n), subject=np.arange(n) // 2)


series = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@given(series, st.integers(1, 12), st.integers(1, 15), st.booleans())
def test_windows_are_pieces_of_their_series(lengths: list[int], length: int, hop: int, keep_short: bool) -> None:
    panel = counted(lengths)
    if length > max(lengths):
        with pytest.raises(InputError, match=f"longest series of {max(lengths)} steps, got {length}"):
            windows(panel, length, hop, keep_short)
        return
    cut = windows(panel, length, hop, keep_short)
    expected = []  # the slow loop
    for row, steps in enumerate(lengths):
        for begin in range(0, steps, hop):
            whole = begin + length <= steps
            new = begin == 0 or begin - hop + length < steps
            if whole or (keep_short and new):
                piece = np.full((2, length), np.nan, np.float32)
                held = panel.values[row, :, begin : min(begin + length, steps)]
                piece[:, : held.shape[1]] = held
                expected.append((row, begin, piece))
    assert cut.recording.tolist() == [row for row, _, _ in expected]
    assert cut.start.tolist() == [begin for _, begin, _ in expected]
    np.testing.assert_array_equal(cut.values, np.stack([piece for _, _, piece in expected]))
    assert cut.label.tolist() == cut.recording.tolist()
    assert cut.channels == panel.channels
    assert cut.rate == panel.rate


@given(series, st.integers(1, 12))
def test_short_windows_kept_cover_every_step_once(lengths: list[int], length: int) -> None:
    length = min(length, max(lengths))
    cut = windows(counted(lengths), length, keep_short=True)
    seen = cut.values[:, 0]
    assert sorted(seen[~np.isnan(seen)]) == [1000 * i + t for i, n in enumerate(lengths) for t in range(n)]


def test_windows_without_observations_are_left_out() -> None:
    panel = counted([20, 20])
    panel.values[0, :, 5:10] = np.nan
    cut = windows(panel, 5)
    assert list(zip(cut.recording, cut.start, strict=True)) == [
        (0, 0), (0, 10), (0, 15), (1, 0), (1, 5), (1, 10), (1, 15)
    ]  # fmt: skip


def test_windows_of_windows_still_know_their_recording() -> None:
    once = windows(counted([40, 40]), 20, 20)
    twice = windows(once, 5, 5)
    direct = windows(counted([40, 40]), 5, 5)
    np.testing.assert_array_equal(twice.values, direct.values)
    np.testing.assert_array_equal(twice.start, direct.start)
    np.testing.assert_array_equal(twice.recording, direct.recording)


def test_the_clock_goes_along() -> None:
    table = pd.DataFrame({"id": 1, "timestamp": np.arange(10) / 5, "x": np.arange(10.0)})
    cut = windows(as_panel(table), 4, 3)
    np.testing.assert_allclose(cut.timestamps, (np.arange(3)[:, None] * 3 + np.arange(4)) / 5)


def test_a_label_that_changes_along_a_recording_becomes_the_majority_of_each_window() -> None:
    labels = ["sit"] * 4 + ["walk"] * 5 + [None] * 3
    table = pd.DataFrame({"id": "p1", "timestamp": np.arange(12) / 2, "x": np.arange(12.0), "label": labels})
    panel = as_panel(table, step_labels=True)
    assert panel.label is None
    assert panel.classes == ("sit", "walk")
    cut = windows(panel, 3)
    assert cut.label.tolist() == ["sit", "walk", "walk"]  # the last window has no label at all
    assert cut.start.tolist() == [0, 3, 6]
    assert cut.recording.tolist() == ["p1"] * 3
    assert cut.step_label is None


@pytest.mark.parametrize(("length", "hop"), [(0, None), (5, 0), (5, -1), (2.5, None), (True, None)])
def test_odd_lengths_and_hops_are_refused(length: int, hop: int | None) -> None:
    with pytest.raises(InputError, match="whole number of steps"):
        windows(counted([10]), length, hop)


def test_joining_pads_and_keeps_what_both_know() -> None:
    left, right = counted([4, 6]), counted([9])
    both = join(left, right)
    assert both.values.shape == (3, 2, 9)
    assert both.lengths.tolist() == [4, 6, 9]
    assert both.label.tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="same channels"):
        join(left, Panel(np.zeros((1, 1, 3), np.float32)))
