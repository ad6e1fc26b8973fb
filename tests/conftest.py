"""Shared fixtures: where the real data lies, small made data, and a cold environment without telemetry."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: small work is slower on threads that wait for each other
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def tsrep_data() -> Path:
    """The folder of real data sets that TSREP_DATA names; tests that need it are skipped where it is not set."""
    folder = os.environ.get("TSREP_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real data sets: set TSREP_DATA to their folder")
    return Path(folder)


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a script of `pipelines/` as they import each other, and forgets them all afterwards."""
    folder, before = str(Path(__file__).parents[1] / "pipelines"), set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
            del sys.modules[name]


@pytest.fixture
def waves() -> tuple[np.ndarray, np.ndarray]:
    """Two classes of noisy waves, (40, 3, 48) float32 and their labels: easy to tell apart, quick to train on."""
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2
    time = np.arange(48)
    phase = rng.uniform(0, 2 * np.pi, (40, 3, 1))
    pace = np.where(label == 0, 0.2, 0.6)[:, None, None]
    values = np.sin(pace * time + phase) + 0.1 * rng.standard_normal((40, 3, 48))
    return values.astype(np.float32), label
