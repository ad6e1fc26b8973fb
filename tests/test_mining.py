"""Generated over every registered miner and method: a new file in tsrep/mining is tested by being there."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tsrep
from tsrep import plan, planning, randomness, registry
from tsrep.fitting import mined, rehearse
from tsrep.method import Method
from tsrep.pairs import Alone
from tsrep.preparing import Prepared, prepare
from tsrep.series import STREAM
from tsrep.training import train

SMALL: Mapping[str, Mapping[str, Any]] = {
    "simclr": {"projection": 8},
    "autotcl": {"hidden": 6, "features": 4, "segments": 5},
    "moco": {"projection": 8},
    "halp": {"projection": 8, "positives": 5, "prototypes": 3, "queue": 3, "every": 1},
    "autotcl without segments": {"name": "autotcl", "hidden": 6, "features": 4, "local": 0.0},
}
ALONE = {name for name, kind in registry.choices("methods").items() if getattr(kind, "streams", 1) == 1}
METHODS = sorted({*ALONE, *SMALL})
EARLY: Mapping[str, Mapping[str, Any]] = {
    "bad_pairs": {"warmup": 1, "beta_noisy": 0.5, "beta_faulty": 0.5},
    "mixing": {"warmup": 2, "hardest": 3, "between": 4, "toward": 2},
}
"""Settings with which a miner has something to say within two epochs."""
MINERS = sorted(registry.choices("mining"))
NEEDS_COSINES = {"debias", "mixing", "temperatures"}
NO_FLOOR = {"ts2vec", "autotcl"}
"""Methods whose scores are raw dot products or pooled segments: no least score is known."""
PAIRS = [(method, miner) for method in METHODS for miner in MINERS]
REFUSED = [(method, miner) for method, miner in PAIRS if method in NO_FLOOR and miner in NEEDS_COSINES]
FITTING = [pair for pair in PAIRS if pair not in REFUSED]
fitting = pytest.mark.parametrize(("method", "miner"), FITTING)
N, CHANNELS, TIME = 12, 3, 20
ENCODER = {"name": "dilated", "hidden": 8, "depth": 3, "features": 12}
EPOCHS = {"epochs": 2, "batch_size": 4, "log_every": 1, "validate_every": 3, "validation": 0.2}


def windows() -> np.ndarray:
    """Whole series, series that end early or begin late, holes of one channel and of all."""
    x = np.random.default_rng(0).standard_normal((N, CHANNELS, TIME)).astype(np.float32)
    x[1, :, 12:], x[2, :, :7], x[3, 2, 4:9], x[4, :, 5], x[5, :, 3:], x[6, :, :9], x[6, :, 12:] = [np.nan] * 7
    return x


def plan_of(method: str, *miners: str, seed: int = 0) -> tsrep.Plan:
    host = {"name": method, **SMALL.get(method, {})}
    mining = {miner: dict(EARLY.get(miner, {})) for miner in miners}
    return planning.make({"method": host, "encoder": ENCODER, "training": EPOCHS, "mining": mining, "seed": seed})[0]


@cache
def prepared() -> Prepared:
    return prepare(tsrep.as_panel(windows()), plan_of("simclr"))


@cache
def fits(method: str, miner: str) -> bool:
    try:
        rehearse(plan_of(method, miner), prepared())
    except tsrep.InputError:
        return False
    return True


def trained(made: tsrep.Plan, **how: Any) -> tuple[Method, dict[str, Tensor], list[dict[str, float]]]:
    """The method after its training, all that it remembers, and the history."""
    method = mined(made, prepared())
    kept, history = train(
        method, prepared().train, made.training, seed=made.seed, validation=prepared().validation, **how
    )
    state = {f"kept.{name}": tensor for name, tensor in kept.state_dict().items()}
    return method, state | dict(method.state_dict()), history


def stopped_and_resumed(made: tsrep.Plan, folder: Path) -> tuple[Method, dict[str, Tensor], list[dict[str, float]]]:
    """`trained`, interrupted after three steps."""
    looks = iter([False, False, True])
    with pytest.raises(tsrep.Interrupted):
        trained(made, directory=folder, stopping=lambda: next(looks))
    return trained(made, directory=folder, resume=folder / "checkpoint.safetensors")


@cache
def unbroken(method: str, *miners: str) -> tuple[Method, dict[str, Tensor], list[dict[str, float]]]:
    return trained(plan_of(method, *miners))


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Bit for bit; what is not known in both is the same."""
    assert one.keys() == other.keys()
    return all(torch.equal(one[key].nan_to_num(-9.0), other[key].nan_to_num(-9.0)) for key in one)


@fitting
def test_every_miner_trains_every_method_it_fits_on_ragged_data_with_gaps(method: str, miner: str) -> None:
    _, state, history = unbroken(method, miner)
    _, host, _ = unbroken(method)
    assert len(history) == 4
    assert all(np.isfinite(value) for line in history for value in line.values())
    assert all("validation" in history[i] for i in (2, 3))
    assert all(state[name].isfinite().all() for name in host)
    moved = {name for name in host if not torch.equal(state[name], host[name])}
    assert any(name.startswith("kept.") for name in moved), "a miner that changes nothing"


@fitting
def test_a_mined_method_that_is_stopped_and_resumed_equals_the_unbroken_one(
    method: str, miner: str, tmp_path: Path
) -> None:
    _, state, history = stopped_and_resumed(plan_of(method, miner), tmp_path)
    _, expected, lines = unbroken(method, miner)
    assert same(state, expected)
    assert history == lines


