"""Sets of the UEA and UCR archives that no package ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tsrep.data.entry import UNIVARIATE, Entry, Parts, arrays
from tsrep.data.panel import Panel

LICENCE = "free for research, no formal licence"
PUBLISHER = "timeseriesclassification.com/dataset.php ({archive} archive); its .ts files are read as they are, by path"

LIMBS = ("hand_tip_left", "hand_tip_right", "elbow_left", "elbow_right", "wrist_left", "wrist_right", "thumb_left",
         "thumb_right")  # fmt: skip


def read_uea(place: Path, entry: Entry, stream: str | None) -> Parts:
    """(n, channel, time) as stored; labels by name."""
    z = arrays(place)

    def side(name: str) -> Panel:
        values = z[f"X_{name}"].astype(np.float32, copy=False)
        return Panel(values, entry.channels, entry.rate, label=z["labels"][z[f"y_{name}"]])

    return side("train"), side("test"), None


def read_ucr(place: Path, entry: Entry, stream: str | None) -> Parts:
    """One channel; labels are the archive's own numbers, as text, like those of the .ts files."""
    z = arrays(place)

    def side(name: str) -> Panel:
        values = z[f"X_{name}"].astype(np.float32, copy=False)
        return Panel(values[:, None], UNIVARIATE, label=z[f"y_{name}"].astype(str))

    return side("train"), side("test"), None


def _uea(name: str, size: tuple[int, int, int], channels: tuple[str, ...], classes: str, **more: Any) -> Entry:
    """size: training series, test series, steps."""
    train, test, length = size
    return Entry(
        name, "classification", train, test, channels, length, length, "official", LICENCE,
        PUBLISHER.format(archive="UEA"), f"UEA/{name}.npz", read_uea, classes=tuple(classes.split()), **more,
    )  # fmt: skip


_UCR = """
BME                            30  150 128 1,2,3 raw
CBF                            30  900 128 1,2,3 normal
Coffee                         28   28 286 0,1 normal
DiatomSizeReduction            16  306 345 1,2,3,4 normal
DistalPhalanxOutlineAgeGroup  400  139  80 1,2,3 normal
DistalPhalanxOutlineCorrect   600  276  80 0,1 normal
ECG200                        100  100  96 -1,1 normal
FaceAll                       560 1690 131 1,2,3,4,5,6,7,8,9,10,11,12,13,14 normal
GunPointAgeSpan               135  316 150 1,2 raw
GunPointOldVersusYoung        136  315 150 1,2 raw
Lightning2                     60   61 637 1,2 normal
MedicalImages                 381  760  99 1,2,3,4,5,6,7,8,9,10 normal
MiddlePhalanxOutlineAgeGroup  400  154  80 1,2,3 normal
MiddlePhalanxOutlineCorrect   600  291  80 0,1 normal
PhalangesOutlinesCorrect     1800  858  80 0,1 normal
ProximalPhalanxOutlineAgeGroup 400 205  80 1,2,3 normal
ProximalPhalanxOutlineCorrect 600  291  80 0,1 normal
SmoothSubspace                150  150  15 1,2,3 raw
SonyAIBORobotSurface1          20  601  70 1,2 normal
SyntheticControl              300  300  60 1,2,3,4,5,6 normal
Trace                         100  100 275 1,2,3,4 normal
"""
_SIMULATED = {"BME", "CBF", "SmoothSubspace", "SyntheticControl", "Trace"}


def _ucr(line: str) -> Entry:
    name, train, test, length, classes, scaled = line.split()
    return Entry(
        name, "classification", int(train), int(test), UNIVARIATE, int(length), int(length), "official", LICENCE,
        PUBLISHER.format(archive="UCR"), f"UCR/{name}.npz", read_ucr, classes=tuple(classes.split(",")),
        scaled=scaled == "normal", note="simulated by design of the archive" if name in _SIMULATED else "",
    )  # fmt: skip


ENTRIES = (
    _uea("ERing", (30, 270, 65), tuple(f"electrode_{i}" for i in range(1, 5)), "1 2 3 4 5 6", note="finger gestures"),
    _uea("Epilepsy", (137, 138, 206), ("acc_x", "acc_y", "acc_z"), "EPILEPSY RUNNING SAWING WALKING", rate=16.0,
         note="wrist accelerometer, mimicked seizures; not the EEG set of this name"),
    _uea("NATOPS", (180, 180, 51), tuple(f"{limb}_{axis}" for limb in LIMBS for axis in "xyz"),
         "1.0 2.0 3.0 4.0 5.0 6.0", note="aircraft marshalling gestures"),
    _uea("RacketSports", (151, 152, 30), ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z"),
         "Badminton_Clear Badminton_Smash Squash_BackhandBoast Squash_ForehandBoast", rate=10.0, note="smartwatch"),
    *map(_ucr, _UCR.strip().splitlines()),
)  # fmt: skip
