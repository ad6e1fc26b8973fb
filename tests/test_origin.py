"""A row that is spoken of can be found in the data again: recording, step, subject and channel."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tsrep
from tsrep.data.columns import apart
from tsrep.data.windows import windows
from tsrep.origin import Origin
from tsrep.preparing import prepare


def panel() -> tsrep.Panel:
    """Three recordings of two channels whose values are unique."""
    values = np.arange(3 * 2 * 40, dtype=np.float32).reshape(3, 2, 40)
    return tsrep.Panel(values, ("x", "y"), rate=8.0, subject=np.array(["ann", "bob", "cid"]))


@pytest.mark.parametrize("independent", [False, True])
def test_every_row_is_found_again_in_the_data(independent: bool) -> None:
    data = panel()
    cut = windows(data, 10, 5)
    origin = Origin.of(cut, independent)
    values = apart(cut.values, cut.channels) if independent else cut.values
    assert len(origin) == len(values) == (42 if independent else 21)
    for row, window in enumerate(values):
        channels = [data.channels.index(origin.channel[row])] if independent else [0, 1]  # type: ignore[index]
        begin = origin.start[row]
        np.testing.assert_array_equal(data.values[int(origin.recording[row]), channels, begin : begin + 10], window)
        assert origin.subject is not None and origin.subject[row] == data.subject[int(origin.recording[row])]  # type: ignore[index]
    table = origin.table()
    known = ["recording", "subject", *(["channel"] if independent else []), "start", "seconds"]
    assert list(table) == known
    np.testing.assert_allclose(table["seconds"], origin.start / 8.0)


def test_the_calendar_is_no_channel_of_its_own() -> None:
    from tsrep.data.columns import CALENDAR

    data = replace(panel(), values=np.zeros((3, 9, 40), np.float32), channels=("x", "y", *CALENDAR))
    origin = Origin.of(data, True)
    assert origin.channel is not None and origin.channel.tolist() == ["x", "y"] * 3


def test_recordings_keep_their_number_when_some_are_kept_aside() -> None:
    x = np.random.default_rng(0).standard_normal((9, 1, 16)).astype(np.float32)
    plan, _ = tsrep.make_plan({"method": "simclr", "data": {"scaling": "none"}, "training": {"validation": 0.3}})
    ready = prepare(tsrep.as_panel(x), plan)
    assert ready.validation is not None and len(ready.train) == len(ready.origin) < 9
    for row, values in enumerate(ready.train.values.numpy()):
        np.testing.assert_array_equal(x[int(ready.origin.recording[row])], values)


def test_names_of_recordings_are_kept() -> None:
    named = replace(panel(), recording=np.array(["a.csv", "b.csv", "c.csv"]), subject=None, rate=None)
    origin = Origin.of(windows(named, 20), False)
    assert origin.recording.tolist() == ["a.csv"] * 2 + ["b.csv"] * 2 + ["c.csv"] * 2
    assert list(origin.table()) == ["recording", "start"]
    assert origin.called(3) == "recording b.csv, step 20"
    assert Origin.of(windows(panel(), 20), True).called(7) == "recording 1, step 20 (2.5 s), subject bob, channel y"


@pytest.mark.parametrize("independent", [False, True])
def test_what_is_stored_is_restored(independent: bool) -> None:
    origin = Origin.of(windows(panel(), 10), independent)
    again = Origin.restored(*origin.stored())
    for name in ("recording", "start", "subject", "channel"):
        np.testing.assert_array_equal(getattr(again, name), getattr(origin, name))
    assert again.rate == origin.rate
    tensors, numbers = origin.stored()
    with pytest.raises(ValueError, match="not of one number"):
        Origin.restored(tensors | {"start": torch.zeros(1, dtype=torch.int64)}, numbers)
