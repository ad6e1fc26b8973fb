"""Pictures: they are drawn without a screen or global state, and show as many marks as there are things."""

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from tsrep.errors import InputError
from tsrep.plots.confusion import confusion, matrix
from tsrep.plots.curves import curves
from tsrep.plots.map import embedding_map, pca
from tsrep.plots.neighbours import neighbours
from tsrep.plots.scores import scores
from tsrep.plots.views import views


def png(figure: Figure) -> np.ndarray:
    """The picture as pixels, through the PNG that a user would write."""
    from matplotlib.image import imread

    held = io.BytesIO()
    figure.savefig(held, format="png")
    assert held.getvalue().startswith(b"\x89PNG")
    held.seek(0)
    return imread(held)


def drawn(figure: Figure) -> bool:
    return bool((png(figure)[..., :3] < 0.9).mean() > 0.005)


def rows(n: int, seed: int = 0, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width))


def points(figure: Figure) -> int:
    return sum(len(c.get_offsets()) for c in figure.axes[0].collections)


@pytest.mark.parametrize("classes", [1, 4, 30])
def test_the_map_has_a_point_for_each_row(classes: int) -> None:
    figure = embedding_map(rows(93), np.arange(93) % classes)
    assert points(figure) == 93
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == min(classes, 25)
    assert drawn(figure)


def test_a_map_without_labels_and_one_by_tsne_are_drawn() -> None:
    assert points(embedding_map(rows(20))) == 20
    assert points(embedding_map(rows(20), method="tsne")) == 20


def test_classes_differ_in_colour_or_shape() -> None:
    figure = embedding_map(rows(120), np.arange(120) % 24)
    looks = {(tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes()) for c in figure.axes[0].collections}
    assert len(looks) == 24


def test_the_map_is_the_same_however_the_signs_of_the_components_fall() -> None:
    data = rows(30)
    points_, share = pca(data)
    again, _ = pca(data.copy())
    np.testing.assert_allclose(points_, again)
    np.testing.assert_allclose(np.abs(pca(-data)[0]), np.abs(points_), atol=1e-9)
    assert share[0] >= share[1] > 0
    flat, none = pca(np.ones((5, 3)))
    assert not flat.any()
    assert not none.any()
    assert pca(rows(6, width=1))[0].shape == (6, 2)


def test_views_are_drawn_where_they_begin_with_gaps_where_they_mask() -> None:
    series = rows(3, width=50)
    crop = series[:, 10:30].copy()
    crop[:, 5:8] = np.nan
    figure = views(series, {"left": crop, "right": series}, start={"left": 10}, rate=5.0)
    lines = figure.axes[0].get_lines()
    assert len(figure.axes) == 3
    assert [len(line.get_xdata()) for line in lines] == [50, 20, 50]
    assert lines[1].get_xdata()[0] == pytest.approx(2.0)
    assert np.isnan(lines[1].get_ydata()).sum() == 3
    assert figure.axes[-1].get_xlabel() == "time (s)"
    assert drawn(figure)


def test_many_channels_are_said_and_not_all_drawn() -> None:
    figure = views(rows(20, width=30), {})
    assert len(figure.axes) == 6
    assert "6 of 20 channels" in figure.axes[0].get_title(loc="left")


def test_curves_share_the_loss_panel_and_keep_every_value() -> None:
    step = np.arange(100)
    figure = curves(
        {
            "loss": (step, 1 / (1 + step)),
            "loss/validation": (step[::10], 1 / (1 + step[::10])),
            "uniformity": (step, -step / 50),
        },
        smooth=9,
    )
    assert len(figure.axes) == 2
    assert [len(line.get_xdata()) for line in figure.axes[0].get_lines()] == [100, 100, 10]
    assert figure.axes[-1].get_xlabel() == "step"
    assert drawn(figure)


def test_a_curve_with_values_that_are_not_finite_or_of_one_step_is_drawn() -> None:
    assert drawn(curves({"loss": ([0, 1, 2], [1.0, np.inf, np.nan])}))
    assert drawn(curves({"rank": ([0], [3.0])}))


def test_the_confusion_matrix_counts_every_row() -> None:
    truth, predicted = np.array(list("aabbc")), np.array(list("abbbd"))
    classes, counts = matrix(truth, predicted)
    assert classes.tolist() == list("abcd")
    assert counts.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    figure = confusion(truth, predicted)
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["1", "1", "1", "2", "accuracy 0.600, n = 5"]
    assert drawn(figure)
    assert drawn(confusion(np.arange(40), np.arange(40)))


def test_neighbours_have_a_column_each_and_a_stranger_is_coloured() -> None:
    figure = neighbours(
        rows(2, width=30),
        np.stack([rows(2, seed, 30) for seed in range(3)]),
        distance=[0.1, 0.2, 0.3],
        labels=["run", "walk", "run"],
        query_label="run",
    )
    assert len(figure.axes) == 6
    tones = [ax.get_lines()[0].get_color() for ax in figure.axes[:3]]
    assert tones[0] == tones[2] != tones[1]
    assert [ax.get_title(loc="right") for ax in figure.axes[:3]] == ["d = 0.100", "d = 0.200", "d = 0.300"]
    assert drawn(figure)


def test_scores_show_every_seed_with_the_best_on_top() -> None:
    figure = scores({"weak": [0.5, 0.6], "strong": [0.9, 0.95, 1.0], "single": [0.7]}, chance=0.25)
    assert points(figure) == 6
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["weak", "single", "strong"]
    low, high = figure.axes[0].get_xlim()
    assert low < 0.25
    assert high >= 1
    assert drawn(figure)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: embedding_map(np.zeros((0, 3))),
        lambda: embedding_map(np.full((3, 3), np.nan)),
        lambda: embedding_map(rows(3), np.zeros(4)),
        lambda: embedding_map(rows(3), method="umap"),
        lambda: views(rows(3), {"left": rows(4)}),
        lambda: curves({}),
        lambda: curves({"loss": ([1], [1.0, 2.0])}),
        lambda: confusion(np.zeros(3), np.zeros(4)),
        lambda: neighbours(rows(2), rows(2)),
        lambda: scores({"a": []}),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: "object") -> None:
    with pytest.raises(InputError, match="expected"):
        draw()  # type: ignore[operator]


def test_drawing_leaves_the_settings_and_pyplot_alone() -> None:
    code = (
        "import sys, numpy as np, tsrep.plots.map, tsrep.plots.scores\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import matplotlib; before = dict(matplotlib.rcParams)\n"
        "tsrep.plots.map.embedding_map(np.eye(5), np.arange(5)).savefig(__import__('io').BytesIO())\n"
        "assert dict(matplotlib.rcParams) == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
