"""The picture of a learned view: every window with its mask below it, and what is not drawn is said."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from tsrep.errors import InputError
from tsrep.plots.masks import masks


def arrays(windows: int = 2, channels: int = 2, width: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    series = rng.standard_normal((windows, channels, 40))
    mask = np.zeros((windows, width, 40))
    mask[:, :, 10:25] = 1
    return series, mask, series * mask


@pytest.mark.parametrize("width", [1, 2])
def test_each_window_has_its_channels_and_its_mask(width: int) -> None:
    series, mask, view = arrays(width=width)
    figure = masks(series, mask, view, names=["run", "walk"], channels=["x", "y"], rate=20.0)
    assert len(figure.axes) == 4
    for window in range(2):
        above, below = figure.axes[2 * window : 2 * window + 2]
        assert above.get_ylabel() == ("run", "walk")[window]
        drawn = [line.get_ydata() for line in above.get_lines()]
        assert len(drawn) == 4
        for channel in range(2):
            np.testing.assert_array_equal(drawn[2 * channel], series[window, channel])
            np.testing.assert_array_equal(drawn[2 * channel + 1], view[window, channel])
        strips = [line.get_ydata() for line in below.get_lines()[1:]]
        assert len(strips) == width
        np.testing.assert_array_equal(strips[-1], mask[window, -1])
        assert below.get_lines()[1].get_xdata()[-1] == pytest.approx(39 / 20)
    assert figure.axes[-1].get_xlabel() == "time (s)"
    held = io.BytesIO()
    figure.savefig(held, format="png")
    held.seek(0)
    assert (imread(held)[..., :3] < 0.9).mean() > 0.005


def test_many_windows_and_channels_are_said_and_not_all_drawn() -> None:
    figure = masks(*arrays(9, 7))
    assert len(figure.axes) == 8
    assert len(figure.axes[0].get_lines()) == 6
    assert "4 of 9 windows, 3 of 7 channels" in figure.axes[0].get_title(loc="left")


def test_what_was_not_observed_is_a_gap() -> None:
    series, mask, view = arrays()
    series[0, 0, 30:], view[0, 0, 30:] = np.nan, np.nan
    lines = masks(series, mask, view).axes[0].get_lines()
    assert [int(np.isnan(line.get_ydata()).sum()) for line in lines] == [10, 10, 0, 0]


@pytest.mark.parametrize("wrong", range(5))
def test_what_cannot_be_drawn_is_refused(wrong: int) -> None:
    series, mask, view = arrays()
    given = [
        (series[0], mask, view),
        (series[:0], mask[:0], view[:0]),
        (series, mask, view[:, :, :3]),
        (series, mask[:, :, :3], view),
        (series, np.ones((2, 3, 40)), view),
    ][wrong]
    with pytest.raises(InputError, match="expected"):
        masks(*given)
    with pytest.raises(InputError, match="name"):
        masks(series, mask, view, names=["one"])
