"""Skeleton and IMU: the whole loss from slow loops, what its settings do, and rows where a stream is missing."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tsrep.data.bodies import JOINTS
from tsrep.encoders.cooccurrence import Cooccurrence
from tsrep.encoders.imu import Imu
from tsrep.encoders.streams import Each
from tsrep.errors import InputError
from tsrep.method import DataShape, Method, StreamShape
from tsrep.methods.skeleton_imu import SkeletonImu
from tsrep.pairs import Alone
from tsrep.series import Series
from tsrep.training import Training, train
from tsrep.views.mirror import Mirror
from tsrep.views.rotate import Rotate

REFERENCE = Path(__file__).parents[1] / "reference"
cross = SimpleNamespace(**runpy.run_path(str(REFERENCE / "cross_modal.py")))
hard = SimpleNamespace(**runpy.run_path(str(REFERENCE / "hard_negatives.py")))

N, TIME = 7, 16
INERTIAL = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")
SKELETON = tuple(f"{joint}_{axis}" for joint in JOINTS for axis in "xyz")
SUBJECT = torch.tensor([0, 0, 1, 1, 0, 1, 2])
SHAPE = DataShape(
    N,
    INERTIAL,
    TIME,
    None,
    (StreamShape("inertial", INERTIAL, TIME), StreamShape("skeleton", SKELETON, TIME)),
    SUBJECT,
)
BARE: dict[str, Any] = {"augment": (), "body": ()}


def batch(seed: int = 0) -> dict[str, Series]:
    g = torch.Generator().manual_seed(seed)
    return {s.name: Series.of(torch.randn(N, len(s.channels), TIME, generator=g)) for s in SHAPE.streams}


def without(made: dict[str, Series], stream: str, *rows: int) -> dict[str, Series]:
    """The batch with a stream absent in some rows, as data is prepared."""
    values = made[stream].values.clone()
    values[list(rows)] = torch.nan
    series = Series.of(values)
    return made | {stream: replace(series, extent=series.extent | ~series.present[:, None])}


def method_of(seed: int = 0, shape: DataShape = SHAPE, **settings: Any) -> Method:
    torch.manual_seed(seed)
    encoder = Each(
        {
            "inertial": Imu(widths=(6, 8), layers=1, features=10, parts=2, dropout=0.0).build(6, TIME),
            "skeleton": Cooccurrence((4, 16, 4, 4, 8, 8), features=12, parts=2, dropout=0.0).build(60, TIME),
        }
    )
    return SkeletonImu(hidden=9, projection=5, **settings).build(encoder, shape).double()


def terms_of(method: Method, given: dict[str, Series]) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    given = {name: series.cast(torch.float64) for name, series in given.items()}
    views = method.view(given, torch.Generator().manual_seed(0))
    embeddings = method.embed(views)
    total, terms, _ = method.loss(method.phases[0], views, embeddings, Alone())
    return total, terms, {name: e.pooled for name, e in embeddings.items()}


def unit(x: Tensor) -> Tensor:
    return nn.functional.normalize(x, dim=-1)


def test_the_whole_loss_is_that_of_slow_loops() -> None:
    """½ (L_{i→s} + L_{s→i}) + λ (L_{i→i'} + L_{s→s'}), all with hard negatives and a prior."""
    beta, prior, tau, share = 0.7, 0.04, 0.3, 0.5
    method = method_of(temperature=tau, beta=beta, tau_plus=prior, intra=share)
    total, terms, z = terms_of(method, batch())
    assert set(z) == {f"{s}/{side}" for s in ("inertial", "skeleton") for side in ("left", "right")}
    inter = [
        hard.across(unit(z[f"inertial/{s}"]), unit(z[f"skeleton/{s}"]), tau, beta, prior) for s in ("left", "right")
    ]
    intra = [hard.hcl(unit(z[f"{s}/left"]), unit(z[f"{s}/right"]), tau, beta, prior) for s in ("inertial", "skeleton")]
    torch.testing.assert_close(terms["inter"], sum(inter) / 2)
    torch.testing.assert_close(terms["intra/skeleton"], share * intra[1])
    torch.testing.assert_close(total, sum(inter) / 2 + share * sum(intra))
    grads = [
        torch.autograd.grad(value, [*z.values()], retain_graph=True)
        for value in (total, sum(inter) / 2 + share * sum(intra))
    ]
    for mine, theirs in zip(*grads, strict=True):
        assert theirs.abs().max() > 1e-4
        torch.testing.assert_close(mine, theirs)


def test_without_beta_prior_and_intra_it_is_symmetric_info_nce() -> None:
    total, terms, z = terms_of(method_of(beta=0.0), batch())
    assert set(terms) == {"inter"} and set(z) == {"inertial", "skeleton"}
    score = unit(z["inertial"]) @ unit(z["skeleton"]).T / 0.1
    own = torch.arange(N)
    expected = (nn.functional.cross_entropy(score, own) + nn.functional.cross_entropy(score.T, own)) / 2
    torch.testing.assert_close(total, expected)


@pytest.mark.parametrize(
    "settings", [{"gamma": 0.8}, {"neighbours": 2, "warmup": 0}, {"gamma": 0.8, "neighbours": 1, "warmup": 0}]
)
def test_subjects_and_neighbours_are_those_of_the_data(settings: dict[str, Any]) -> None:
    total, _, z = terms_of(method_of(beta=0.0, **settings), batch())
    gamma, near, here = settings.get("gamma", 0.0), settings.get("neighbours", 0), [(True, True)] * N
    expected = cross.inter_modal(z["inertial"], z["skeleton"], 0.1, gamma, SUBJECT.tolist(), here, near)
    torch.testing.assert_close(total, expected)


@pytest.mark.parametrize(
    "settings", [{}, {"beta": 1.0, "tau_plus": 0.04}, {"intra": 1.0}, {"neighbours": 1, "warmup": 0}]
)
def test_rows_of_which_nothing_was_recorded_change_nothing(settings: dict[str, Any]) -> None:
    """Where a row has neither stream, loss and gradients are those of the other rows; where it has one, that one still teaches."""
    method = method_of(**BARE, **settings)
    bare = {name: s.rows(slice(0, 5)) for name, s in batch().items()}
    empty = without(without(batch(), "skeleton", 5, 6), "inertial", 5, 6)
    found = []
    for given in (bare, empty):
        total, _, _ = terms_of(method, given)
        method.zero_grad()
        total.backward()
        found.append((total.detach(), [p.grad.clone() for p in method.parameters()]))
    torch.testing.assert_close(found[0][0], found[1][0])
    for alone, beside in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(alone, beside)
    assert max(float(g.abs().max()) for g in found[0][1]) > 1e-3
    half, _, _ = terms_of(method, without(batch(), "skeleton", 5, 6))
    assert half.isfinite() and not torch.equal(half, found[0][0]), "their inertial side is still a negative"


def test_it_trains_where_streams_are_missing() -> None:
    given = without(without(batch(), "skeleton", 1, 4), "inertial", 2)
    method = method_of(intra=0.5, gamma=0.5, neighbours=1, warmup=1)
    before = {name: p.clone() for name, p in method.named_parameters()}
    _, history = train(method, given, Training(steps=3, batch_size=4, log_every=1), validation=batch(1))
    assert all(torch.tensor(value).isfinite() for line in history for value in line.values())
    assert not [name for name, p in method.named_parameters() if torch.equal(p, before[name].to(p.dtype))]


def test_bodies_and_sensors_have_their_own_views_which_know_the_channels() -> None:
    method = method_of(augment=("rotate", "jitter"), body=("turn", {"mirror": {"p": 1.0}}))
    sensor, body = method.view.augment["inertial"], method.view.augment["skeleton"]
    assert isinstance(sensor[0], Rotate) and sensor[0].triples == ((0, 1, 2), (3, 4, 5))
    assert isinstance(body[1], Mirror) and body[1].twins[JOINTS.index("left_foot")] == JOINTS.index("right_foot")
    made = method_of(augment=(), body=({"mirror": {"p": 1.0}},)).view(batch(), torch.Generator())
    place = 3 * JOINTS.index("left_hand"), 3 * JOINTS.index("right_hand")
    assert torch.equal(made["skeleton"].values[:, place[0] + 1], batch()["skeleton"].values[:, place[1] + 1])
    assert torch.equal(made["inertial"].values, batch()["inertial"].values)


def test_data_that_does_not_do_is_refused() -> None:
    with pytest.raises(InputError, match="at least two streams for skeleton_imu, got skeleton"):
        method_of(shape=replace(SHAPE, streams=SHAPE.streams[1:]))
    with pytest.raises(InputError, match=r"knows its subjects for method.gamma"):
        method_of(shape=replace(SHAPE, subject=None), gamma=1.0)


def test_three_streams_are_contrasted_two_by_two() -> None:
    third = StreamShape("hip", INERTIAL, TIME)
    encoder = Imu(widths=(6, 8), layers=1, features=10, parts=2).build(6, TIME)
    shape = replace(SHAPE, streams=(SHAPE.streams[0], replace(third, name="wrist"), third))
    method = SkeletonImu().build(encoder, shape)
    given = {s.name: batch()["inertial"] for s in shape.streams}
    views = method.view(given, torch.Generator().manual_seed(0))
    yielded = list(method.phases[0].terms["inter"].pairing(method.embed(views), Alone()))
    assert len(yielded) == 6 and sum(float(p.weight.sum()) for p in yielded) == pytest.approx(1)
