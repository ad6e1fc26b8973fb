"""A head says what scikit-learn says of the same embeddings, and travels with its model as plain numbers."""

import numpy as np
import pytest

import tsrep
from tsrep import heads
from tsrep.evaluation.linear import fitted


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    label = np.arange(30) % 3
    time = np.arange(40)
    X = np.sin(0.2 * (1 + label)[:, None, None] * time + rng.uniform(0, 6, (30, 2, 1))) + 0.1 * rng.standard_normal(
        (30, 2, 40)
    )
    return X.astype(np.float32), np.array(["walk", "run", "rest"])[label]


@pytest.fixture(scope="module")
def model(data):
    encoder = {"name": "dilated", "hidden": 8, "depth": 2, "features": 16}
    return tsrep.fit(data[0], encoder=encoder, training={"steps": 3})


@pytest.mark.parametrize("pool", [None, "rich"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_is_the_linear_probe_of_the_embeddings(model, data, pool, classes):
    X, y = data
    few = np.isin(y, ["walk", "run", "rest"][:classes])
    with_head = tsrep.fit_head(model, X[few], y[few], pool)
    Z = model.embed(X, pool).astype(np.float64)
    probe = fitted(Z[few], y[few])
    assert with_head.head.classes == tuple(probe.classes_)
    said = with_head.head(Z)
    np.testing.assert_allclose(said, probe.predict_proba(Z), atol=1e-9)
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert 0.02 < said.std() < 1


def test_the_head_is_saved_with_its_model_and_removed_with_it(model, data, tmp_path):
    X, y = data
    with_head = tsrep.fit_head(model, X, y, "mean")
    folder = with_head.save(tmp_path / "model")
    loaded = tsrep.load(folder)
    assert (loaded.head.classes, loaded.head.pool) == (("rest", "run", "walk"), "mean")
    Z = loaded.embed(X, "mean")
    np.testing.assert_array_equal(loaded.head(Z), with_head.head(Z))
    model.save(folder)
    assert not (folder / heads.NAME).exists()
    assert tsrep.load(folder).head is None
    assert tsrep.untrained(with_head, 1).head is None


def test_a_head_of_another_model_is_refused(model, data, tmp_path):
    X, y = data
    folder = tsrep.fit_head(model, X, y).save(tmp_path / "a")
    other = tsrep.fit_head(model, X, y[::-1]).save(tmp_path / "b")
    (other / heads.NAME).replace(folder / heads.NAME)
    with pytest.raises(tsrep.InputError, match="the head that was saved"):
        tsrep.load(folder)
    (folder / heads.NAME).unlink()
    with pytest.raises(tsrep.InputError, match="the head that was saved"):
        tsrep.load(folder)


@pytest.mark.parametrize(
    ("labels", "pool", "told"),
    [
        (["a"] * 30, None, "two classes"),
        (["a", "b"], None, "30 windows, got 2"),
        (["a", "b"] * 15, "steps", "one embedding"),
    ],
)
def test_what_can_not_be_fitted_is_refused(model, data, labels, pool, told):
    with pytest.raises(tsrep.InputError, match=told):
        tsrep.fit_head(model, data[0], labels, pool)
