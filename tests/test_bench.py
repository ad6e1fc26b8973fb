"""Parts of the bench that are run again replace their own rows and no others."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import tsrep


@pytest.fixture
def bench(pipeline: Callable[[str], ModuleType]) -> ModuleType:
    return pipeline("bench")


def rows(*told: tuple[str, str, float]) -> pd.DataFrame:
    made = [{"method": what, "setting": shape, "metric": "ratio", "value": value} for what, shape, value in told]
    return tsrep.tidy(
        [row | {"seconds": float("nan")} for row in made], dataset="made", encoder="dilated", seed=0, commit="a"
    )


def test_a_part_replaces_its_own_rows_and_leaves_the_others_as_they_are_written(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "speed.csv"
    rows(("loss", "8x600", 0.1 + 0.2), ("mining", "16x128", 1.5), ("mining", "", 2.5)).to_csv(out, index=False)
    before = out.read_text().splitlines()
    monkeypatch.setitem(bench.PARTS, "mining", lambda rounds, tell: tell("mining", "16x128", 1.01, "ratio"))
    monkeypatch.setattr("sys.argv", ["bench.py", "mining", "--out", str(out)])
    bench.main()
    after = out.read_text().splitlines()
    assert after[:3] == [before[0], before[1], before[3]]
    assert len(after) == 4 and ",mining," in after[3] and ",1.01," in after[3]


def test_an_unknown_part_is_refused(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench.py", "mines"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "expected parts of step, loss" in capsys.readouterr().err
