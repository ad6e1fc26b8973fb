"""The picture of a sweep: a line through the means, and every number as a point."""

import numpy as np
import pytest

from tsrep.errors import InputError
from tsrep.plots.sweep import sweep


def test_a_line_goes_through_the_means_in_order_of_the_setting_and_every_number_is_a_point() -> None:
    figure = sweep(
        {"both": {1.0: [0.9, 0.8], 0.0: [0.6, 0.7]}, "skeleton": {0.0: [0.5]}}, setting="β", metric="accuracy"
    )
    (ax,) = figure.axes
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0.0, 0.65], [1.0, 0.85]])
    points = np.concatenate([dots.get_offsets() for dots in ax.collections])
    assert sorted(points[:, 1]) == pytest.approx([0.6, 0.7, 0.8, 0.9])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["both", "skeleton"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("β", "accuracy")


def test_nothing_to_draw_is_refused() -> None:
    for empty in ({}, {"both": {}}, {"both": {1.0: []}}):
        with pytest.raises(InputError, match="got none"):
            sweep(empty, setting="β", metric="accuracy")
