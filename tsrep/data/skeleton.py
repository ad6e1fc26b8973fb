"""Skeletons before they are learned from: in units of the torso, as joints, bones or motion, all of one length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

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


def to_torso(panel: Panel, centre: str = "hip_center", top: str = "shoulder_center") -> Panel:
    """Every frame moved so that its centre is the origin, and divided by the torso's length in the first frame that shows it.

    (x_jt − x_centre,t) / ‖x_top,t0 − x_centre,t0‖: where a person stands and how tall they are is gone; which way they face, and how
    they move their limbs, is not. Channels in one unit on all axes; the result is in torso lengths. A frame whose centre is missing has
    missing joints, all of them; a series that never shows both ends of its torso is divided by the median torso of the others.
    Brinzea et al. 2022, arXiv:2205.10071, divide by the first frame too.

    centre, top: the joints at the two ends of the torso.
    Raises InputError where the panel has no such joints, or none of its series shows both.
    """
    names = joint_names(panel)
    for joint in (centre, top):
        if joint not in names:
            raise InputError(f"expected a joint {joint}, got {', '.join(names)}; say which joints end the torso")
    n, _, time = panel.values.shape
    body = panel.values.reshape(n, len(names), 3, time)
    middle = body[:, names.index(centre)]
    torso = np.linalg.norm(
        body[:, names.index(top)].astype(np.float64) - middle, axis=1
    )  # (n, time), NaN where unknown
    known = np.nan_to_num(torso, nan=0.0) > 0
    first = torso[np.arange(n), known.argmax(axis=1)]
    if not known.any():
        raise InputError(f"expected frames that show both {centre} and {top}, got none")
    length = np.where(known.any(axis=1), first, np.median(first[known.any(axis=1)]))
    scaled = (body - middle[:, None]) / length[:, None, None, None].astype(np.float32)
    return replace(panel, values=scaled.reshape(panel.values.shape).astype(np.float32))


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
