"""What views know of a body by the names of its channels: "left_wrist_x" is the lateral axis of the left wrist."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tsrep.errors import InputError
from tsrep.series import Series

AXES = ("x", "y", "z")
"""Lateral, vertical and towards the camera, as depth cameras have them."""


def joints(channels: Sequence[str]) -> tuple[str, ...] | None:
    """The joints that channels of these names are, joint by joint x y z; None where they are no joints.

    Named like joints are the axes of an inertial unit too (acc_x, gyr_x): a body has parts on its left and on its right.
    """
    names = tuple(name.rpartition("_")[0] for name in channels[::3])
    expected = tuple(f"{name}_{axis}" for name in names for axis in AXES)
    sided = all(any(name.startswith(side) for name in names) for side in ("left_", "right_"))
    return names if tuple(channels) == expected and all(names) and sided else None


def mirrored(names: Sequence[str]) -> tuple[int, ...]:
    """For each joint the one on the other side, by the names left_* and right_*; itself in the middle of the body.

    Raises InputError for a joint on one side that has no twin on the other.
    """
    other = {"left": "right", "right": "left"}
    twins = []
    for name in names:
        side, _, rest = name.partition("_")
        twin = f"{other[side]}_{rest}" if side in other else name
        if twin not in names:
            raise InputError(f"expected the joint {twin} as the twin of {name}, got {', '.join(names)}")
        twins.append(list(names).index(twin))
    return tuple(twins)


def triads(channels: Sequence[str]) -> tuple[tuple[int, int, int], ...]:
    """Which channels are the x, y and z of one sensor, by their names: acc_x acc_y acc_z gyr_x … -> ((0, 1, 2), (3, 4, 5))."""
    at = {name: i for i, name in enumerate(channels)}
    stems = [name[:-2] for name in channels if name.endswith("_x")]
    whole = [stem for stem in stems if all(f"{stem}_{axis}" in at for axis in AXES)]
    return tuple((at[f"{stem}_x"], at[f"{stem}_y"], at[f"{stem}_z"]) for stem in whole)


def spatial(series: Series, view: str) -> tuple[Tensor, Tensor]:
    """Values and observed as joints: (batch, joint, axis, time), both. A joint of which one axis was not observed is observed nowhere.

    Raises InputError where three do not divide the channels.
    """
    if series.channels % 3 or not series.channels:
        raise InputError(
            f"expected channels that are joints, x y z of each in turn, for the view {view}, got {series.channels} channels"
        )
    shape = (series.channels // 3, 3)
    observed = series.observed.unflatten(1, shape).all(2, keepdim=True).expand(-1, -1, 3, -1)
    return series.values.unflatten(1, shape), observed


def transformed(matrix: Tensor, values: Tensor) -> Tensor:
    """Matrices (batch, 3, 3) on joints (batch, joint, 3, time)."""
    out: Tensor = (matrix[:, None].to(values.dtype) @ values).to(values.dtype)
    return out
