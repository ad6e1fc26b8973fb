"""The sktime transformer: sktime's own checks, every form of panel, pipelines."""

import numpy as np
import pandas as pd
import pytest
import torch

import tsrep

pytest.importorskip("sktime")

from sklearn.svm import SVC
from sktime.datasets import load_basic_motions
from sktime.datatypes import convert_to
from sktime.utils.estimator_checks import check_estimator

from tsrep.integrations.sktime import ContrastiveEmbedder

TINY = {
    "encoder": {"name": "dilated", "hidden": 8, "depth": 3, "features": 16},
    "training": {"steps": 5, "batch_size": 8},
}


@pytest.fixture(autouse=True)
def _one_thread():
    """Models this small are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore")
def test_all_checks_of_sktime_pass():
    found = check_estimator(ContrastiveEmbedder, raise_exceptions=False, verbose=False)
    assert {name: said for name, said in found.items() if said != "PASSED"} == {}
    assert len(found) > 250


@pytest.fixture(scope="module")
def fitted() -> tuple[ContrastiveEmbedder, np.ndarray]:
    X = np.random.default_rng(0).standard_normal((12, 3, 40)).astype(np.float32)
    return ContrastiveEmbedder(**TINY).fit(X), X


def test_it_gives_what_the_model_gives(fitted):
    embedder, X = fitted
    made = embedder.transform(X)
    assert isinstance(made, pd.DataFrame)
    np.testing.assert_array_equal(made.to_numpy(), embedder.model_.embed(X))
    same = tsrep.fit(X, **TINY)
    np.testing.assert_array_equal(made.to_numpy(), same.embed(X))
    assert made.to_numpy().std(axis=0).min() > 0


@pytest.mark.parametrize("form", ["pd-multiindex", "nested_univ", "df-list"])
def test_every_form_of_panel_gives_the_same(fitted, form):
    embedder, X = fitted
    other = convert_to(X, form, as_scitype="Panel")
    np.testing.assert_allclose(embedder.transform(other), embedder.transform(X), atol=1e-6)


def test_series_of_unequal_length_with_missing_values_are_embedded_as_by_themselves():
    rng = np.random.default_rng(1)
    frames = [pd.DataFrame(rng.standard_normal((n, 2)), columns=["x", "y"]) for n in (30, 17, 40, 25, 30, 21, 33, 40)]
    frames[0].iloc[3:6, 0] = np.nan
    frames[1].iloc[5, :] = np.nan
    X = pd.concat(frames, keys=[f"walk {i}" for i in range(8)])
    embedder = ContrastiveEmbedder(**TINY).fit(X)
    made = embedder.transform(X)
    assert list(made.index) == [f"walk {i}" for i in range(8)]
    assert np.isfinite(made.to_numpy()).all()
    for i in (0, 1, 3):
        alone = embedder.transform(X.loc[[f"walk {i}"]])
        np.testing.assert_allclose(alone.to_numpy()[0], made.to_numpy()[i], atol=1e-5)
        there = embedder.model_.embed([frames[i].to_numpy(np.float32).T])[0]
        np.testing.assert_allclose(there, made.to_numpy()[i], atol=1e-5)


def test_it_stands_before_a_classifier():
    X, y = load_basic_motions(split="train", return_type="numpy3D")
    test, truth = load_basic_motions(split="test", return_type="numpy3D")
    pipeline = ContrastiveEmbedder(**TINY) * SVC()
    pipeline.fit(X, y)
    assert (pipeline.predict(test) == truth).mean() > 0.8


def test_the_random_state_decides(fitted):
    embedder, X = fitted
    again, other = (ContrastiveEmbedder(**TINY, random_state=seed).fit(X).transform(X) for seed in (0, 1))
    np.testing.assert_array_equal(embedder.transform(X), again)
    assert not np.allclose(embedder.transform(X), other)
    drawn = [ContrastiveEmbedder(**TINY, random_state=np.random.RandomState(3)).fit(X).transform(X) for _ in range(2)]
    np.testing.assert_array_equal(*drawn)


def test_channels_in_another_order_are_refused():
    rng = np.random.default_rng(2)
    X = pd.concat([pd.DataFrame(rng.standard_normal((20, 2)), columns=["x", "y"]) for _ in range(6)], keys=range(6))
    embedder = ContrastiveEmbedder(**TINY).fit(X)
    with pytest.raises(tsrep.InputError, match="order"):
        embedder.transform(X[["y", "x"]])


def test_a_single_series_says_what_it_needs():
    with pytest.raises(tsrep.InputError, match=r"data\.window"):
        ContrastiveEmbedder(**TINY).fit(np.random.default_rng(0).standard_normal((1, 2, 60)))
    one = ContrastiveEmbedder(**TINY, window=15).fit(np.random.default_rng(0).standard_normal((1, 2, 60)))
    assert one.model_.data.rows == 4


def test_a_fitted_model_is_saved_as_a_model(fitted, tmp_path):
    embedder, X = fitted
    embedder.model_.save(tmp_path / "model")
    np.testing.assert_allclose(tsrep.load(tmp_path / "model").embed(X), embedder.transform(X), atol=1e-6)