@fitting
def test_a_state_dict_makes_another_mined_method_the_same(method: str, miner: str) -> None:
    first, second = unbroken(method, miner)[0], mined(plan_of(method, miner, seed=1), prepared())

    def loss(one: Method) -> Tensor:
        views = one.view({STREAM: prepared().train}, randomness.generator(0, randomness.VIEWS, 0, 0))
        with randomness.seeded(0, randomness.DROPOUT):
            return sum(one.loss(p, views, one.embed(p.embedded(views)), Alone())[0] for p in one.phases)

    assert not torch.equal(loss(first), loss(second))
    second.load_state_dict(first.state_dict())
    assert torch.equal(loss(first), loss(second))
    pointers = [tensor.data_ptr() for tensor in first.state_dict().values() if tensor.numel()]
    assert len(pointers) == len(set(pointers)), "one tensor under two names"


@pytest.mark.parametrize(("method", "miner"), [pair for pair in FITTING if pair[1] != "bad_pairs"])
def test_every_miner_goes_with_bad_pairs(method: str, miner: str) -> None:
    _, state, history = unbroken(method, miner, "bad_pairs")
    assert all(np.isfinite(value) for line in history for value in line.values())
    assert any(name.endswith("repeats") for name in state)
    alone = unbroken(method, miner)[1]
    kept = [name for name in state if name.startswith("kept.")]  # the numbers of parts are others where there are more
    assert kept and not same({k: state[k] for k in kept}, {k: alone[k] for k in kept})


@pytest.mark.parametrize(("method", "miner"), REFUSED)
def test_a_miner_that_does_not_fit_is_refused_before_anything_is_written(
    method: str, miner: str, tmp_path: Path
) -> None:
    with pytest.raises(
        tsrep.InputError, match=rf"mining\.{miner}: expected .*, got .*; leave {miner} out or take"
    ) as said:
        tsrep.fit(
            windows(),
            method={"name": method, **SMALL.get(method, {})},
            encoder=ENCODER,
            training=EPOCHS,
            mining={miner: {}},
            out=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()
    assert "simclr" in str(said.value), "which methods fit"


def test_what_fits_is_what_should() -> None:
    """Everything fits cosines over a temperature; raw dot products and pooled segments have no floor."""
    assert {pair for pair in PAIRS if fits(*pair)} == set(FITTING)


@pytest.mark.parametrize("two", [("soft", "debias"), ("debias", "temperatures")])
def test_two_miners_that_set_the_loss_are_refused_before_anything_is_written(
    two: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(tsrep.InputError, match=f"mining {two[0]}, {two[1]}: expected a term with the loss info_nce"):
        tsrep.fit(windows(), method="simclr", encoder=ENCODER, mining={name: {} for name in two}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_miners_together_are_stopped_and_resumed_exactly(tmp_path: Path) -> None:
    made = plan_of("simclr", "hard_negatives", "mixing", "soft", "bad_pairs")
    _, state, _ = stopped_and_resumed(made, tmp_path)
    assert same(state, trained(made)[1])


@pytest.mark.parametrize("other", [{}, {"mining": {"hard_negatives": {"beta": 9.0}}}, {"temperature": 0.7}], ids=str)
def test_a_run_is_not_resumed_with_other_miners_or_another_method(other: Mapping[str, Any], tmp_path: Path) -> None:
    """Their checkpoint would fit: what has no state leaves no trace in it."""
    made = plan_of("simclr", "hard_negatives")
    plan.write(made, tmp_path)
    asked = iter([False, True])
    with pytest.raises(tsrep.Interrupted):
        trained(made, directory=tmp_path, stopping=lambda: next(asked))
    host = {"name": "simclr", **SMALL["simclr"]}
    about: Any = {"encoder": ENCODER, "training": EPOCHS, "out": tmp_path, "resume": True}
    changed = {"method": host | {k: v for k, v in other.items() if k != "mining"}, "mining": other.get("mining")}
    if "temperature" in other:
        changed["mining"] = {"hard_negatives": {}}
    with pytest.raises(
        tsrep.InputError, match=f"expected the {'method' if 'temperature' in other else 'mining'} of the run"
    ):
        tsrep.fit(windows(), **changed, **about)
    model = tsrep.fit(windows(), method=host, mining={"hard_negatives": {}}, **about)
    assert len(model.history) == 4


def test_a_run_with_mining_saves_and_loads(tmp_path: Path) -> None:
    """The plan of a model names its miners; what they remembered is thrown away with the method."""
    model = tsrep.fit(
        windows(), method="simclr", encoder=ENCODER, training={"steps": 2}, mining={"soft": {}}, out=tmp_path / "run"
    )
    again = tsrep.load(tmp_path / "run")
    np.testing.assert_array_equal(again.embed(windows()), model.embed(windows()))
    assert again.plan.mining == model.plan.mining and set(again.plan.mining) == {"soft"}


def test_miners_are_named_after_their_files() -> None:
    files = {p.stem for p in (Path(tsrep.__file__).parent / "mining").glob("*.py")} - {"__init__"}
    assert set(MINERS) <= files
    assert {"bad_pairs", "debias", "hard_negatives", "mixing", "soft", "temperatures"} <= set(MINERS)


@pytest.mark.parametrize("miner", MINERS)
def test_the_settings_of_a_miner_survive_a_plan(miner: str) -> None:
    made = plan_of("simclr", miner)
    assert planning.make(plan.to_dict(made))[0] == made
    assert isinstance(made.mining[miner], registry.choice("mining", miner))
