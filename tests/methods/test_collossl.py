"""ColloSSL and the contrast of all streams as they are built: what is compared, what is refused, every rule and objective trains."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from tsrep.encoders.tpn import TPN
from tsrep.errors import InputError
from tsrep.method import DataShape, Method, StreamShape
from tsrep.methods.collossl import ColloSSL
from tsrep.methods.multiview import TERMS, MultiView
from tsrep.mining.device_selection import POLICIES, DeviceSelection
from tsrep.pairing.collaborative import Collaborative
from tsrep.pairs import Alone
from tsrep.series import Series
from tsrep.training import Interrupted, Training, train

DEVICES = ("head", "left_wrist", "right_wrist", "left_ankle", "right_ankle")
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x")
N, TIME = 12, 30


def body(devices: int = 5, seed: int = 0) -> dict[str, Series]:
    """Wrists that swing alike, ankles that do, a head that hardly moves; gyroscopes of which no two have anything in common."""
    rng = np.random.default_rng(seed)
    wrist, ankle = 2.0 * rng.standard_normal((2, N, 3, 1)) + 0.3 * rng.standard_normal((2, N, 3, TIME))
    swings = [0.2 * wrist, wrist, wrist, 3.0 * ankle, 3.0 * ankle]
    made = {}
    for name, swing in list(zip(DEVICES, swings, strict=True))[:devices]:
        acceleration = 1.0 + swing + 0.05 * rng.standard_normal((N, 3, TIME))
        turning = 50 * rng.standard_normal((N, 1, TIME))
        made[name] = Series.of(torch.from_numpy(np.concatenate([acceleration, turning], axis=1)).float())
    return made


def built(config: Any, devices: int = 5) -> Method:
    shapes = tuple(StreamShape(name, CHANNELS, TIME, 50.0) for name in DEVICES[:devices])
    torch.manual_seed(0)
    encoder = TPN(hidden=(6, 8), features=10).build(len(CHANNELS), TIME)
    method: Method = config.build(encoder, DataShape(N, CHANNELS, TIME, 50.0, shapes))
    return method


def selection(method: Method) -> DeviceSelection:
    (term,) = method.phases[0].terms.values()
    assert isinstance(term.pairing, Collaborative)  # type: ignore[union-attr]
    assert isinstance(term.pairing.select, DeviceSelection)  # type: ignore[union-attr]
    return term.pairing.select  # type: ignore[union-attr]


def test_twins_choose_each_other_by_their_accelerations() -> None:
    """The gyroscopes, which are louder, would say otherwise."""
    select = selection(built(ColloSSL()))
    attract, repel = select(body(), Alone(), torch.Generator())
    assert [DEVICES[i] for i in attract.argmax(1)[1:]] == ["right_wrist", "left_wrist", "right_ankle", "left_ankle"]
    assert (repel > 0).sum().item() == 20
    assert all(select.sensors[name] == (0, 1, 2) for name in DEVICES)


def losses(method: Method, **settings: Any) -> Tensor:
    _, history = train(
        method, body(len(selection(method).streams)), Training(steps=4, batch_size=6, log_every=1, **settings)
    )
    return torch.tensor([line["loss/contrast"] for line in history])


@pytest.mark.parametrize("rule", POLICIES)
def test_every_rule_trains(rule: str) -> None:
    found = losses(built(ColloSSL(selection=rule, negatives=2)))  # type: ignore[arg-type]
    assert found.isfinite().all() and (found > 0).all()


@pytest.mark.parametrize(
    "settings", [{"once": True}, {"anchor": "all"}, {"anchor": "head"}, {"augment": ("jitter",)}], ids=str
)
def test_every_setting_changes_what_is_learned(settings: dict[str, Any]) -> None:
    found, plain = losses(built(ColloSSL(**settings))), losses(built(ColloSSL()))
    assert found.isfinite().all()
    assert not torch.allclose(found, plain)


def test_a_run_whose_distances_settle_is_stopped_and_resumed_exactly(tmp_path: Path) -> None:
    """Stopped within the first epoch, of whose batches the distances are the mean, and gone on beyond it."""
    config, settings = ColloSSL(once=True, negatives=2), Training(steps=6, batch_size=4, log_every=1)
    whole, looks = built(config), iter([False, True])
    _, history = train(whole, body(), settings)
    with pytest.raises(Interrupted):
        train(built(config), body(), settings, directory=tmp_path, stopping=lambda: next(looks))
    again = built(config)
    _, resumed = train(again, body(), settings, resume=tmp_path / "checkpoint.safetensors")
    assert history == resumed
    theirs = again.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in whole.state_dict().items())
    assert bool(selection(again).settled) and selection(again).count[0, 1] == 3
    assert not bool(selection(built(config)).settled)


def test_too_few_devices_and_unknown_anchors_are_refused() -> None:
    with pytest.raises(InputError, match="expected more than 4 devices for the rule harder_negative, got 3: head"):
        built(ColloSSL(selection="harder_negative"), devices=3)
    with pytest.raises(InputError, match="did you mean 'left_wrist'"):
        built(ColloSSL(anchor="left_wirst"))


@pytest.mark.parametrize("objective", TERMS)
def test_every_objective_trains_and_its_loss_falls(objective: str) -> None:
    method = built(MultiView(objective=objective, projection=8), devices=3)  # type: ignore[arg-type]
    _, history = train(method, body(3), Training(steps=30, batch_size=12, log_every=1, learning_rate=3e-3))
    found = torch.tensor([line["loss/contrast"] for line in history])
    assert found.isfinite().all()
    assert found[-5:].mean() < found[:3].mean() - (0.01 if objective == "gram" else 0.1)


def test_every_objective_has_a_name_and_a_temperature() -> None:
    assert set(get_args(MultiView.__dataclass_fields__["objective"].type) or TERMS) == set(TERMS)
    for name, (usual, _) in TERMS.items():
        (term,) = built(MultiView(objective=name)).phases[0].terms.values()  # type: ignore[arg-type]
        (other,) = built(MultiView(objective=name, temperature=0.5)).phases[0].terms.values()  # type: ignore[arg-type]
        assert term.pairing.temperature == usual and other.pairing.temperature == 0.5  # type: ignore[union-attr]
