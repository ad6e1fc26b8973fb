"""Skeletons before they are learned from: in units of the torso, as joints, bones or motion, all of one length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from tsrep.data.panel import Panel
from tsrep.errors import InputError

PARENTS: Mapping[str, str] = {
    "spine": "hip_center", "shoulder_center": "spine", "head": "shoulder_center",
    **{f"{side}_{joint}": parent if parent.endswith("_center") else f"{side}_{parent}"
       for side in ("left", "right")
       for joint, parent in (("shoulder", "shoulder_center"), ("elbow", "shoulder"), ("wrist", "elbow"), ("hand", "wrist"),
                             ("hip", "hip_center"), ("knee", "hip"), ("ankle", "knee"), ("foot", "ankle"))},
}  # fmt: skip
"""The joint that each bone of Kinect v1 leads from; the root, hip_center, has none."""


def joint_names(panel: Panel) -> tuple[str, ...]:
    """The joints of a panel whose channels are joints, x y z of each in turn ("head_x", "head_y", "head_z", …).

    Raises InputError for other channels.
    """
    names = tuple(channel.rpartition("_")[0] for channel in panel.channels[::3])
    if panel.channels != tuple(f"{name}_{axis}" for name in names for axis in "xyz"):
        raise InputError(
            "expected channels that are joints, x y z of each in turn such as head_x, head_y, head_z, got "
            f"{', '.join(panel.channels[:4])} …"
        )
    return names


@dataclass(frozen=True)
class Torso:
    """Every frame moved so that its centre is the origin, and divided by the torso's length in the first frame that shows it.

    (x_jt − x_centre,t) / ‖x_top,t0 − x_centre,t0‖: where a person stands and how tall they are is gone; which way they face, and how
    they move their limbs, is not. Brinzea et al. 2022, arXiv:2205.10071, divide by the first frame too.

    centre, top: the joints at the two ends of the torso, by their place among the joints.
    length:      what a series is divided by that never shows both, in the unit of the data.
    """

    centre: int
    top: int
    length: float

    def __post_init__(self) -> None:
        if min(self.centre, self.top) < 0 or self.centre == self.top or not isfinite(self.length) or self.length <= 0:
            raise InputError(f"expected two joints and a positive length between them, got {self}")

    @staticmethod
    def of(panel: Panel, centre: str = "hip_center", top: str = "shoulder_center") -> Torso:
        """With the median torso of the panel's series as length.

        Raises InputError where the panel has no such joints, or none of its series shows both.
        """
        names = joint_names(panel)
        for joint in (centre, top):
            if joint not in names:
                raise InputError(f"expected a joint {joint}, got {', '.join(names)}; say which joints end the torso")
        ends = names.index(centre), names.index(top)
        first = _torsos(panel.values, *ends)
        if np.isnan(first).all():
            raise InputError(f"expected frames that show both {centre} and {top}, got none")
        return Torso(*ends, float(np.nanmedian(first)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(n, 3 · joint, time), one unit on all axes -> the same in torso lengths, float32. A frame whose centre is missing has missing
        joints, all of them."""
        body = values.reshape(len(values), -1, 3, values.shape[2])
        first = _torsos(values, self.centre, self.top)
        length = np.where(np.isnan(first), self.length, first)
        scaled = (body - body[:, self.centre, None]) / length[:, None, None, None].astype(np.float32)
        return np.asarray(scaled.reshape(values.shape), np.float32)


def to_torso(panel: Panel, centre: str = "hip_center", top: str = "shoulder_center") -> Panel:
    """A panel of joints in torso lengths (`Torso`); a series that never shows its torso is divided by the median one of the others.

    centre, top: the joints at the two ends of the torso. In a plan: `data.scaling=torso`, and its model does it to what it embeds.
    Raises InputError where the panel has no such joints, or none of its series shows both.
    """
    return replace(panel, values=Torso.of(panel, centre, top)(panel.values))


def _torsos(values: np.ndarray, centre: int, top: int) -> np.ndarray:
    """(n,) length of the torso in the first frame that shows it, NaN where none does."""
    body = values.reshape(len(values), -1, 3, values.shape[2])
    torso = np.linalg.norm(body[:, top].astype(np.float64) - body[:, centre], axis=1)  # (n, time), NaN where unknown
    known = np.nan_to_num(torso, nan=0.0) > 0
    first = torso[np.arange(len(values)), known.argmax(axis=1)]
    return np.where(known.any(axis=1), first, np.nan)


def bones(panel: Panel) -> Panel:
    """Each joint minus its parent, in the same channels: where limbs point, wherever the body is. The root is zero where observed.

    Raises InputError for joints that `PARENTS` does not know.
    """
    names = joint_names(panel)
    unknown = [name for name in names if name != "hip_center" and (name not in PARENTS or PARENTS[name] not in names)]
    if unknown:
        raise InputError(f"expected joints with a known parent, got {', '.join(unknown)}; known: {', '.join(PARENTS)}")
    parent = [names.index(PARENTS.get(name, name)) for name in names]
    body = panel.values.reshape(len(panel), len(names), 3, -1)
    return replace(panel, values=(body - body[:, parent]).reshape(panel.values.shape))


def motion(panel: Panel) -> Panel:
    """Each value minus the one of the step before; the first step, which has none before it, is zero where it was observed."""
    moved = np.diff(panel.values, axis=2, prepend=panel.values[:, :, :1])
    return replace(panel, values=moved)
