"""What the benchmark of several streams runs: sets, methods and their settings, the same for all seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETS = ("UTD-MHAD", "Berkeley-MHAD", "PTE", "NW-UCLA")
PLACES: Mapping[str, tuple[str, ...]] = {
    "cross-modal": ("UTD-MHAD",),
    "devices": ("Berkeley-MHAD", "PTE"),
    "latent": ("NW-UCLA", "UTD-MHAD"),
    "objectives": ("Berkeley-MHAD",),
}
"""Setting -> the sets that it is measured on."""

BODY = ("turn", "jitter", "scale", "time_warp")
GRU: Mapping[str, Any] = {"name": "recurrent", "hidden": 64, "layers": 1}
VIEWS: Mapping[str, Any] = {
    "body": ["turn", "jitter", "crop_resize", "time_warp"],
    "augment": ["jitter", "scale", "crop_resize", "time_warp"],
}
"""Of a skeleton and of an inertial unit."""
MODALITIES: Mapping[str, Any] = {
    "data": {"streams": "all", "align": "position", "steps": 50, "scaling": {"skeleton": "torso", "inertial": "each"}},
    "encoders": {"inertial": {"name": "recurrent", "hidden": 128, "layers": 1}, "skeleton": {"name": "wide"}},
    "training": {"steps": 200, "batch_size": 64, "learning_rate": 2e-3},
}
"""Chosen by `choose_streams.py`."""
DEVICES: Mapping[str, Any] = {
    "data": {"streams": "all"},
    "encoder": "tpn",
    "training": {"steps": 150, "batch_size": 64, "schedule": "cosine", "warmup": 10},
}
SKELETON: Mapping[str, Any] = {
    "data": {"streams": "all", "steps": 50, "scaling": "torso"},
    "encoder": GRU,
    "training": {"steps": 1000, "batch_size": 64},
}
"""Of what `choose_streams.py` tried for the host of latent positives, the second best, at three fifths of the cost of the best."""
BETAS = (0.0, 0.25, 0.5, 1.0, 2.0)
CROSS = {f"skeleton_imu beta {beta:g}": {"name": "skeleton_imu", "beta": beta, **VIEWS} for beta in BETAS}
RANDOM, ROCKET, TAUGHT = "random encoder", "minirocket", "supervised"
BASELINES: Mapping[str, Any] = {RANDOM: None, ROCKET: None, TAUGHT: None}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "cross-modal": {**CROSS, "simclr": {"name": "simclr"}, **BASELINES},
    "devices": {
        "collossl": {"name": "collossl"},
        "multiview pairwise": {"name": "multiview", "objective": "pairwise"},
        "simclr": {"name": "simclr"},
        RANDOM: None,
        ROCKET: None,
        f"{TAUGHT} one device": None,
        f"{TAUGHT} all devices": None,
    },
    "latent": {
        "moco": {"name": "moco", "augment": list(BODY)},
        "halp": {"name": "halp", "augment": list(BODY)},
        **BASELINES,
    },
    "objectives": {
        **{
            f"multiview {o}": {"name": "multiview", "objective": o}
            for o in ("pairwise", "mv_infonce", "mv_dhel", "symile", "gram")
        },
        RANDOM: None,
        ROCKET: None,
        f"{TAUGHT} all devices": None,
    },
}
"""Setting -> row -> its method; None: a baseline."""
HOSTS = {"halp": "moco", **{name: "skeleton_imu beta 0" for name in CROSS if name != "skeleton_imu beta 0"}}

WINDOWS = {"Berkeley-MHAD": (90, 90), "PTE": (75, 150)}
"""Window and hop in steps: 3 s, and of the long sessions of PTE every second window."""
SHARES = {"cross-modal": (0.05, 0.1), "devices": (0.1,)}
DRAWS = 3
