"""Which channels are learned from: chosen, with the calendar of the clock, one by one; and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tsrep.data import Panel
from tsrep.data.columns import CALENDAR, VALUE, apart, clock, columns, inputs
from tsrep.errors import InputError

DAY = 86400.0


def panel(clocked: bool = True, n: int = 2, time: int = 30) -> Panel:
    rng = np.random.default_rng(0)
    stamps = 1.7e9 + 7919.0 * np.arange(n * time).reshape(n, time)
    return Panel(
        rng.standard_normal((n, 3, time)).astype(np.float32), ("a", "b", "c"), timestamps=stamps if clocked else None
    )


def by_hand(second: float) -> list[int]:
    """The seven covariates of one stamp, by the calendar of Python."""
    date = datetime.fromtimestamp(second, UTC)
    return [
        date.minute, date.hour, date.weekday(), date.day, date.timetuple().tm_yday, date.month, date.isocalendar().week,
    ]  # fmt: skip


def test_the_calendar_is_that_of_a_slow_loop() -> None:
    """Over the turn of years too, where the ISO week is one of the other year."""
    stamps = np.concatenate([np.arange(0, 400 * DAY, 0.37 * DAY) // 60 * 60 + start for start in (0.0, 1.45e9, 1.7e9)])
    found = clock(stamps)
    assert found.shape == (len(CALENDAR), len(stamps)) and found.dtype == np.float32
    np.testing.assert_array_equal(found.T, [by_hand(second) for second in stamps])
    assert (found.max(axis=1) >= [58, 23, 6, 31, 366, 12, 53]).all()


def test_where_the_clock_is_missing_so_is_the_calendar() -> None:
    found = clock(np.array([0.0, np.nan, 3600.0]))
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_array_equal(found[:, [0, 2]], clock(np.array([0.0, 3600.0])))


def test_channels_are_chosen_in_the_order_asked_for() -> None:
    given = panel()
    found = columns(given, ("c", "a"), False)
    assert found.channels == ("c", "a")
    np.testing.assert_array_equal(found.values, given.values[:, [2, 0]])
    assert columns(given, None, False) is given


def test_the_calendar_comes_after_the_channels_and_once() -> None:
    given = panel()
    found = columns(given, ("b",), True)
    assert found.channels == ("b", *CALENDAR)
    np.testing.assert_array_equal(found.values[:, 0], given.values[:, 1])
    for row in range(len(given)):
        np.testing.assert_array_equal(found.values[row, 1:], clock(given.timestamps[row]))  # type: ignore[index]
    assert found.values.dtype == np.float32
    assert columns(found, None, True) is found
    again = columns(found, ("b",), True)  # as where windows that were cut before are given to a plan
    assert again.channels == found.channels
    np.testing.assert_array_equal(again.values, found.values)


@pytest.mark.parametrize("calendar", [False, True])
def test_apart_is_a_slow_loop_over_series_and_channels(calendar: bool) -> None:
    given = columns(panel(), None, calendar)
    given.values[0, 1, 4:9] = np.nan
    found = apart(given.values, given.channels)
    expected = []
    for series in given.values:
        for channel in range(3):
            expected.append(np.concatenate([series[channel][None], series[3:]]))
    np.testing.assert_array_equal(found, np.stack(expected))
    assert inputs(given.channels, True) == (VALUE, *(CALENDAR if calendar else ()))
    assert found.shape[1] == len(inputs(given.channels, True))
    assert inputs(given.channels, False) == given.channels


def test_a_calendar_between_the_channels_is_found_by_name() -> None:
    """Where the data came with it, and not at the end."""
    values = panel().values
    np.testing.assert_array_equal(apart(values, ("a", "clock_hour", "c")), np.concatenate(
        [np.stack([values[:, [0, 1]], values[:, [2, 1]]], axis=1).reshape(4, 2, -1)]))  # fmt: skip
    assert inputs(("a", "clock_hour", "c"), True) == (VALUE, "clock_hour")


def empty_channel() -> np.ndarray:
    given = panel()
    given.values[1, 2] = np.nan
    return apart(given.values, given.channels)


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown": (lambda: columns(panel(), ("a", "d"), False), "no channel 'd' in the data; known are: a, b, c"),
    "misspelt": (
        lambda: columns(replace(panel(), channels=("load", "oil", "gas")), ("lod",), False),
        "did you mean 'load'",
    ),
    "none": (lambda: columns(panel(), (), False), "at least one channel, each of them once, got none"),
    "twice": (lambda: columns(panel(), ("a", "b", "a"), False), "each of them once, got a, b, a"),
    "no clock": (
        lambda: columns(panel(clocked=False), None, True),
        "expected a clock.*column timestamp.*calendar=false",
    ),
    "a channel called like the calendar": (
        lambda: columns(replace(panel(), channels=("a", "clock_hour", "c")), None, True),
        "channel 'clock_hour' of the data has the name of a part of the calendar; call it otherwise",
    ),
    "a channel of which nothing was observed": (empty_channel, r"in 1 series one is not \(rows 1\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_chosen_is_refused(name: str) -> None:
    make, said = BAD[name]
    with pytest.raises(InputError, match=said):
        make()
