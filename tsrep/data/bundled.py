"""The sets inside the sktime wheel, read with our own .ts reader: nothing of sktime is imported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tsrep.data.entry import UNIVARIATE, Entry, Parts
from tsrep.data.panel import Panel
from tsrep.data.ts_file import read_ts

ARCHIVE = "timeseriesclassification.com (UEA and UCR archives; a copy is in the sktime wheel)"
LICENCE = "free for research, no formal licence"
IMU = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")


def read(place: Path, entry: Entry, stream: str | None) -> Parts:
    """Both .ts files of a set, with the names and the rate of the catalogue."""

    def side(name: str) -> Panel:
        return replace(read_ts(f"{place}_{name}.ts"), channels=entry.channels, rate=entry.rate)

    return side("TRAIN"), side("TEST"), None


def _set(name: str, train: int, test: int, length: int, classes: str, **more: Any) -> Entry:
    facts: dict[str, Any] = {
        "task": "classification",
        "shortest": length,
        "channels": UNIVARIATE,
        "split": "official",
    } | more
    return Entry(
        name=name,
        train=train,
        test=test,
        length=length,
        classes=tuple(classes.split()),
        licence=LICENCE,
        publisher=ARCHIVE,
        file=f"datasets/data/{name}/{name}",
        package="sktime",
        read=read,
        **facts,
    )


ENTRIES = (
    _set(
        "BasicMotions", 40, 40, 100, "Standing Running Walking Badminton",
        channels=IMU, rate=10.0, note="smartwatch, four students",
    ),
    _set(
        "JapaneseVowels", 270, 370, 29, "1 2 3 4 5 6 7 8 9", shortest=7,
        channels=tuple(f"lpc_{i}" for i in range(1, 13)), note="nine speakers, linear prediction coefficients",
    ),
    _set("GunPoint", 50, 150, 150, "1 2", scaled=True),
    _set("ArrowHead", 36, 175, 251, "0 1 2", scaled=True),
    _set("ItalyPowerDemand", 67, 1029, 24, "1 2", scaled=True),
    _set("OSULeaf", 200, 242, 427, "1 2 3 4 5 6", scaled=True),
    _set("ACSF1", 100, 100, 1460, "0 1 2 3 4 5 6 7 8 9", scaled=True),
    _set("PLAID", 537, 537, 1344, "0 1 2 3 4 5 6 7 8 9 10", shortest=100, note="current of 11 appliances"),
    _set("Covid3Month", 140, 61, 84, "", task="regression", rate=1 / 86400, note="daily cases; target: death rate"),
    _set("Tecator", 172, 43, 100, "", task="regression", note="absorbance of meat by wavelength; target: fat"),
)  # fmt: skip
