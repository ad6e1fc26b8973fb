"""Several streams of the same recordings: rows that agree, and windows of one moment, or of one share of the recording."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsrep.data import Panel, Streams, as_streams, fingerprint, read_streams, resampled, together, windows
from tsrep.errors import InputError


def clocked(seconds: float, rate: float, begin: float = 0.0, n: int = 2) -> Panel:
    """A channel that says the time."""
    clock = begin + np.arange(round(seconds * rate)) / rate
    values = np.broadcast_to(clock, (n, 1, len(clock))).astype(np.float32).copy()
    return Panel(values, rate=rate, timestamps=np.broadcast_to(clock, (n, len(clock))).copy())


def absent(panel: Panel, row: int) -> Panel:
    panel.values[row] = np.nan
    return panel


def test_windows_of_streams_are_the_same_seconds_whatever_their_rates() -> None:
    streams = Streams({"slow": clocked(10, 10), "fast": absent(clocked(10, 50), 1)})
    cut = together(streams, 20, 10)
    assert cut["slow"].values.shape == (18, 1, 20) and cut["fast"].values.shape == (18, 1, 100)
    here = cut.present["fast"]
    assert list(np.flatnonzero(~here)) == list(range(9, 18))
    np.testing.assert_allclose(cut["slow"].values[:9, 0, 0], np.arange(9.0), atol=1e-5)
    np.testing.assert_allclose(cut["fast"].values[:9, 0, 0], np.arange(9.0), atol=1e-5)
    np.testing.assert_allclose(cut["fast"].timestamps[:9, -1], np.arange(9) + 1.98)
    assert list(cut.recording) == [0] * 9 + [1] * 9 and list(cut["fast"].start[:3]) == [0, 50, 100]


def test_a_row_begins_when_the_last_of_its_streams_does_and_ends_with_the_first() -> None:
    streams = Streams({"one": clocked(10, 10, begin=100.0), "two": clocked(10, 20, begin=102.5)})
    for length, count in ((None, 2), (30, 6)):
        cut = together(streams, length)
        assert cut.count == count
        np.testing.assert_allclose(cut["one"].values[0, 0, 0], 102.5)
        np.testing.assert_allclose(cut["two"].values[0, 0, 0], 102.5)
        assert np.nanmax(cut["one"].values) == pytest.approx(109.9)
        assert np.nanmax(cut["two"].values) == pytest.approx(109.95)
    np.testing.assert_allclose(cut["one"].values[1, 0, 0], cut["two"].values[1, 0, 0])
    assert cut["one"].lengths.tolist() == [30, 30, 15] * 2


def test_one_stream_is_cut_as_windows_cuts_it() -> None:
    values = np.random.default_rng(0).standard_normal((3, 2, 50)).astype(np.float32)
    values[1, :, 33:] = np.nan
    panel = Panel(values, rate=5.0, label=np.arange(3), subject=np.arange(3))
    for length, hop in ((20, 20), (20, 7), (60, None)):
        cut = together(Streams({"one": panel}), length, hop)["one"]
        expected = windows(panel, min(length, 50), hop, keep_short=True)
        np.testing.assert_array_equal(cut.values[:, :, : expected.length], expected.values)
        np.testing.assert_array_equal(cut.start, expected.start)
        np.testing.assert_array_equal(cut.label, expected.label)


def test_by_position_every_stream_is_cut_at_the_same_shares() -> None:
    """Clocks that drift: both say the share of the recording."""
    long, short = np.full((2, 1, 80), np.nan, np.float32), np.full((2, 1, 30), np.nan, np.float32)
    for row, (a, b) in enumerate(((80, 20), (40, 30))):
        long[row, 0, :a], short[row, 0, :b] = np.arange(a) / a, np.arange(b) / b
    streams = Streams({"long": Panel(long), "short": Panel(short)})
    whole = together(streams, align="position", steps=10)
    assert whole["long"].values.shape == whole["short"].values.shape == (2, 1, 10)
    np.testing.assert_allclose(whole["long"].values, whole["short"].values, atol=0.05)
    cut = together(streams, 40, align="position")
    assert cut.recording.tolist() == [0, 0, 1] and cut["short"].lengths.tolist() == [10, 10, 30]
    np.testing.assert_allclose(cut["long"].values[1, 0, 0], 0.5)
    np.testing.assert_allclose(cut["short"].values[1, 0, 0], 0.5)


def test_resampling_is_the_straight_line_between_neighbours() -> None:
    values = np.random.default_rng(1).standard_normal((4, 2, 17)).astype(np.float32)
    values[0, :, 12:], values[1, :, :5], values[2, 0, 8], values[3] = np.nan, np.nan, np.nan, np.nan
    made = resampled(Panel(values, rate=3.0), 9)
    assert made.values.shape == (4, 2, 9) and made.rate is None and made.values.dtype == np.float32
    for row, (first, last) in enumerate(((0, 11), (5, 16))):
        for channel in range(2):
            expected = np.interp(np.linspace(first, last, 9), np.arange(17), values[row, channel])
            np.testing.assert_allclose(made.values[row, channel], expected, rtol=1e-5, atol=1e-6)
    assert list(np.flatnonzero(np.isnan(made.values[2, 0]))) == [4] and np.isnan(made.values[3]).all()
    np.testing.assert_array_equal(resampled(Panel(values[2:3]), 17).values, values[2:3])


def test_labels_of_steps_become_labels_of_windows() -> None:
    panel = clocked(8, 10)
    step = np.where(panel.values[:, 0] < 4, 0, 1).astype(np.int32)
    step[1] = -1
    one = Panel(panel.values, rate=10.0, step_label=step, classes=("sit", "run"))
    cut = together(Streams({"one": one, "two": clocked(8, 5)}), 40)
    assert cut.label.tolist() == ["sit", "run"] and cut["two"].values.shape == (2, 1, 20)


def test_streams_that_disagree_are_refused() -> None:
    one = Panel(np.zeros((3, 1, 4), np.float32), label=np.array([0, 1, 2]), subject=np.zeros(3))
    with pytest.raises(InputError, match=r"the same rows in every stream, got \{'a': 3, 'b': 2\}"):
        Streams({"a": one, "b": one.rows([0, 1])})
    with pytest.raises(InputError, match=r"label of 'a' and 'b' differ in 2 rows \(rows 0, 2\)"):
        Streams({"a": one, "b": Panel(one.values, label=np.array([2, 1, 0]))})
    with pytest.raises(InputError, match=r"1 of 3 rows hold no observed value in any stream \(rows 1\)"):
        Streams({"a": absent(Panel(one.values.copy()), 1), "b": absent(Panel(one.values.copy()), 1)})
    with pytest.raises(InputError, match="without '/'"):
        Streams({"left/wrist": one})
    with pytest.raises(InputError, match="at least one stream"):
        Streams({})
    streams = Streams({"a": one, "b": Panel(one.values)})
    assert streams.label.tolist() == [0, 1, 2] and streams.recording is None
    with pytest.raises(InputError, match="no stream 'c' in the data"):
        streams.choose(["c"])
    with pytest.raises(InputError, match="each of them once"):
        streams.choose(["a", "a"])
    uneven = Streams({"a": clocked(3, 10), "b": Panel(np.zeros((2, 1, 4), np.float32))})
    with pytest.raises(InputError, match="expected the rate of every stream to align them by time, got none of b"):
        together(uneven, 5)


def test_a_choice_of_streams_leaves_out_rows_that_have_none_of_them() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 1, 4)
    streams = as_streams({"a": values, "b": absent(Panel(values.copy()), 1).values}, ["b"])
    assert list(streams) == ["b"] and streams["b"].values[:, 0, 0].tolist() == [0.0, 8.0]
    assert as_streams(streams) is streams
    with pytest.raises(InputError, match="infinite"):
        as_streams({"a": np.full((2, 1, 3), np.inf)})


def test_a_long_table_with_a_column_stream_becomes_streams(tmp_path: Path) -> None:
    lines = [
        (i, step / rate, stream, float(step), "run" if i else "sit", i)
        for i in range(3)
        for stream, rate in (("wrist", 10), ("hip", 20))
        for step in range(2 * rate)
        if (i, stream) != (1, "hip")
    ]
    table = pd.DataFrame(lines, columns=["id", "timestamp", "stream", "x", "label", "subject"])
    table.to_csv(tmp_path / "table.csv", index=False)
    for given in (table, tmp_path / "table.csv"):
        streams = as_streams(given)
        assert isinstance(streams, Streams) and list(streams) == ["wrist", "hip"]
        assert streams.present["hip"].tolist() == [True, False, True]
        assert streams.label.tolist() == ["sit", "run", "run"] and streams.subject.tolist() == [0, 1, 2]
        cut = together(streams, 10)
        assert cut.count == 6 and cut["hip"].length == 20
    assert fingerprint(streams) == fingerprint(read_streams(table)) != fingerprint(streams.choose(["hip", "wrist"]))
