"""What the catalogue says of a set is what loading it gives."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tsrep.data import check_leak, entries, load, load_streams
from tsrep.data.catalogue import names, unit

BUNDLED = [e.name for e in entries() if e.package == "sktime"]
SHARED = [name for e in entries() if e.package is None for name in e.names]


def agrees(name: str) -> None:
    """Compare the loaded set with its entry, fact by fact."""
    data = load(name)
    entry = data.entry
    stream = next((s for s in entry.streams if f"{entry.name}:{s.name}" == name), entry)
    sides = [data.train, data.test] + ([] if data.validation is None else [data.validation])
    assert (len(data.train), len(data.test)) == (entry.train, entry.test)
    assert (0 if data.validation is None else len(data.validation)) == entry.validation
    lengths = np.concatenate([side.lengths for side in sides])
    assert (lengths.min(), lengths.max()) == (stream.shortest, stream.length)
    for side in sides:
        assert side.channels == stream.channels
        assert side.rate == stream.rate
        assert side.values.dtype == np.float32
        assert not np.isinf(side.values).any()
        assert (side.lengths > 0).all()
    seen = {str(c) for side in sides if side.label is not None for c in side.label}
    seen |= {c for side in sides for c in side.classes}
    if entry.task != "regression":
        assert seen == set(entry.classes)
    if entry.name != "NW-UCLA":  # the split by camera has the same people on both sides, as its entry says
        check_leak(data.train, data.test)
    if entry.scaled:
        observed = np.nanstd(data.train.values.astype(np.float64), axis=2)
        assert np.abs(observed.mean() - 1) < 0.03  # the archive divides by n - 1
        assert np.abs(np.nanmean(data.train.values, axis=2)).max() < 0.02


@pytest.mark.parametrize("name", BUNDLED)
def test_a_set_of_the_sktime_wheel_is_as_the_catalogue_says(name: str) -> None:
    pytest.importorskip("sktime")
    agrees(name)


@pytest.mark.parametrize("name", SHARED)
def test_a_set_of_the_data_folder_is_as_the_catalogue_says(name: str, tsrep_data: Path) -> None:
    agrees(name)


def test_every_name_is_there_once_and_every_fact_is_filled_in() -> None:
    assert len(names()) == len(set(names())) == 58
    for entry in entries():
        assert entry.shape
        assert entry.split
        assert entry.licence
        assert entry.publisher
        assert entry.task
        assert entry.train
        assert entry.test
        assert entry.channels or entry.streams
        assert isinstance(entry.here, bool)


def test_the_catalogue_is_printed_without_sktime_or_data() -> None:
    code = (
        "import sys; from tsrep.data import entries; [(e.shape, e.here, repr(e)) for e in entries()];"
        "print([m for m in ('sktime', 'sklearn', 'matplotlib', 'mlflow', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={})
    assert done.stdout.strip() == "[]"


def test_without_the_folder_its_sets_are_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSREP_DATA", raising=False)
    assert {e.name for e in entries() if e.here} <= set(BUNDLED)


def test_uci_har_is_the_official_one(tsrep_data: Path) -> None:
    data = load("UCI-HAR")
    assert (len(data.train), len(data.test)) == (7352, 2947)
    label, count = np.unique(np.concatenate([data.train.label, data.test.label]), return_counts=True)
    assert dict(zip(label.tolist(), count.tolist(), strict=True)) == {
        "WALKING": 1722, "WALKING_UPSTAIRS": 1544, "WALKING_DOWNSTAIRS": 1406,
        "SITTING": 1777, "STANDING": 1906, "LAYING": 1944,
    }  # fmt: skip
    firsts = data.train.values[:, [0, 6], 0]  # the first sample of the official training files is among them
    assert np.isclose(firsts, [1.8085150e-04, 1.0128170], atol=1e-7).all(axis=1).sum() == 1
    same = (data.train.recording[1:] == data.train.recording[:-1]) & (np.diff(data.train.start) == 64)
    at = np.flatnonzero(same)
    np.testing.assert_array_equal(data.train.values[at, :, 64:], data.train.values[at + 1, :, :64])


@pytest.mark.parametrize("name", ["ETTh1", "ETTm1", "WTH"])
def test_the_sides_of_a_long_series_follow_each_other(name: str, tsrep_data: Path) -> None:
    data = load(name)
    sides = [data.train, data.validation, data.test]
    assert [s.start[0] for s in sides[1:]] == [s.start[0] + s.length for s in sides[:2]]
    clock = np.concatenate([s.timestamps[0] for s in sides])
    np.testing.assert_allclose(np.diff(clock), 1 / data.entry.rate)


@pytest.mark.parametrize("name", ["UTD-MHAD", "Berkeley-MHAD", "PTE"])
def test_row_i_of_every_stream_is_the_same_recording(name: str, tsrep_data: Path) -> None:
    data = load_streams(name)
    for side in (data.train, data.test, *([] if data.validation is None else [data.validation])):
        first, *others = side.values()
        assert others
        for other in others:
            np.testing.assert_array_equal(first.recording, other.recording)
            np.testing.assert_array_equal(first.label, other.label)
    chosen = list(data.train)[::-1][:2]
    some = load_streams(name, chosen, subjects=[data.train.subject[0]])
    assert list(some.train) == chosen and set(some.test.subject) == {data.train.subject[0]}
    assert not set(some.train.subject) & set(some.test.subject)


def test_utd_validates_on_a_subject_of_its_training_half(tsrep_data: Path) -> None:
    data = load_streams("UTD-MHAD")
    sides = [sorted(set(side.subject)) for side in (data.train, data.validation, data.test)]
    assert sides == [[1, 3, 5], [7], [2, 4, 6, 8]]


def test_the_six_accelerometers_show_gravity_and_the_hand_that_waves(tsrep_data: Path) -> None:
    streams = load_streams("Berkeley-MHAD")
    moves = {}
    for name, train in streams.train.items():
        g = np.linalg.norm(train.values, axis=1)
        assert 0.5 < np.nanmedian(g) < 1.3
        waving = train.values[train.label == "waving right hand"]
        moves[name] = float(np.nanmedian(np.nanstd(waving, axis=2)))
    assert max(moves, key=moves.__getitem__) == "right_wrist"


def test_beats_lie_around_their_peak(tsrep_data: Path) -> None:
    beats = load("MITBIH-100").train
    normal = beats.values[beats.label == "N", 0]
    peaks = normal[:, 60:140].argmax(axis=1) + 60
    assert (np.abs(peaks - 90) <= 5).mean() > 0.95


def test_beats_of_the_two_sides_share_no_sample(tsrep_data: Path) -> None:
    """Windows of neighbouring beats overlap, so those astride the middle of the record are on neither side."""
    data = load("MITBIH-100")
    start = np.sort(np.concatenate([data.train.start, data.test.start]))
    assert np.diff(start).min() < data.train.length
    assert data.train.start.max() + data.train.length <= 650_000 // 2 <= data.test.start.min()


def test_named_subjects_test_and_all_others_train(tsrep_data: Path) -> None:
    whole, fold = load("Chest-Accelerometer"), load("Chest-Accelerometer", subjects=[3, 8, 13])
    assert set(np.unique(fold.test.subject)) == {3, 8, 13}
    assert set(np.unique(fold.train.subject)) == set(range(1, 16)) - {3, 8, 13}
    assert len(fold.train) + len(fold.test) == len(whole.train) + len(whole.test)
    assert set(np.unique(fold.test.label)) <= set(np.unique(fold.train.label))
    check_leak(fold.train, fold.test)


def test_every_anomaly_window_of_nab_is_labelled(tsrep_data: Path) -> None:
    data = load("NAB")
    share = (data.test.step_label == 1).sum() / (data.test.step_label >= 0).sum()
    assert 0.05 < share < 0.15
    assert ((data.test.step_label == 1).any(axis=1) | (data.train.step_label == 1).any(axis=1)).sum() == 52
    np.testing.assert_array_equal(data.test.start, data.train.lengths)


def test_the_unit_of_a_set_or_of_its_stream_is_known_and_that_of_a_file_is_not() -> None:
    assert unit("ETTh1") == "load; OT in °C"
    assert unit("PTE", "unit2") == unit("PTE:unit2") == "m/s2, rad/s, earth's field"
    assert unit("mine.csv") is unit(None) is None
