"""The encoders of inertial units and of skeletons obey the laws: padding changes nothing, a batch is its series one by one."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from tsrep.encoders.cooccurrence import Cooccurrence
from tsrep.encoders.imu import Imu
from tsrep.encoders.joints import joints_of, motion, parts_mean
from tsrep.encoders.recurrent import Recurrent
from tsrep.encoders.skeleton_graph import SkeletonGraph, graph_of
from tsrep.errors import InputError
from tsrep.series import Series

NAN = float("nan")
WIDTHS = (8, 16, 8, 8, 8, 8)
VARIANTS: dict[str, Any] = {
    "imu": Imu(widths=(6, 8), layers=1, features=4, parts=3),
    "imu, mean": Imu(widths=(6, 8), layers=2, features=12, parts=1),
    "cooccurrence": Cooccurrence(WIDTHS, features=4, parts=3),
    "cooccurrence, as published": Cooccurrence(WIDTHS, features=12, parts=1, halve=3),
    "cooccurrence, all steps": Cooccurrence(WIDTHS, features=6, parts=2, halve=0),
    "recurrent": Recurrent(hidden=6),
    "recurrent, one layer": Recurrent(hidden=6, layers=1),
    "recurrent, mean": Recurrent(hidden=6, layers=3, pool="mean", dropout=0.2),
    "skeleton_graph": SkeletonGraph(hidden=8, blocks=2, features=4, parts=3),
}


@pytest.fixture(params=VARIANTS)
def encoder(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = VARIANTS[request.param].build(6, 24)
    return made.eval()


def ragged() -> torch.Tensor:
    """Seven series of two joints of unequal length, padded on either side, with holes of one channel and of all; one step alone."""
    x = torch.randn(7, 6, 24, generator=torch.Generator().manual_seed(1))
    x[1, :, 17:] = NAN
    x[2, :, :9] = NAN
    x[3, :, :5], x[3, :, 8:] = NAN, NAN
    x[4, 1, 3:11] = NAN
    x[5, :, 7:16] = NAN
    x[6, :, :4], x[6, :, 5:] = NAN, NAN
    return x


def test_embeddings_have_the_promised_shapes_and_steps_outside_the_extent_are_zero(encoder: nn.Module) -> None:
    series = Series.of(ragged())
    embedding = encoder(series)
    assert encoder.features == 12 and not encoder.causal and encoder.channels == 6
    assert embedding.pooled.shape == (7, 12) and embedding.steps.shape == (7, 12 // getattr(encoder, "parts", 1), 24)
    assert embedding.series is series
    assert embedding.pooled.std(dim=0).min() > 1e-4 and embedding.steps.isfinite().all()
    outside = ~series.extent[:, None].expand_as(embedding.steps)
    assert outside.any() and (embedding.steps[outside] == 0).all()
    assert (embedding.steps.abs().amax(dim=1)[series.extent] > 1e-4).all()


@pytest.mark.parametrize(("before", "after"), [(7, 0), (0, 5), (3, 30)])
def test_padding_changes_nothing(encoder: nn.Module, before: int, after: int) -> None:
    bare = encoder(Series.of(ragged()))
    padded = encoder(Series.of(nn.functional.pad(ragged(), (before, after), value=NAN)))
    torch.testing.assert_close(padded.pooled, bare.pooled, atol=1e-5, rtol=0)
    torch.testing.assert_close(padded.steps[:, :, before : before + 24], bare.steps, atol=1e-5, rtol=0)


def test_a_batch_is_its_series_one_by_one(encoder: nn.Module) -> None:
    together = encoder(Series.of(ragged()))
    for i, x in enumerate(ragged()):
        alone = encoder(Series.of(x[None]))
        torch.testing.assert_close(alone.pooled[0], together.pooled[i], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone.steps[0], together.steps[i], atol=1e-5, rtol=0)
        begin, end = (int(e) for e in Series.of(x[None]).extent[0].nonzero().flatten()[[0, -1]])
        cut = encoder(Series.of(x[None, :, begin : end + 1]))
        torch.testing.assert_close(cut.pooled[0], together.pooled[i], atol=1e-5, rtol=0)


def test_in_training_too_a_series_does_not_depend_on_its_neighbours(encoder: nn.Module) -> None:
    """No statistics over the batch; dropout aside."""
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    encoder.train()
    for layer in getattr(encoder, "layers", []):
        layer.rate = 0.0
    together, alone = encoder(Series.of(ragged())), encoder(Series.of(ragged()[3:4]))
    torch.testing.assert_close(alone.pooled[0], together.pooled[3], atol=1e-5, rtol=0)


def test_everything_learns_and_gradients_of_padding_are_none(encoder: nn.Module) -> None:
    series = Series.of(ragged())
    values = series.values.clone().requires_grad_()
    embedding = encoder(dataclasses.replace(series, values=values))
    for told in (embedding.steps, embedding.pooled):  # either alone teaches all of it
        encoder.zero_grad()
        told.square().sum().backward(retain_graph=True)
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in encoder.parameters())
    assert values.grad is not None and (values.grad[1, :, 17:] == 0).all() and values.grad[1, :, :17].abs().max() > 0


def test_a_series_of_which_nothing_was_recorded_is_finite(encoder: nn.Module) -> None:
    nothing = Series.of(torch.full((2, 6, 24), NAN))
    absent = dataclasses.replace(nothing, extent=torch.ones_like(nothing.extent))
    assert encoder(nothing).pooled.isfinite().all() and encoder(absent).pooled.isfinite().all()


def test_the_order_of_time_matters(encoder: nn.Module) -> None:
    x = torch.randn(3, 6, 24, generator=torch.Generator().manual_seed(3))
    there, back = encoder(Series.of(x)).pooled, encoder(Series.of(x.flip(2))).pooled
    assert (there - back).abs().max() > 1e-3


@pytest.mark.parametrize("config", [Cooccurrence(), SkeletonGraph()])
def test_channels_that_are_no_joints_are_refused(config: Any) -> None:
    with pytest.raises(InputError, match=r"multiple of three.* got 7"):
        config.build(7, 20)
    assert joints_of(60, "cooccurrence") == 20


def test_settings_that_do_not_fit_are_refused() -> None:
    for config, said in (
        (Imu(heads=3), "3 heads divide"),
        (Cooccurrence(widths=(8, 8, 8, 8, 8, 8)), "second at least 16"),
        (Cooccurrence(halve=4), "from 0 to 3"),
        (SkeletonGraph(body="kinect_v1"), "the 20 joints of kinect_v1, got 2"),
    ):
        with pytest.raises(InputError, match=said):
            config.build(6, 20)


def test_the_graph_of_a_body_joins_bones_alone() -> None:
    graph = graph_of(20, "kinect_v1")
    assert torch.equal(graph, graph.T) and int((graph > 0).sum()) == 20 + 2 * 19
    assert torch.linalg.eigvalsh(graph).abs().max().item() == pytest.approx(1, abs=1e-5)
    assert torch.equal(graph_of(4, "free"), torch.eye(4))


def test_motion_is_zero_beside_what_is_missing() -> None:
    series = Series.of(torch.tensor([[[1.0, 3.0, NAN, 7.0, 8.0]]]))
    assert motion(series.values, series.observed).tolist() == [[[0.0, 2.0, 0.0, 0.0, 1.0]]]


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 12])
def test_means_over_parts_are_those_of_adaptive_pooling(parts: int) -> None:
    steps = torch.randn(3, 4, 12, generator=torch.Generator().manual_seed(0))
    found = parts_mean(steps, torch.tensor([12, 7, 1]), parts).unflatten(1, (4, parts))
    for i, count in enumerate((12, 7, 1)):
        expected = nn.functional.adaptive_avg_pool1d(steps[i, :, :count], parts)
        torch.testing.assert_close(found[i], expected)
