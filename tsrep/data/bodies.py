"""Several devices or modalities at once: PTE, Berkeley-MHAD, UTD-MHAD, and the skeletons of NW-UCLA.

Row i of every stream of a set is the same recording, and `recording` is its number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tsrep.data.entry import Entry, Parts, Stream, arrays
from tsrep.data.layout import padded
from tsrep.data.panel import Panel

XYZ = ("acc_x", "acc_y", "acc_z")
GRID = 30.0
"""Samples per second of the common clock that the Berkeley accelerometers are brought to; they come at about 31."""
GAP = 0.25
"""Seconds: where a unit is silent for longer, the grid has missing values instead of a straight line."""

JOINTS = ("head", "shoulder_center", "spine", "hip_center", "left_shoulder", "left_elbow", "left_wrist", "left_hand",
          "right_shoulder", "right_elbow", "right_wrist", "right_hand", "left_hip", "left_knee", "left_ankle",
          "left_foot", "right_hip", "right_knee", "right_ankle", "right_foot")  # fmt: skip
KINECT = ("hip_center", "spine", "shoulder_center", "head", *JOINTS[4:])
"""The joints of Kinect v1 in the order of its library, which is that of NW-UCLA; UTD-MHAD begins at the head."""
PLACES = ("left_wrist", "right_wrist", "left_hip", "right_hip", "left_ankle", "right_ankle")


def read_pte(place: Path, entry: Entry, stream: str | None) -> Parts:
    """The 40 test sessions of one unit, in m/s2, rad/s and field units; subject 5 tests."""
    z = arrays(place)
    unit = [s.name for s in entry.streams].index(str(stream))
    subject = z["subject"].astype(np.int64)
    flat = z["test"][:, unit].astype(np.float32) * z["scale"].astype(np.float32)
    panel = Panel(
        padded(flat, z["test_length"]),
        entry.streams[unit].channels,
        entry.rate,
        label=np.array([f"exercise {e}" for e in z["exercise"]]),
        subject=subject,
        recording=np.arange(len(z["subject"])),
    )
    return _sides(panel, subject == 5)


def read_berkeley(place: Path, entry: Entry, stream: str | None) -> Parts:
    """One accelerometer in g, interpolated onto a clock of 30 Hz that the six units of a recording share."""
    z = arrays(place)
    unit = PLACES.index(str(stream))
    subject = z["subject"].astype(np.int64)
    length = z["length"].astype(np.int64)
    begin = (np.cumsum(length.ravel()) - length.ravel()).reshape(length.shape)
    first = z["time"][begin].max(axis=1) / 1e4  # from when the last unit has started until the first one stops
    last = z["time"][begin + length - 1].min(axis=1) / 1e4
    steps = np.floor((last - first) * GRID).astype(np.int64) + 1
    # All recordings lie one after the other on one long clock, so that one interpolation does them all.
    n = len(length)
    room = float(z["time"].max() / 1e4 + 10)
    own = np.repeat(np.arange(n), length[:, unit])
    at = np.arange(len(own)) - np.repeat(np.cumsum(length[:, unit]) - length[:, unit], length[:, unit])
    at += begin[own, unit]
    clock = z["time"][at] / 1e4 + own * room
    row = np.repeat(np.arange(n), steps)
    tick = (np.arange(len(row)) - np.repeat(np.cumsum(steps) - steps, steps)) / GRID + first[row] + row * room
    g = z["acceleration_x1024"][at] / np.float32(1024)
    flat = np.stack([np.interp(tick, clock, g[:, c]) for c in range(3)], axis=1)
    after = np.clip(np.searchsorted(clock, tick), 1, len(clock) - 1)
    flat[(clock[after] - clock[after - 1] > GAP) & (clock[after] != tick)] = np.nan
    panel = Panel(
        padded(flat, steps),
        XYZ,
        GRID,
        label=z["actions"][z["action"].astype(np.int64) - 1],
        subject=subject,
        recording=np.arange(n),
    )
    return _sides(panel, subject >= 8)


def read_utd(place: Path, entry: Entry, stream: str | None) -> Parts:
    """The inertial unit (g, degrees/s) or the skeleton (metres; joint by joint, x y z)."""
    z = arrays(place)
    subject = z["subject"].astype(np.int64)
    flat = z[str(stream)].reshape(len(z[str(stream)]), -1)
    about = next(s for s in entry.streams if s.name == stream)
    panel = Panel(
        padded(flat, z[f"{stream}_length"]),
        about.channels,
        about.rate,
        label=z["actions"][z["action"].astype(np.int64) - 1],
        subject=subject,
        recording=np.arange(len(z["subject"])),
    )
    train, test, _ = _sides(panel, subject % 2 == 0)
    held = train.subject == 7
    return train.rows(~held), test, train.rows(held)


def read_nw_ucla(place: Path, entry: Entry, stream: str | None) -> Parts:
    """Skeletons (metres, camera coordinates; joint by joint, x y z) of views 1 and 2 against view 3."""
    z = arrays(place)
    panel = Panel(
        padded(z["skeleton"].reshape(len(z["skeleton"]), -1), z["length"]),
        entry.channels,
        entry.rate,
        label=z["actions"][z["label"].astype(np.int64)],
        subject=z["subject"].astype(np.int64),
    )
    return _sides(panel, z["view"] == 3)


def _sides(panel: Panel, tested: np.ndarray) -> Parts:
    return panel.rows(~tested), panel.rows(tested), None


def _joints(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{joint}_{axis}" for joint in names for axis in "xyz")


_PTE = (*XYZ, "gyr_x", "gyr_y", "gyr_z", "mag_x", "mag_y", "mag_z")

ENTRIES = (
    Entry(
        name="PTE", task="classification", train=32, test=8, channels=(), length=6067, shortest=5053, rate=25.0,
        streams=tuple(Stream(f"unit{i}", _PTE, 6067, 5053, 25.0, "m/s2, rad/s, earth's field") for i in range(1, 6)),
        classes=tuple(f"exercise {i}" for i in range(1, 9)),
        split="leave one subject out (convention): subject 5 tests; the other folds are by_subject over "
              "join(train, test)",
        licence="CC BY 4.0", publisher="archive.ics.uci.edu (Physical Therapy Exercises Dataset)",
        file="PTE/pte.npz", read=read_pte,
        note="whole test sessions of 30 repetitions with idle time between; the template sessions are not read",
    ),
    Entry(
        name="Berkeley-MHAD", task="classification", train=383, test=275, channels=(), length=909, shortest=26,
        rate=GRID,
        streams=tuple(Stream(place, XYZ, 909, 26 if place == "left_hip" else 37, GRID, "g") for place in PLACES),
        classes=("jumping in place", "jumping jacks", "bending", "punching (boxing)", "waving two hands",
                 "waving right hand", "clapping", "throwing a ball", "sit down then stand up", "sit down", "stand up"),
        split="by subject (Ofli et al., WACV 2013): 1 to 7 train, 8 to 12 test",
        licence="BSD 2-clause", publisher="tele-immersion.citris-uc.org/berkeley_mhad",
        file="Berkeley-MHAD/berkeley_mhad_acc.npz", read=read_berkeley,
        note="the six units sample on their own, about 31 Hz: interpolated onto one clock of 30 Hz, silences over "
             "0.25 s stay missing; the calibration is nominal",
    ),
    Entry(
        name="UTD-MHAD", task="classification", train=323, validation=108, test=430, channels=(), length=326, shortest=41,
        streams=(
            Stream("inertial", (*XYZ, "gyr_x", "gyr_y", "gyr_z"), 326, 107, 50.0, "g, degrees/s"),
            Stream("skeleton", _joints(JOINTS), 125, 41, None, "m"),
        ),
        classes=("swipe_left", "swipe_right", "wave", "clap", "throw", "arm_cross", "basketball_shoot", "draw_x",
                 "draw_circle_CW", "draw_circle_CCW", "draw_triangle", "bowling", "boxing", "baseball_swing",
                 "tennis_swing", "arm_curl", "tennis_serve", "push", "knock", "catch", "pickup_throw", "jog", "walk",
                 "sit2stand", "stand2sit", "lunge", "squat"),
        split="by subject: 2, 4, 6, 8 test (authors); of their training half 7 validates and 1, 3, 5 train (CMC-CMKM)",
        licence="free for research with citation (ICIP 2015)",
        publisher="personal.utdallas.edu/~kehtar/UTD-MHAD.html", file="UTD-MHAD/utd_mhad.npz", read=read_utd,
        note="the skeleton is nominally 30 Hz and in fact about 19: align the streams by relative position",
    ),
    Entry(
        name="NW-UCLA", task="classification", train=1020, test=464,
        channels=_joints(KINECT),
        length=201, shortest=1, unit="m",
        classes=("pick up with one hand", "pick up with two hands", "drop trash", "walk around", "sit down", "stand up",
                 "donning", "doffing", "throw", "carry"),
        split="by view (authors): cameras 1 and 2 train, camera 3 tests; the same subjects and moments "
              "are on both sides",
        licence="published for research, no licence text; cite CVPR 2014",
        publisher="wangjiangb.github.io/my_data.html", file="NW-UCLA/nw_ucla.npz", read=read_nw_ucla,
    ),
)  # fmt: skip
