"""The command of the benchmarks: what it ran is not run again, and what it runs again takes the place of what was there."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from tsrep.evaluation.tidy import COLUMNS


@pytest.fixture
def command(pipeline: Callable[[str], ModuleType]) -> ModuleType:
    return pipeline("benchmark")


def rows(method: str, seed: int, *read: tuple[str, float], setting: str = "classify") -> pd.DataFrame:
    about = {
        "dataset": "ERing",
        "setting": setting,
        "method": method,
        "seed": seed,
        "metric": "accuracy",
        "commit": "007",
    }
    return pd.DataFrame([about | {"features": said, "value": value} for said, value in read], columns=list(COLUMNS))


def test_rows_are_added_once(command: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "made.csv"
    for _ in range(2):
        command.append(out, rows("ts2vec", 0, ("rich", 0.5)))
    command.append(out, rows("ts2vec", 1, ("rich", 0.6)))
    assert pd.read_csv(out)["value"].tolist() == [0.5, 0.6]
    assert command.done(out) == {("ERing", "classify", "ts2vec", 0), ("ERing", "classify", "ts2vec", 1)}


def test_what_is_run_again_takes_the_place_of_what_was_there(command: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "made.csv"
    old = [
        rows("ts2vec", 0, ("rich", 0.5)),
        rows("ts2vec", 1, ("rich", 0.6)),
        rows("ts2vec", 0, ("max", 0.4), setting="max alone"),
    ]
    for table in old:
        command.append(out, table)
    new = rows("ts2vec", 0, ("rich", 0.7), ("levels", 0.8))
    command.forget(out, new)
    command.append(out, new)
    found = pd.read_csv(out, dtype={"commit": str})
    assert found["value"].tolist() == [0.6, 0.4, 0.7, 0.8]
    assert set(found["commit"]) == {"007"}, "what stays is not rewritten as a number"
    command.forget(tmp_path / "none.csv", new)
    assert not (tmp_path / "none.csv").exists()
