"""The picture of bad pairs: a histogram with both thresholds for each term, and each of the worst pairs with its views in place."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from tsrep.errors import InputError
from tsrep.plots.bad_pairs import bad_pairs


def given(width: int = 2) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    views = {"series": rng.standard_normal((4, width, 30))}
    views |= {"left": views["series"][..., 3:20], "right": views["series"][..., 8:25]}
    start = {name: np.full(4, begin) for name, begin in (("series", 0), ("left", 3), ("right", 8))}
    return views, start


def test_every_pair_is_drawn_and_views_lie_where_they_began() -> None:
    views, start = given()
    losses = {term: (np.r_[np.linspace(1, 2, 50), np.nan], 1.1, 1.9) for term in ("global", "local")}
    names = [f"row {i}" for i in range(4)]
    figure = bad_pairs(losses, names, views, start, channels=["x", "y"], rate=10.0)
    assert len(figure.axes) == 2 + 4 * 3
    for axes in figure.axes[:2]:
        assert sum(patch.get_height() for patch in axes.patches) == 50
        assert [line.get_xdata()[0] for line in axes.get_lines()] == [1.1, 1.9]
    left = figure.axes[3].get_lines()[0]
    assert left.get_xdata()[0] == pytest.approx(0.3)
    np.testing.assert_array_equal(left.get_ydata(), views["left"][0, 0])
    assert figure.axes[2].get_title() == "row 0" or figure.axes[2].get_title(loc="left") == "row 0"
    held = io.BytesIO()
    figure.savefig(held, format="png")
    held.seek(0)
    assert (imread(held)[..., :3] < 0.9).mean() > 0.005


def test_channels_that_are_not_drawn_are_said() -> None:
    views, start = given(5)
    figure = bad_pairs({"instance": (np.linspace(0, 1, 9), 0.1, 0.9)}, list("abcd"), views, start)
    assert "(3 of 5 channels)" in figure.axes[0].get_title(loc="left")


def test_views_that_do_not_fit_are_refused() -> None:
    views, start = given()
    losses = {"instance": (np.linspace(0, 1, 9), 0.1, 0.9)}
    with pytest.raises(InputError, match=r"shape \(3, channel, time\)"):
        bad_pairs(losses, list("abc"), views, start)
    with pytest.raises(InputError, match="two views"):
        bad_pairs(losses, list("abcd"), {"series": views["series"]}, start)
