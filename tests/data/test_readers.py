"""Every reader gives the same panel of the same data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tsrep.data import Panel, as_panel, fingerprint, load, read_streams, to_npz, to_table
from tsrep.data.ts_file import read_ts
from tsrep.errors import InputError

NAMES = ("acc_x", "acc_y")


@pytest.fixture
def panel() -> Panel:
    """Five series of two channels and unequal length, with values missing inside."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((5, 2, 9)).astype(np.float32)
    for row, length in enumerate([9, 4, 7, 9, 6]):
        values[row, :, length:] = np.nan
    values[0, 1, 3] = values[2, :, 2] = values[4, 0, 0] = np.nan
    label = np.array(["walk", "run", "walk", "run", "walk"])
    return Panel(values, NAMES, rate=20.0, label=label, subject=np.array([1, 1, 2, 2, 3]))


def pieces(panel: Panel) -> list[np.ndarray]:
    return [v[:, :n] for v, n in zip(panel.values, panel.lengths, strict=True)]


def multiindex(panel: Panel) -> pd.DataFrame:
    table = to_table(panel)
    step = table.groupby("id").cumcount()
    return table[list(NAMES)].set_index(pd.MultiIndex.from_arrays([table["id"], step]))


def nested(panel: Panel) -> pd.DataFrame:
    return pd.DataFrame({name: [pd.Series(p[c]) for p in pieces(panel)] for c, name in enumerate(NAMES)})


def ts_text(panel: Panel) -> str:
    """The panel in the .ts format, every number with all its digits."""
    rows = []
    for piece, label in zip(pieces(panel), panel.label, strict=True):
        dims = [",".join("?" if np.isnan(v) else repr(float(v)) for v in channel) for channel in piece]
        rows.append(":".join([*dims, str(label)]))
    head = ["# made", "@problemName made", "@timeStamps false", "@univariate false", "@dimensions 2",
            "@equalLength false", "@classLabel true walk run", "@data"]  # fmt: skip
    return "\n".join(head + rows) + "\n"


