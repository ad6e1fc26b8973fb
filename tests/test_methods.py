"""Generated over every registered method and encoder: a new file in tsrep/methods is tested by being there."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tsrep
from tsrep import checked, plan, planning, randomness, registry
from tsrep.fitting import build
from tsrep.losses import LOSSES
from tsrep.method import DataShape, Method
from tsrep.methods.simclr import SimCLR
from tsrep.methods.ts2vec import TS2Vec
from tsrep.pairs import Alone
from tsrep.preparing import prepare
from tsrep.series import STREAM, Series
from tsrep.training import Training, train

ENCODERS: dict[str, dict[str, Any]] = {
    "dilated": {"hidden": 8, "depth": 3, "features": 12},
    "causal": {"hidden": 8, "depth": 3, "features": 12},
    "patch": {"hidden": 8, "layers": 1, "heads": 2, "features": 12, "patch": 4, "stride": 4},
    "trend": {"hidden": 8, "depth": 2, "width": 8, "features": 12, "kernels": 8},
    "wide": {"hidden": 8, "depth": 2, "features": 6, "kernels": 6, "competing": 16},
    "tpn": {"hidden": [6, 8], "features": 12},
    "imu": {"widths": (6, 8), "layers": 1, "features": 6, "parts": 2},
    "recurrent": {"hidden": 6, "layers": 1},
    "cooccurrence": {"widths": (4, 16, 4, 8, 8, 8), "features": 6, "parts": 2},
    "skeleton_graph": {"hidden": 8, "blocks": 1, "features": 6, "parts": 2},
}
ALL = sorted(registry.choices("methods"))
METHODS = [name for name in ALL if getattr(registry.choice("methods", name), "streams", 1) == 1]
"""Those of one stream; tests/test_streams.py holds the others to the same."""
N, CHANNELS, TIME = 12, 3, 20


def windows() -> np.ndarray:
    """Whole series, series that end early or begin late, holes of one channel and of all."""
    x = np.random.default_rng(0).standard_normal((N, CHANNELS, TIME)).astype(np.float32)
    x[1, :, 12:], x[2, :, :7], x[3, 2, 4:9], x[4, :, 5], x[5, :, 3:], x[6, :, :9], x[6, :, 12:] = [np.nan] * 7
    return x


def plan_of(method: str, encoder: str = "dilated", **more: Any) -> tsrep.Plan:
    return planning.make({"method": method, "encoder": {"name": encoder, **ENCODERS[encoder]}, **more})[0]


def method_of(method: str, encoder: str = "dilated", seed: int = 0) -> Method:
    return build(plan_of(method, encoder, seed=seed), DataShape(N, ("a", "b", "c"), TIME))


def loss_of(method: Method, series: Series, seed: int = 0) -> Tensor:
    """Loss of all phases, as the loop takes it."""
    views = method.view({STREAM: series}, randomness.generator(seed, randomness.VIEWS, 0, 0))
    losses = [method.loss(phase, views, method.embed(phase.embedded(views)), Alone())[0] for phase in method.phases]
    return torch.stack(losses).sum()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_every_encoder_on_ragged_data_with_gaps(method: str, encoder: str) -> None:
    made = plan_of(method, encoder)
    prepared = prepare(tsrep.as_panel(windows()), made)
    begun = build(made, prepared.shape)
    before = {name: tensor.clone() for name, tensor in begun.state_dict().items()}
    kept, history = train(begun, prepared.train, Training(steps=2, batch_size=8, log_every=1))
    assert len(history) == 2
    assert all(np.isfinite(value) for line in history for value in line.values())
    assert all(tensor.isfinite().all() for tensor in begun.state_dict().values())
    still = [name for name, p in begun.named_parameters() if p.requires_grad and torch.equal(p, before[name])]
    assert not still, "parameters that nothing moves"
    embedding = kept(prepared.train)
    assert embedding.pooled.shape == (N, 28 if encoder == "wide" else 12)
    assert embedding.pooled.std(0).min() > 0


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("method", METHODS)
def test_a_state_dict_makes_another_method_the_same(method: str, encoder: str) -> None:
    first, second = method_of(method, encoder, seed=0), method_of(method, encoder, seed=1)
    series = Series.of(torch.from_numpy(windows()))
    train(first, series, Training(steps=1, batch_size=8))
    first.eval(), second.eval()
    assert not torch.equal(loss_of(first, series), loss_of(second, series))
    second.load_state_dict(first.state_dict())
    assert torch.equal(loss_of(first, series), loss_of(second, series))
    pointers = [tensor.data_ptr() for tensor in first.state_dict().values() if tensor.numel()]
    assert len(pointers) == len(set(pointers)), "one tensor under two names"


@pytest.mark.parametrize("method", METHODS)
def test_what_is_learned_saves_and_loads(method: str, tmp_path: Path) -> None:
    model = tsrep.fit(
        windows(),
        method=method,
        encoder={"name": "dilated", **ENCODERS["dilated"]},
        training={"steps": 2},
        out=tmp_path / "run",
    )
    again = tsrep.load(tmp_path / "run")
    np.testing.assert_array_equal(again.embed(windows()), model.embed(windows()))
    assert again.plan == model.plan
    assert registry.summary(type(model.plan.method)) in (tmp_path / "run" / "README.md").read_text()


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_a_function_of_batch_and_generator(method: str) -> None:
    begun = method_of(method)
    series = Series.of(torch.from_numpy(windows()))
    train(begun, series, Training(steps=1, batch_size=8))  # an empty queue repels nothing
    begun.eval()
    assert torch.equal(loss_of(begun, series, 3), loss_of(begun, series, 3))
    assert not torch.equal(loss_of(begun, series, 3), loss_of(begun, series, 4))


@pytest.mark.parametrize("method", ALL)
def test_configurations_survive_a_plan_and_refuse_nonsense(method: str) -> None:
    kind = registry.choice("methods", method)
    assert checked.checked(kind, {}, "method") == kind()
    made = plan_of(method)
    assert planning.make(plan.to_dict(made))[0] == made
    assert registry.name_of("methods", made.method) == method
    for name, value in kind.recommended.items():
        assert getattr(made.training, name) == value


# --- the two methods ----------------------------------------------------------------------------------------------


def test_ts2vec_is_what_its_paper_says() -> None:
    made = TS2Vec()
    assert (made.alpha, made.mask, made.temporal_from, made.temperature) == (0.5, 0.5, 0, 1.0)
    assert TS2Vec.recommended == {"batch_size": 8, "average": "mean"}
    begun = method_of("ts2vec")
    assert begun.head is None
    assert begun.view.min_length == 2
    assert (
        planning.make({"method": {"name": "ts2vec", "temporal_from": 2}})[0]
        .method.build(begun.encoder, DataShape(N, ("a",), TIME))
        .view.min_length
        == 8
    )


@pytest.mark.parametrize("loss", ["info_nce", "decoupled", "debiased"])
def test_simclr_trains_by_every_loss_it_offers(loss: str) -> None:
    """Also where the last batch of the validation part holds one series alone, which has nothing to repel."""
    begun = SimCLR(loss=loss, projection=8).build(method_of("ts2vec").encoder, DataShape(N, ("a", "b", "c"), TIME))
    series = Series.of(torch.from_numpy(windows()))
    _, history = train(
        begun,
        series,
        Training(steps=2, batch_size=8, validate_every=1, log_every=1),
        validation=series.rows(slice(0, 9)),
    )
    assert all(np.isfinite(line["validation"]) for line in history)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_floor_of_debiased_simclr_is_that_of_its_temperature(temperature: float) -> None:
    (term,) = (
        SimCLR(loss="debiased", temperature=temperature)
        .build(method_of("ts2vec").encoder, DataShape(N, ("a",), TIME))
        .phases[0]
        .terms.values()
    )
    series = Series.of(torch.from_numpy(windows()))
    embedding = method_of("ts2vec").eval().encoder(series)
    (pairs,) = term.pairing({"left": embedding, "right": embedding}, Alone())
    assert pairs.floor == -1 / temperature
    assert torch.equal(term.loss(pairs), LOSSES["debiased"](pairs))
    assert pairs.dense().score.min() >= pairs.floor


def test_the_head_is_no_part_of_what_is_kept() -> None:
    begun = method_of("simclr")
    kept, _ = train(begun, Series.of(torch.from_numpy(windows())), Training(steps=1, batch_size=8))
    assert set(kept.state_dict()) == set(begun.encoder.state_dict())
    assert any(name.startswith("head.") for name in begun.state_dict())


# --- the registry and its table -----------------------------------------------------------------------------------


def test_choices_are_named_after_their_files() -> None:
    rooms = Path(tsrep.__file__).parent
    for room in ("methods", "encoders"):
        files = {p.stem for p in (rooms / room).glob("*.py")} - {"__init__"}
        assert set(registry.choices(room)) <= files
    assert {"simclr", "ts2vec"} <= set(METHODS)
    assert {"dilated", "causal", "patch", "trend", "tsai"} <= set(registry.choices("encoders"))


def test_an_argument_in_brackets_is_the_first_field() -> None:
    assert registry.spoken("encoders", "tsai(TSTPlus)") == {"name": "tsai", "arch": "TSTPlus"}
    assert registry.spoken("encoders", " tsai( 'TSTPlus' ) ") == {"name": "tsai", "arch": "TSTPlus"}
    assert registry.spoken("encoders", "dilated") == {"name": "dilated"}
    with pytest.raises(tsrep.InputError, match="did you mean 'tsai'"):
        registry.spoken("encoders", "tsia(TSTPlus)")


@pytest.mark.parametrize("room", ["methods", "mining"])
def test_the_table_has_a_line_for_every_choice(room: str) -> None:
    lines = registry.table(room).splitlines()
    names = sorted(registry.choices(room))
    assert len(lines) == len(names) + 2 > 4
    for name, line in zip(names, lines[2:], strict=True):
        assert line.startswith(f"| `{name}` |")
        assert line.count("|") == 4
        assert "arXiv:" in line.split("|")[3]


@pytest.mark.parametrize("room", ["methods", "mining"])
def test_the_readme_holds_the_current_table(room: str) -> None:
    """To make it current: python -c "from tsrep import registry; print(registry.table('methods'))"."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    block = re.search(rf"<!-- {room} -->\n(.*?)<!-- /{room} -->", readme, re.DOTALL)
    assert block, f"README.md has no block <!-- {room} --> … <!-- /{room} -->"
    assert block[1].strip() == registry.table(room)


def test_a_method_is_frozen() -> None:
    made = SimCLR()
    with pytest.raises(AttributeError):
        made.temperature = 1.0  # type: ignore[misc]
    assert replace(made, temperature=1.0).temperature == 1.0
