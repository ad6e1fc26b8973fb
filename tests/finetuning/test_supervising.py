"""Supervised training from scratch: labels follow the rows they belong to, streams are read side by side, the best weights are kept."""

import numpy as np
import pytest
import torch

import tsrep
from tests.reference.cross_entropy import cross_entropy
from tsrep.encoders.dilated import Dilated
from tsrep.errors import InputError
from tsrep.finetuning.classifier import Classifier, CrossEntropy
from tsrep.pairs import Alone
from tsrep.series import Embedding, Series

ENCODER = {"name": "dilated", "hidden": 8, "depth": 2, "features": 12}
TRAINING = {"steps": 40, "batch_size": 16, "learning_rate": 5e-3}


def streams_of(values: np.ndarray, label: np.ndarray) -> tsrep.Streams:
    """Two streams, the second one with fewer channels; two rows lack one of them."""
    left, right = values.copy(), values[:, :2].copy()
    left[3], right[5] = np.nan, np.nan
    return tsrep.Streams(
        {
            "wrist": tsrep.Panel(left, ("x", "y", "z"), 10.0, label=label),
            "hip": tsrep.Panel(right, ("x", "y"), 10.0, label=label),
        }
    )


def plan_of(method: object = "skeleton_imu", encoders: str = "each", **training: object) -> tsrep.Plan:
    content = {"method": method, "encoder": ENCODER, "encoders": encoders, "data": {"streams": "all"}}
    return tsrep.make_plan({**content, "training": {**TRAINING, **training}})[0]


def embedded(scores: torch.Tensor, row: list[int], absent: int | None = None) -> Embedding:
    values = np.ones((len(row), 1, 4), np.float32)
    if absent is not None:
        values[absent] = np.nan
    series = Series.of(torch.from_numpy(values))
    series = Series(series.values, series.observed, series.extent, torch.tensor(row), series.start)
    return Embedding(scores[:, :, None].expand(-1, -1, 4), scores, series)


def test_the_loss_is_the_slow_loops_of_streams_added_up_and_one_that_is_absent_adds_nothing() -> None:
    label = torch.tensor([2, 0, 1, 1, 0])
    rng = np.random.default_rng(0)
    a, b = (torch.tensor(rng.standard_normal((3, 3)), requires_grad=True) for _ in range(2))
    views = {"wrist": embedded(a, [4, 0, 3], absent=1), "hip": embedded(b, [4, 0, 3])}
    loss = CrossEntropy(label, joint=True)({}, views, Alone())
    loss.backward()
    here = a.detach().clone()
    here[1] = 0.0
    assert loss.item() == pytest.approx(cross_entropy((here + b.detach()).tolist(), [0, 2, 1]), abs=1e-12)
    assert a.grad is not None and (a.grad[1] == 0).all() and (a.grad[[0, 2]] != 0).all()


def test_views_of_one_stream_each_have_the_loss_of_their_own() -> None:
    label = torch.tensor([1, 0])
    a, b = torch.tensor([[1.0, 0.0], [0.5, 2.0]]), torch.tensor([[0.0, 3.0], [1.0, 1.0]])
    loss = CrossEntropy(label, joint=False)({}, {"left": embedded(a, [0, 1]), "right": embedded(b, [0, 1])}, Alone())
    own = [cross_entropy(scores.tolist(), [1, 0]) for scores in (a, b)]
    assert loss.item() == pytest.approx(sum(own) / 2, abs=1e-6)


def test_a_classifier_scores_what_its_encoder_pooled(waves: tuple[np.ndarray, np.ndarray]) -> None:
    encoder = Dilated(hidden=4, depth=1, features=6).build(3, 48).eval()
    made = Classifier(encoder, 5).eval()
    series = Series.of(torch.from_numpy(waves[0][:4]))
    found, inner = made(series), encoder(series)
    assert found.pooled.shape == (4, 5) and made.features == 5
    torch.testing.assert_close(found.pooled, inner.pooled @ made.head.weight.T + made.head.bias)
    assert torch.equal(found.steps, inner.steps)


@pytest.mark.parametrize(("method", "encoders"), [("skeleton_imu", "each"), ("simclr", "shared")])
def test_it_learns_what_labels_say_from_several_streams_or_one_encoder_for_all(
    waves: tuple[np.ndarray, np.ndarray], method: str, encoders: str
) -> None:
    values, label = waves
    data = streams_of(values, label)
    if encoders == "shared":
        data = tsrep.Streams(
            {name: tsrep.Panel(p.values[:, :2], ("x", "y"), 10.0, label=label) for name, p in data.items()}
        )
    found = tsrep.supervised(plan_of(method, encoders), data.rows(np.arange(30)))
    rest = data.rows(np.arange(30, 40))
    assert (found.predict(rest) == rest.label).mean() >= 0.9
    parts = found.model.embed_streams(rest)
    np.testing.assert_allclose(found.scores(rest), sum(parts.values()), rtol=1e-5)
    assert (found.predict({"hip": rest["hip"]}) == rest.label).mean() >= 0.8, "one stream alone"


def test_labels_that_say_nothing_teach_nothing_of_others(waves: tuple[np.ndarray, np.ndarray]) -> None:
    """The label of another row would be learned as well as the own, if rows were mixed up."""
    values, label = waves
    shuffled = np.random.default_rng(1).permutation(label)
    found = tsrep.supervised(plan_of(steps=20), streams_of(values, shuffled).rows(np.arange(30)))
    rest = streams_of(values, label).rows(np.arange(30, 40))
    assert (found.predict(rest) == rest.label).mean() <= 0.8


def test_the_weights_of_the_lowest_validation_loss_are_kept_and_its_labels_are_its_own(
    waves: tuple[np.ndarray, np.ndarray],
) -> None:
    values, label = waves
    named = np.array(["walk", "run"])[label]
    data = streams_of(values, named)
    held = data.rows(np.arange(30, 40))
    plan = plan_of({"name": "skeleton_imu", "augment": [], "body": []}, validate_every=10, patience=2)
    found = tsrep.supervised(plan, data.rows(np.arange(30)), held)
    looks = [line["validation"] for line in found.model.history if "validation" in line]
    truth = np.searchsorted(found.classes, held.label).tolist()
    assert found.classes.tolist() == ["run", "walk"] and len(looks) >= 2
    assert cross_entropy(found.scores(held).tolist(), truth) == pytest.approx(min(looks), rel=1e-4)


def test_the_same_seed_gives_the_same_scores(waves: tuple[np.ndarray, np.ndarray]) -> None:
    data = streams_of(*waves)
    first, second = (tsrep.supervised(plan_of(steps=3), data).scores(data) for _ in range(2))
    assert np.array_equal(first, second)


def test_data_without_classes_are_refused(waves: tuple[np.ndarray, np.ndarray]) -> None:
    data = streams_of(waves[0], np.zeros(40, int))
    with pytest.raises(InputError, match="at least two classes"):
        tsrep.supervised(plan_of(), data)