def test_every_reader_gives_the_same_panel(panel: Panel, tmp_path: Path) -> None:
    table = to_table(panel)
    table.sample(frac=1, random_state=1).to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.ts").write_text(ts_text(panel))
    to_npz(panel, tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", panel.values)
    read = {
        "array": as_panel(panel.values, channels=NAMES),
        "float64": as_panel(panel.values.astype(np.float64), channels=NAMES),
        "tensor": as_panel(torch.tensor(panel.values), channels=NAMES),
        "masked": as_panel(np.ma.masked_invalid(panel.values), channels=NAMES),
        "list": as_panel(pieces(panel), channels=NAMES),
        "df-list": as_panel([pd.DataFrame(p.T, columns=NAMES) for p in pieces(panel)]),
        "multiindex": as_panel(multiindex(panel)),
        "nested": as_panel(nested(panel)),
        "long": as_panel(table),
        "parquet": as_panel(tmp_path / "a.parquet"),
        "ts": as_panel(tmp_path / "a.ts", channels=NAMES),
        "npz": as_panel(str(tmp_path / "a.npz")),
        "npy": as_panel(tmp_path / "a.npy", channels=NAMES),
        "panel": as_panel(panel),
    }
    for how, other in read.items():
        np.testing.assert_array_equal(other.values, panel.values, err_msg=how)
        assert other.values.dtype == np.float32
        assert other.channels == NAMES, how
        assert fingerprint(other) == fingerprint(panel), how
    shuffled = as_panel(tmp_path / "a.csv")  # the order of ids is that of their first appearance in the file
    np.testing.assert_allclose(shuffled.values, panel.values[shuffled.recording.astype(int)], rtol=1e-6)
    assert sorted(shuffled.recording) == [0, 1, 2, 3, 4]
    for how in ("long", "parquet", "npz", "ts"):
        assert list(read[how].label) == list(panel.label), how
    for how in ("long", "parquet", "npz"):
        assert list(read[how].subject) == list(panel.subject), how
        assert read[how].rate == 20.0, how


def test_our_conversions_agree_with_sktime(panel: Panel) -> None:
    datatypes = pytest.importorskip("sktime.datatypes")
    whole = np.nan_to_num(panel.values).astype(np.float64)
    for mtype in ("pd-multiindex", "nested_univ", "df-list", "numpy3D"):
        given = datatypes.convert_to(whole, mtype, as_scitype="Panel")
        np.testing.assert_array_equal(as_panel(given).values, whole.astype(np.float32))


def test_ts_reader_agrees_with_sktime_on_ragged_data() -> None:
    datasets = pytest.importorskip("sktime.datasets")
    theirs, label = datasets.load_japanese_vowels(split="train", return_X_y=True, return_type="nested_univ")
    ours = load("JapaneseVowels").train
    np.testing.assert_array_equal(as_panel(theirs).values, ours.values)
    assert list(label) == list(ours.label)


def test_ids_keep_the_order_in_which_they_first_appear() -> None:
    table = pd.DataFrame({"id": ["b", "a", "b", "a"], "timestamp": [1, 1, 0, 0], "x": [1.0, 2.0, 3.0, 4.0]})
    read = as_panel(table)
    assert list(read.recording) == ["b", "a"]
    assert read.values[:, 0].tolist() == [[3.0, 1.0], [4.0, 2.0]]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_become_seconds_and_a_rate(unit: str) -> None:
    dates = pd.date_range("2020-01-01", periods=6, freq="20ms" if unit != "s" else "2s").astype(f"datetime64[{unit}]")
    read = as_panel(pd.DataFrame({"id": 1, "timestamp": dates, "x": np.arange(6.0)}))
    assert read.rate == (50.0 if unit != "s" else 0.5)
    assert read.timestamps[0, 0] == 1577836800.0
    text = as_panel(pd.DataFrame({"id": 1, "timestamp": dates.astype(str), "x": np.arange(6.0)}))
    np.testing.assert_array_equal(text.timestamps, read.timestamps)


def test_a_rounded_clock_is_regular_and_a_wild_one_is_not() -> None:
    def rate(clock: list[float]) -> float | None:
        return as_panel(pd.DataFrame({"id": 1, "timestamp": clock, "x": 1.0})).rate

    assert rate([round(i / 32, 3) for i in range(33)]) == 32.0
    assert rate([0.0, 1.0, 2.0, 7.0]) is None


def test_streams_are_told_apart_and_lie_row_by_row() -> None:
    table = pd.DataFrame(
        {
            "id": ["a", "a", "a", "a", "b", "b"],
            "timestamp": [0.0, 0.1, 0.0, 0.2, 0.0, 0.1],
            "stream": ["wrist", "wrist", "hip", "hip", "hip", "hip"],
            "x": [1.0, 2.0, np.nan, np.nan, np.nan, np.nan],
            "y": [np.nan, np.nan, 5.0, 6.0, 7.0, 8.0],
            "label": ["run", "run", "run", "run", "sit", "sit"],
        }
    )
    streams = read_streams(table)
    assert list(streams) == ["wrist", "hip"]
    assert streams["wrist"].channels == ("x",)
    assert streams["hip"].channels == ("y",)
    assert streams["hip"].values[:, 0].tolist() == [[5.0, 6.0], [7.0, 8.0]]
    assert streams["wrist"].values[0, 0].tolist() == [1.0, 2.0]
    assert np.isnan(streams["wrist"].values[1]).all()
    assert all(list(p.label) == ["run", "sit"] and list(p.recording) == ["a", "b"] for p in streams.values())
    assert len(as_panel(table, stream="wrist")) == 1
    with pytest.raises(InputError, match=r"2 streams \(wrist, hip\)"):
        as_panel(table)
    with pytest.raises(InputError, match="did you mean 'wrist'"):
        as_panel(table, stream="wirst")


def test_columns_of_a_table_can_be_named() -> None:
    table = pd.DataFrame(
        {"id": [1, 1, 2], "timestamp": [0, 1, 0], "x": 1.0, "y": 2.0, "activity": list("aab"), "who": 7}
    )
    read = as_panel(table, label="activity", subject="who", channels=["y"])
    assert read.channels == ("y",)
    assert list(read.label) == ["a", "b"]
    assert list(read.subject) == [7, 7]


def test_targets_and_missing_values_of_a_ts_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "r.ts"
    path.write_text("@problemName r\n@univariate true\n@targetLabel true\n@data\n1,?,3:0.5\n4,5:-2\n")
    read = read_ts(path)
    assert read.label.tolist() == [0.5, -2.0]
    assert read.channels == ("value",)
    np.testing.assert_array_equal(read.values[:, 0], np.array([[1, np.nan, 3], [4, 5, np.nan]], np.float32))


def test_numbered_columns_become_numbered_channels() -> None:
    frame = pd.DataFrame(
        np.zeros((400 * 128, 9)), index=pd.MultiIndex.from_product([range(400), range(128)])
    )  # fmt: skip
    read = as_panel(frame)
    assert read.values.shape == (400, 9, 128)
    assert read.channels[0] == "channel_0"
