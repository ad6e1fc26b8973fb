"""The picture of devices: a number for every anchor and device, the closest in bold, nothing where there is nothing."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

import tsrep
from tsrep.errors import InputError
from tsrep.plots.devices import devices

NAMES = ("left wrist", "right wrist", "hip")


def given(batches: int = 4) -> tuple[np.ndarray, np.ndarray]:
    base = np.array([[0, 0.1, 2.0], [0.1, 0, 3.0], [2.0, 3.0, 0]])
    distances = base + 0.012 * np.arange(batches)[:, None, None]
    chosen = np.zeros((batches, 3, 3))
    chosen[:, 0, 1], chosen[:, 1, 0], chosen[:3, 2, 0], chosen[3:, 2, 1] = 0.5, 1.0, 1.0, 1.0
    return distances, chosen


def texts(axes: object) -> list[tuple[str, str]]:
    return [(text.get_text(), text.get_fontweight()) for text in axes.texts]  # type: ignore[attr-defined]


def test_every_anchor_has_its_distances_and_choices_and_the_best_is_bold() -> None:
    figure = devices(NAMES, *given())
    left, right = figure.axes
    assert [t for t, _ in texts(left)] == ["·", "0.12", "2.02", "0.12", "·", "3.02", "2.02", "3.02", "·"]
    assert [t for t, w in texts(left) if w == "bold"] == ["0.12", "0.12", "2.02"]
    assert [t for t, _ in texts(right)] == ["·", "100%", "0%", "100%", "·", "0%", "75%", "25%", "·"]
    assert [t.get_text() for t in left.get_yticklabels()] == list(NAMES)
    assert "of 4 batches" in right.get_title(loc="left")
    held = io.BytesIO()
    figure.savefig(held, format="png")
    held.seek(0)
    assert (imread(held)[..., :3] < 0.9).mean() > 0.02


def test_devices_that_share_no_moment_have_no_number() -> None:
    distances, chosen = given()
    distances[:, 0, 2] = np.inf
    distances[0, 0, 1] = np.inf
    left, _ = devices(NAMES, distances, chosen).axes
    assert texts(left)[2][0] == "·" and texts(left)[1][0] == "0.12", "the mean over the batches that had both"


def test_tables_that_do_not_fit_are_refused() -> None:
    distances, chosen = given()
    with pytest.raises(InputError, match=r"shape \(batch, 2, 2\), got \(4, 3, 3\)"):
        devices(NAMES[:2], distances, chosen)
    with pytest.raises(InputError, match=r"and \(3, 3, 3\)"):
        devices(NAMES, distances, chosen[:3])


def test_the_picture_of_a_plan_shows_what_its_selection_chose_among_the_training_windows() -> None:
    """Two devices record nearly the same, a third something else: the two choose each other in every batch."""
    rng = np.random.default_rng(0)
    same = rng.standard_normal((24, 3, 20))
    # Magnitudes are compared: the third one moves slowly, on one axis.
    other = np.repeat(3.0 * rng.standard_normal((24, 3, 2)), 10, axis=2) * np.array([[1.0], [0.0], [0.0]])
    values = {"left": same, "right": same + 0.01 * rng.standard_normal(same.shape), "hip": other}
    streams = tsrep.Streams(
        {name: tsrep.Panel(v.astype(np.float32), ("acc_x", "acc_y", "acc_z"), 10.0) for name, v in values.items()}
    )
    plan, _ = tsrep.make_plan(
        {
            "method": "collossl",
            "encoder": "tpn",
            "data": {"streams": "all", "scaling": "none"},
            "training": {"batch_size": 12},
        }
    )
    figure = tsrep.devices_picture(streams, plan, batches=5, title="made")
    shown = [text for text, _ in texts(figure.axes[1])]
    assert shown[1] == "100%" and shown[3] == "100%"
    assert "of 5 batches" in figure.axes[1].get_title(loc="left")
