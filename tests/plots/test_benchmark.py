"""The picture of a benchmark: a panel for every setting and data set, a point for every seed."""

import numpy as np
import pandas as pd
import pytest

from tsrep.errors import InputError
from tsrep.evaluation.tidy import tidy
from tsrep.plots.benchmark import benchmark


def table() -> pd.DataFrame:
    rows = [
        {
            "dataset": dataset,
            "setting": setting,
            "method": method,
            "features": features,
            "seed": seed,
            "value": value + seed / 10,
        }
        for dataset in ("Waves", "Hills")
        for setting in ("paper", "ours")
        for method, features, value in (
            ("autotcl", "embedding", 0.2),
            ("random encoder", "embedding", 0.3),
            ("last value", "none", 1.0),
        )
        for seed in range(2 if method != "last value" else 1)
    ]
    return tidy(rows, metric="mse")


def test_every_run_is_a_point_in_the_panel_of_its_setting_and_data_set() -> None:
    rows = table()
    figure = benchmark(rows[(rows["dataset"] != "Hills") | (rows["setting"] != "ours")])
    assert len(figure.axes) == 4
    for ax, of in zip(figure.axes[:3], (("paper", "Waves"), ("paper", "Hills"), ("ours", "Waves")), strict=True):
        points = np.concatenate([dots.get_offsets() for dots in ax.collections])
        wanted = rows[(rows["setting"] == of[0]) & (rows["dataset"] == of[1])]["value"]
        np.testing.assert_allclose(sorted(points[:, 0]), sorted(wanted))
    assert not figure.axes[3].collections  # was not run
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == [
        "last value",
        "random encoder (embedding)",
        "autotcl (embedding)",
    ]
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["Waves", "Hills"]


def test_rows_of_several_metrics_are_refused() -> None:
    rows = table()
    with pytest.raises(InputError, match="one metric, got 2"):
        benchmark(pd.concat([rows, rows.assign(metric="mae")]))
    with pytest.raises(InputError, match="one metric, got 0"):
        benchmark(rows[:0])
