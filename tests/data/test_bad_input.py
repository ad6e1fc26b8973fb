"""Bad input is refused in words: what was expected, what came, what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsrep.data import Panel, as_panel, check_channels, load
from tsrep.errors import InputError

IMU = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")


def table(**change: Any) -> pd.DataFrame:
    base = {"id": [1, 1, 2, 2], "timestamp": [0.0, 1.0, 0.0, 1.0], "x": [1.0, 2.0, 3.0, 4.0]}
    return pd.DataFrame(base | change)


def infinite() -> np.ndarray:
    values = np.zeros((3, 2, 5))
    values[1, 1, 2] = values[2, 1, 0] = np.inf
    return values


def unseen() -> np.ndarray:
    values = np.zeros((4, 2, 5))
    values[[1, 3]] = np.nan
    return values


CASES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "two axes": (np.zeros((4, 9)), {}, r"\(n, channel, time\), got \(4, 9\): add a channel axis with X\[:, None, :\]"),
    "one axis": (np.zeros(4), {}, r"\(n, channel, time\), got \(4,\)"),
    "no series": (np.zeros((0, 2, 5)), {}, r"got shape \(0, 2, 5\): empty data"),
    "no steps": (np.zeros((3, 2, 0)), {}, "empty data"),
    "empty list": ([], {}, "empty list"),
    "empty table": (table().iloc[:0], {}, "empty data"),
    "objects": (np.array([[["a", 1]]], dtype=object), {}, "object array"),
    "text": (np.array([[["a", "b"]]]), {}, "real numbers, got <U1"),
    "complex": (np.zeros((1, 1, 3), complex), {}, "real numbers, got complex128"),
    "infinite": (infinite(), {"channels": ["x", "y"]}, r"channel y holds 2 infinite values \(first: series 1, step 2"),
    "beyond float32": (np.full((1, 1, 3), 1e300), {}, "3 infinite values"),
    "all missing": (unseen(), {}, r"2 of 4 series hold no observed value \(rows 1, 3\)"),
    "list of 1-D": ([np.zeros(4)], {}, r"series 0 of shape \(channel, time\), got \(4,\): add a channel axis"),
    "list of unequal channels": ([np.zeros((2, 4)), np.zeros((3, 4))], {}, "series 1 to have 2 channels.*got 3"),
    "names": (np.zeros((1, 3, 4)), {"channels": ["x"]}, "expected 3 channel names, got 1"),
    "labels": (np.zeros((3, 1, 4)), {"label": [1, 2]}, "one label for each of the 3 series, got 2"),
    "missing label": (np.zeros((2, 1, 4)), {"label": ["a", None]}, "label is missing for 1 of 2 series"),
    "mixed labels": (np.zeros((2, 1, 4)), {"label": ["a", 1]}, "text or numbers, got a mix"),
    "rate": (np.zeros((2, 1, 4)), {"rate": -1}, "positive rate"),
    "column name for an array": (np.zeros((2, 1, 4)), {"label": "kind"}, "names a column of a long table"),
    "stream of an array": (np.zeros((2, 1, 4)), {"stream": "hip"}, "chooses a stream of a long table"),
    "something else": ({"a": 1}, {}, "got a dict"),
    "no id": (table().drop(columns="id"), {}, "no column id"),
    "mistyped timestamp": (table().rename(columns={"timestamp": "timestamps"}), {}, "did you mean 'timestamps'"),
    "no channel": (table().drop(columns="x"), {}, "at least one channel"),
    "mistyped channel": (table(), {"channels": ["xx"]}, "no column 'xx': did you mean 'x'"),
    "text in a channel": (table(x=["1", "2", "oops", "4"]), {}, "column x to hold numbers, got .* 'oops' in row 2"),
    "doubled step": (
        table(timestamp=[0.0, 0.0, 0.0, 1.0]), {},
        r"1 rows repeat the id and timestamp .*first: id 1, timestamp 0.0",
    ),
    "missing id": (table(id=[1, None, 2, 2]), {}, r"id is missing in 1 rows \(first: row 1\)"),
    "missing timestamp": (table(timestamp=[0, np.nan, 0, 1]), {}, r"timestamp is missing in 1 rows \(first: row 1\)"),
    "no date": (table(timestamp=["2020-01-01", "soon", "2020-01-01", "2020-01-02"]), {}, "got 'soon' in row 1"),
    "label changes": (table(label=["a", "b", "a", "a"]), {}, r"label changes along id 1 \(a, b\).*step_labels=True"),
    "subject changes": (table(subject=[1, 1, 1, 2]), {}, "subject changes along id 2"),
    "three levels": (
        pd.DataFrame({"x": [1.0]}, index=pd.MultiIndex.from_tuples([(0, 0, 0)])), {},
        "two levels .instance, time., got 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_data_is_refused_in_words(case: str) -> None:
    given, options, message = CASES[case]
    with pytest.raises(InputError, match=message):
        as_panel(given, **options)


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", np.zeros((1, 1, 3)))
    with pytest.raises(InputError, match=r"no file .*windwos\.npy: did you mean 'windows\.npy'"):
        as_panel(tmp_path / "windwos.npy")
    with pytest.raises(InputError, match=r"folder .* does not exist"):
        as_panel(tmp_path / "nowhere" / "a.csv")


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_text("")
    with pytest.raises(InputError, match=r"ends in \.csv, \.parquet, \.ts, \.npz, \.npy, got"):
        as_panel(tmp_path / "a.mat")


def test_pickles_are_never_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", values=np.array([{"a": 1}], dtype=object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(InputError, match="never unpickled"):
            as_panel(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.parquet", "a.csv", "a.ts"])
@pytest.mark.parametrize("content", [b"", b"\x00\x01garbage"])
def test_damaged_files_are_refused_in_words(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        as_panel(tmp_path / name)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1,2:3,4:a\n1,2:a", "line 5: expected 2 channels, got 1"),
        ("1,x:3,4:a", "line 4: expected a number or '\\?', got 'x'"),
        ("1,,2:3,4,5:a", "line 4: expected a number or '\\?', got ''"),
        ("1,2:3,4:c", "label 'c' is not among a, b"),
        ("", "empty data"),
    ],
)
def test_a_bad_ts_file_names_the_line(body: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text(f"@problemName a\n@classLabel true a b\n@data\n{body}\n")
    with pytest.raises(InputError, match=message):
        as_panel(tmp_path / "a.ts")


def test_a_ts_file_with_time_stamps_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text("@timeStamps true\n@data\n(0,1),(1,2):a\n")
    with pytest.raises(InputError, match="long table"):
        as_panel(tmp_path / "a.ts")


def test_wrong_channels_are_counted_and_named() -> None:
    with pytest.raises(InputError, match=r"expected 6 channels \(acc_x … gyr_z\), got 9"):
        check_channels(Panel(np.zeros((1, 9, 3), np.float32)), IMU)
    swapped = Panel(np.zeros((1, 6, 3), np.float32), IMU[3:] + IMU[:3])
    with pytest.raises(InputError, match="order differs: channel 0 is gyr_x and should be acc_x"):
        check_channels(swapped, IMU)
    check_channels(Panel(np.zeros((1, 6, 3), np.float32), IMU), IMU)
    check_channels(Panel(np.zeros((1, 6, 3), np.float32)), IMU)


def test_unknown_sets_and_streams_name_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSREP_DATA", raising=False)
    with pytest.raises(InputError, match="did you mean 'BasicMotions'"):
        load("BasicMotion")
    with pytest.raises(InputError, match="did you mean 'UCI-HAR'"):
        load("uci-har")
    with pytest.raises(InputError, match="2 streams: choose one of UTD-MHAD:inertial, UTD-MHAD:skeleton"):
        load("UTD-MHAD")
    with pytest.raises(InputError, match="did you mean 'inertial'"):
        load("UTD-MHAD:inertia")
    with pytest.raises(InputError, match="one stream"):
        load("GunPoint:x")
    with pytest.raises(InputError, match=r"set TSREP_DATA .*UCI-HAR/uci_har\.npz.*archive\.ics\.uci\.edu"):
        load("UCI-HAR")


def test_a_damaged_set_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "UEA").mkdir()
    (tmp_path / "UEA" / "ERing.npz").write_bytes(b"PK\x03\x04 broken")
    monkeypatch.setenv("TSREP_DATA", str(tmp_path))
    with pytest.raises(InputError, match="damaged"):
        load("ERing")
