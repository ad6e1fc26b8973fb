"""Long series: forecasting (ETT, WTH), anomalies (NAB) and root causes (SockShop-RCD)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tsrep.data.entry import UNIVARIATE, Entry, Parts, arrays
from tsrep.data.layout import padded, padded_steps
from tsrep.data.panel import Panel

ETT_HOURS = (8640, 11520, 14400)
"""Where train, validation and test end, in hours: 12, 4 and 4 months of 30 days (Zhou et al., AAAI 2021)."""
WTH_ROWS = (21038, 28051, 35064)
"""60 %, 20 % and 20 % of the rows (TS2Vec, CoST, AutoTCL)."""
PROBATION = 0.15
"""The share at the beginning of a series of NAB on which nothing is scored."""


def read_grid(place: Path, entry: Entry, stream: str | None) -> Parts:
    """Consecutive rows of a table on an unbroken grid: one long series for each side, `start` says where it begins."""
    z = arrays(place)
    step = int(z["step_seconds"])
    ends = WTH_ROWS if entry.name == "WTH" else tuple(h * 3600 // step for h in ETT_HOURS)
    clock = int(z["start"].ravel()[0]) + step * np.arange(len(z["values"]), dtype=np.float64)

    def side(begin: int, end: int) -> Panel:
        return Panel(
            np.ascontiguousarray(z["values"][begin:end].T[None], np.float32),
            entry.channels,
            entry.rate,
            recording=np.array([0]),
            start=np.array([begin], np.int64),
            timestamps=clock[None, begin:end],
        )

    return side(0, ends[0]), side(ends[1], ends[2]), side(ends[0], ends[1])


def read_nab(place: Path, entry: Entry, stream: str | None) -> Parts:
    """58 series with a label for every step; the first 15 % of each train, the rest tests."""
    z = arrays(place)
    length = z["length"].astype(np.int64)
    row = np.repeat(np.arange(len(length)), length)
    anomalous = np.zeros(len(row), np.int32)
    begin = np.cumsum(length) - length
    for series, first, last in z["window"]:  # 116 windows
        steps = slice(begin[series], begin[series] + length[series])
        anomalous[steps] |= (z["time"][steps] >= first) & (z["time"][steps] <= last)
    cut = np.floor(PROBATION * length).astype(np.int64)
    early = np.arange(len(row)) - begin[row] < cut[row]

    def side(rows: np.ndarray, size: np.ndarray, start: np.ndarray) -> Panel:
        return Panel(
            padded(z["value"][rows, None], size),
            entry.channels,
            recording=z["name"],
            start=start,
            timestamps=padded_steps(z["time"][rows].astype(np.float64), size, np.nan),
            step_label=padded_steps(anomalous[rows], size, -1),
            classes=entry.classes,
        )

    return side(early, cut, np.zeros_like(cut)), side(~early, length - cut, cut), None


def read_sock_shop(place: Path, entry: Entry, stream: str | None) -> Parts:
    """Normal operation trains, operation with the fault tests; row i of both is the same run."""
    z = arrays(place)
    cause = np.array([f"{service}_{fault}" for service, fault in zip(z["service"], z["fault"], strict=True)])
    run = np.array([f"{c}_{r}" for c, r in zip(cause, z["run"], strict=True)])

    def side(name: str) -> Panel:
        length = z[f"{name}_length"]
        return Panel(
            padded(z[name], length),
            entry.channels,
            entry.rate,
            recording=np.char.add(run, f" {name}"),
            timestamps=padded_steps(z[f"{name}_time"].astype(np.float64), length, np.nan),
        )

    return side("normal"), replace(side("anomalous"), label=cause), None


def _ett(name: str, scale: int) -> Entry:
    train, validation, test = (h * scale for h in ETT_HOURS)
    return Entry(
        name=name, task="forecasting", train=1, test=1, validation=1, length=train, shortest=test - validation,
        channels=("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"), rate=scale / 3600, unit="load; OT in °C",
        split=f"convention of Informer: rows 0:{train} train, {train}:{validation} validation, {validation}:{test} "
              "test; the rest is not used",
        licence="CC BY-ND 4.0", publisher="github.com/zhouhaoyi/ETDataset", file=f"ETT/{name}.npz", read=read_grid,
        note="target of univariate forecasting: OT",
    )  # fmt: skip


_SERVICES = ("carts", "carts-db", "catalogue", "catalogue-db", "front-end", "orders", "orders-db", "payment",
             "queue-master", "rabbitmq", "shipping", "user", "user-db")  # fmt: skip
_LATENCY = ("carts", "catalogue", "shipping")

ENTRIES = (
    _ett("ETTh1", 1),
    _ett("ETTh2", 1),
    _ett("ETTm1", 4),
    Entry(
        name="WTH", task="forecasting", train=1, test=1, validation=1, length=21038, shortest=7013, rate=1 / 3600,
        channels=("Visibility", "DryBulbFarenheit", "DryBulbCelsius", "WetBulbFarenheit", "DewPointFarenheit",
                  "DewPointCelsius", "RelativeHumidity", "WindSpeed", "WindDirection", "StationPressure", "Altimeter",
                  "WetBulbCelsius"),
        unit="as published, see the names", split="60 % / 20 % / 20 % in time order (TS2Vec, CoST, AutoTCL)",
        licence="public domain (US government data)",
        publisher="ncei.noaa.gov, Local Climatological Data; the benchmark's file: github.com/zhouhaoyi/Informer2020",
        file="WTH/WTH.npz", read=read_grid,
        note="target: WetBulbCelsius; 85 rows hold filled-in readings, as in every copy",
    ),
    Entry(
        name="NAB", task="anomaly", train=58, test=58, length=19291, shortest=169, channels=UNIVARIATE,
        classes=("normal", "anomaly"),
        split="protocol of the benchmark: the first 15 % of each series is probation (train), the rest is scored",
        licence="MIT", publisher="github.com/numenta/NAB", file="NAB/nab.npz", read=read_nab,
        note="47 real and 11 artificial series (by recording name); a label for each step; mostly 5 minutes a step",
    ),
    Entry(
        name="SockShop-RCD", task="root cause", train=50, test=50, length=299, shortest=265, rate=1.0,
        channels=tuple(f"{s}_cpu" for s in _SERVICES) + tuple(f"{s}_mem" for s in _SERVICES)
        + tuple(f"{s}_{what}" for what in ("lod", "lat_50", "lat_90", "lat_99") for s in _LATENCY),
        unit="percent of a core, bytes, requests/s, s",
        classes=tuple(f"{s}_{f}" for s in ("carts", "catalogue", "orders", "payment", "user") for f in ("cpu", "mem")),
        split="normal operation trains, the run with the fault tests; row i of both is the same run",
        licence="none stated; cite Ikram et al., NeurIPS 2022", publisher="github.com/azamikram/rcd",
        file="SockShop-RCD/sock_shop_rcd.npz", read=read_sock_shop,
        note="the label of a test run is its root cause, the name of a channel; training runs have none",
    ),
)  # fmt: skip
