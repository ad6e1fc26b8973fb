"""Pictures of forecasts: every window with its past, every method at every horizon, and what is not drawn is said."""

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from tsrep.errors import InputError
from tsrep.plots.forecasts import forecasts, horizons


def drawn(figure: Figure) -> bool:
    held = io.BytesIO()
    figure.savefig(held, format="png")
    held.seek(0)
    return bool((imread(held)[..., :3] < 0.9).mean() > 0.005)


def arrays(windows: int = 2, past: int = 30, horizon: int = 12) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    future = rng.standard_normal((windows, horizon))
    return rng.standard_normal((windows, past)), future, {"ours": future + 0.1, "lags": future - 0.2}


@pytest.mark.parametrize("past", [5, 12, 30])
def test_each_window_has_the_end_of_its_past_what_came_and_each_forecast(past: int) -> None:
    before, after, told = arrays(past=past)
    figure = forecasts(before, after, told, highlight=["ours"])
    assert len(figure.axes) == 2
    for window, ax in enumerate(figure.axes):
        known, ours, lags = (line for line in ax.get_lines()[:3])
        kept = min(past, 12)
        np.testing.assert_array_equal(known.get_ydata(), np.concatenate([before[window, -kept:], after[window]]))
        assert known.get_xdata()[kept - 1] == 0  # the last known step
        for line, name in ((ours, "ours"), (lags, "lags")):
            np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))
            np.testing.assert_array_equal(line.get_ydata(), told[name][window])
        assert ours.get_linestyle() == "-" != lags.get_linestyle()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["past and what came", "ours", "lags"]
    assert drawn(figure)


def test_many_windows_are_said_and_not_all_drawn() -> None:
    figure = forecasts(*arrays(9))
    assert len(figure.axes) == 4
    assert "4 of 9 windows" in figure.axes[0].get_title(loc="left")


ERRORS: dict[str, dict[int, list[float]]] = {
    "ours": {24: [0.2, 0.4], 720: [0.5, 0.5], 48: [0.3, 0.3]},
    "theirs": {24: [0.1, 0.2], 48: [0.2, 0.4], 720: [0.3, 0.3]},
    "last value": {24: [0.9], 720: [1.5]},
}


def test_errors_go_by_the_order_of_horizons_and_are_means_over_seeds() -> None:
    figure = horizons(ERRORS, highlight=["ours"])
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["24", "48", "720"]
    lines = {line.get_label(): line for line in ax.get_lines() if not str(line.get_label()).startswith("_")}
    assert list(lines) == ["1.200  last value", "0.367  ours", "0.250  theirs"]  # the worst on top, as they lie
    np.testing.assert_allclose(lines["0.367  ours"].get_ydata(), [0.3, 0.3, 0.5])
    np.testing.assert_array_equal(lines["1.200  last value"].get_xdata(), [0, 2])
    tones = {name: line.get_color() for name, line in lines.items()}
    assert tones["0.250  theirs"] == tones["1.200  last value"] != tones["0.367  ours"]
    assert len({line.get_marker() for line in lines.values()}) == 3
    assert len(ax.collections) == 2  # a reach from the best to the worst seed where there are several
    np.testing.assert_allclose(ax.collections[0].get_segments()[0][:, 1], [0.2, 0.4])
    assert ax.get_ylim()[0] == 0
    assert "(2 seeds)" in ax.get_title(loc="left")
    assert drawn(figure)
    assert "(1 seed)" in horizons({"one": {6: [0.1]}}).axes[0].get_title(loc="left")


@pytest.mark.parametrize("wrong", range(4))
def test_windows_that_cannot_be_drawn_are_refused(wrong: int) -> None:
    past, future, told = arrays()
    given: Any = [
        (past[0], future, told),
        (past[:1], future, told),
        (past[:0], future[:0], {}),
        (past, future, {"ours": future[:, 1:]}),
    ][wrong]
    with pytest.raises(InputError, match="expected"):
        forecasts(*given)


@pytest.mark.parametrize("errors", [{}, {"a": {}}, {"a": {6: []}}, {"a": {6: [np.nan]}}])
def test_errors_that_cannot_be_drawn_are_refused(errors: Any) -> None:
    with pytest.raises(InputError, match="at least one method"):
        horizons(errors)
