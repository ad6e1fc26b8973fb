"""One body-worn device: UCI-HAR, the chest accelerometer, and the ECG of MIT-BIH record 100. All cut into windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tsrep.data.entry import Entry, Parts, arrays
from tsrep.data.panel import Panel
from tsrep.data.splits import by_time

XYZ = ("acc_x", "acc_y", "acc_z")
CHEST = (208, 104)
"""Window and hop of the chest accelerometer in steps: 4 s and 2 s."""
BEAT = (90, 166)
"""Samples before and after the R peak of a beat: 0.25 s and 0.46 s."""


def read_uci_har(place: Path, entry: Entry, stream: str | None) -> Parts:
    """The official windows: 128 steps, one every 64, cut from each uninterrupted recording."""
    z = arrays(place)
    length = z["segment_length"].astype(np.int64)
    count = length // 64 - 1
    row = np.repeat(np.arange(len(length)), count)
    start = 64 * (np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count))
    subject = z["segment_subject"].astype(np.int64)[row]
    panel = Panel(
        _gather(z["signal"], (np.cumsum(length) - length)[row] + start, 128),
        entry.channels,
        entry.rate,
        label=z["labels"][z["segment_label"]][row],
        subject=subject,
        recording=row,
        start=start,
    )
    tested = np.isin(subject, z["test_subjects"])
    return panel.rows(~tested), panel.rows(tested), None


def read_chest(place: Path, entry: Entry, stream: str | None) -> Parts:
    """Windows of one activity throughout; windows with a change or an unlabelled step are left out."""
    z = arrays(place)
    width, hop = CHEST
    length = z["length"].astype(np.int64)
    count = (length - width) // hop + 1
    row = np.repeat(np.arange(len(length)), count)
    start = hop * (np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count))
    begin = (np.cumsum(length) - length)[row] + start
    label = z["label"].astype(np.int64)
    changes = np.concatenate([[0], np.cumsum(label[1:] != label[:-1])])
    pure = (changes[begin] == changes[begin + width - 1]) & (label[begin] > 0)
    row, start, begin = row[pure], start[pure], begin[pure]
    panel = Panel(
        _gather(z["acceleration"], begin, width),
        entry.channels,
        entry.rate,
        label=z["labels"][label[begin]],
        subject=row + 1,
        recording=row,
        start=start,
    )
    last = panel.subject == len(length)
    return panel.rows(~last), panel.rows(last), None


def read_beats(place: Path, entry: Entry, stream: str | None) -> Parts:
    """One window around each annotated beat, in millivolt; beats too near to an end of the record are left out."""
    z = arrays(place)
    before, after = BEAT
    peak, kind = z["beat_sample"].astype(np.int64), z["beat_type"]
    fits = (kind != "+") & (peak >= before) & (peak + after <= len(z["adc"]))
    peak, kind = peak[fits], kind[fits]
    panel = Panel(
        (_gather(z["adc"], peak - before, before + after) - np.float32(1024)) / np.float32(200),
        entry.channels,
        entry.rate,
        label=kind,
        recording=np.zeros(len(peak), np.int64),
        start=peak - before,
    )
    split = by_time(panel, boundaries=(len(z["adc"]) // 2,))
    return split.train, split.test, None


def _gather(signal: np.ndarray, begin: np.ndarray, width: int) -> np.ndarray:
    """(steps, channel) and the first step of m windows -> (m, channel, width) float32."""
    cut = np.lib.stride_tricks.sliding_window_view(signal, width, axis=0)[begin]
    return np.asarray(cut, np.float32)


ENTRIES = (
    Entry(
        name="UCI-HAR", task="classification", train=7352, test=2947, length=128, shortest=128, rate=50.0,
        channels=tuple(f"{kind}_{axis}" for kind in ("body_acc", "body_gyro", "total_acc") for axis in "xyz"),
        unit="g, rad/s, g",
        classes=("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"),
        split="official, by subject: 2, 4, 9, 10, 12, 13, 18, 20, 24 test, the other 21 train; windows overlap by half",
        licence="CC BY 4.0",
        publisher="archive.ics.uci.edu, data set 240 (Human Activity Recognition Using Smartphones)",
        file="UCI-HAR/uci_har.npz", read=read_uci_har,
        note="the order of one subject's recordings in time is not known",
    ),
    Entry(
        name="Chest-Accelerometer", task="classification", train=17254, test=978, length=208, shortest=208, rate=52.0,
        channels=XYZ, unit="counts of 12 bits, uncalibrated",
        classes=("working at computer", "standing up, walking and going up or down stairs", "standing", "walking",
                 "going up or down stairs", "walking and talking with someone", "talking while standing"),
        split="leave one participant out (convention): participant 15 tests; the other folds are by_subject over "
              "join(train, test)",
        licence="CC BY 4.0",
        publisher="archive.ics.uci.edu, data set 287 (Activity Recognition from Single Chest-Mounted Accelerometer)",
        file="Chest-Accelerometer/chest_acc.npz", read=read_chest,
        note="windows of 4 s every 2 s (our choice), of one activity throughout; unlabelled steps are left out",
    ),
    Entry(
        name="MITBIH-100", task="classification", train=1143, test=1127, length=256, shortest=256, rate=360.0,
        channels=("MLII", "V5"), unit="mV", classes=("A", "N", "V"),
        split="by time (ours, none is published for one record): beats of the first half train, of the second test",
        licence="ODC-By 1.0", publisher="physionet.org/content/mitdb (record 100 of the MIT-BIH Arrhythmia Database)",
        file="MITBIH-100/mitbih_100.npz", read=read_beats,
        note="one window a beat, 90 samples before and 166 after its R peak; one V and 33 A beats among 2273",
    ),
)  # fmt: skip
