"""Probes across devices and retrieval across modalities, on features whose answers are known."""

import numpy as np
import pytest

from tsrep.errors import InputError
from tsrep.evaluation.streams import carried, crossing, devices, ranks, whole

LABELS = np.arange(40) % 2, np.arange(30) % 2


def told(seed: int, sign: float = 1.0, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers, the first of which tells the class."""
    rng = np.random.default_rng(seed)
    return tuple(
        np.stack([sign * (2.0 * y - 1.0), np.zeros(len(y))], axis=1) + noise * rng.standard_normal((len(y), 2))
        for y in LABELS
    )  # type: ignore[return-value]


def by_place(rows: list[dict], metric: str) -> dict[str, float]:
    return {row["place"]: row["value"] for row in rows if row["metric"] == metric}


def test_a_probe_of_one_device_is_asked_about_the_others() -> None:
    features = {"wrist": told(0), "hip": told(1), "back": told(2, sign=-1.0)}
    features["hip"][1][[3, 4]] = np.nan
    features["hip"][0][7] = np.nan
    for metric in ("accuracy", "macro F1"):
        found = by_place(devices(features, LABELS, across=True, probe="knn1"), metric)
        assert found["wrist"] == found["hip"] == found["back"] == found["wrist → hip"] == 1.0
        assert found["wrist → back"] == found["back → hip"] == 0.0
        assert found["within (mean)"] == 1.0
        assert found["across (mean)"] == pytest.approx(1 / 3)
    alone = by_place(devices(features, LABELS, across=False), "accuracy")
    assert list(alone) == ["wrist", "hip", "back", "within (mean)"]


def test_few_labels_are_those_that_are_named() -> None:
    train, test = told(0)
    train[12:] *= -1  # whoever looks at these learns the contrary
    few = by_place(devices({"a": (train, test)}, LABELS, across=False, labelled=np.arange(12)), "accuracy")
    assert few["a"] == 1.0
    found = by_place(whole({"all": (train, test)}, LABELS, labelled=np.arange(12)), "accuracy")
    assert found == {"all": 1.0}
    assert by_place(whole({"all": (train, test)}, LABELS), "accuracy")["all"] < 0.2


def test_the_rank_is_the_place_of_the_own_row() -> None:
    query = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    candidates = np.array([[3.0, 0.1], [1.0, 0.0], [0.0, 1.0]])
    # cosines of query 1 to the three: .03, 0, 1; of query 2: .73, .71, .71 - the last two equal
    assert ranks(query, candidates).tolist() == [2.0, 3.0, 2.5]
    rng = np.random.default_rng(0)
    chance = ranks(rng.standard_normal((400, 8)), rng.standard_normal((400, 8)))
    assert chance.mean() == pytest.approx(200.5, rel=0.1)
    constant = ranks(np.ones((9, 2)), np.ones((9, 2)))
    assert (constant == 5.0).all(), "what tells nothing apart is chance, not perfect"


@pytest.mark.parametrize("one_space", [True, False])
def test_retrieval_finds_the_same_row_in_the_other_stream(one_space: bool) -> None:
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((60, 5)), rng.standard_normal((25, 5))
    turned = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    other = (train @ turned, test @ turned)
    other[1][3] = np.nan
    rows = crossing({"imu": (train, test), "skeleton": other}, one_space=one_space)
    top, rank = by_place(rows, "top-1"), by_place(rows, "mean rank")
    assert set(top) == {"imu → skeleton", "skeleton → imu"}
    if one_space:
        assert max(top.values()) < 0.3 and min(rank.values()) > 5
    else:
        assert min(top.values()) == 1.0 and max(rank.values()) == 1.0
    same = crossing({"imu": (train, test), "copy": (train, test * 2)}, one_space=True)
    assert by_place(same, "top-1") == {"imu → copy": 1.0, "copy → imu": 1.0}


def test_ridge_carries_a_linear_map_and_needs_rows() -> None:
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((200, 3)), rng.standard_normal((3, 4))
    np.testing.assert_allclose(carried(x, x @ weight + 2.0, x[:5]), x[:5] @ weight + 2.0, atol=0.05)
    with pytest.raises(InputError, match="at least two training rows"):
        carried(x[:1], x[:1], x)


def test_both_systems_of_the_ridge_between_spaces_give_the_same() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    x, y, query = rng.standard_normal((30, 50)), rng.standard_normal((30, 8)), rng.standard_normal((6, 50))
    for wide in (50, 12):  # more features than rows, and fewer
        part, asked = x[:, :wide], query[:, :wide]
        middle, spread = part.mean(axis=0), part.std(axis=0) + 1e-8
        expected = Ridge(alpha=2.0).fit((part - middle) / spread, y).predict((asked - middle) / spread)
        np.testing.assert_allclose(carried(part, y, asked, penalty=2.0), expected, atol=1e-10)
