"""HaLP: MoCo and something more, that something logged, resumed exactly and beside bad-pair mining."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tsrep
from tsrep.encoders.dilated import Dilated
from tsrep.fitting import mined
from tsrep.method import DataShape, Method
from tsrep.methods.halp import HaLP
from tsrep.methods.moco import MoCo
from tsrep.pairing.latent import Latent
from tsrep.planning import make
from tsrep.preparing import prepare
from tsrep.series import Series
from tsrep.training import Interrupted, Training, train

EARLY: dict[str, Any] = {"queue": 9, "projection": 6, "every": 2, "prototypes": 3, "positives": 11}
"""Latent positives from the fifth step on, at batches of six."""

SETTINGS = Training(steps=9, batch_size=6, log_every=1)


def made(config: Any, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    encoder = Dilated(hidden=6, depth=3, features=8).build(2, 15)
    method: Method = config.build(encoder, DataShape(20, ("a", "b"), 15))
    return method


def data(n: int = 20) -> Series:
    return Series.of(torch.from_numpy(np.random.default_rng(0).standard_normal((n, 2, 15)).astype(np.float32)))


def test_without_weight_it_is_moco_bit_for_bit() -> None:
    moco, halp = made(MoCo(queue=9, projection=6)), made(HaLP(**EARLY, mu=0.0))
    other = made(HaLP(**EARLY, mu=1.0))
    (phase,) = other.phases
    latent = phase.terms["latent"]
    assert isinstance(latent, Latent)
    latent.mu = 0.0  # there, and without a say
    (kept, history), (theirs, lines), (third, _) = (train(one, data(), SETTINGS, seed=3) for one in (moco, halp, other))
    assert lines == history
    assert moco.state_dict().keys() == halp.state_dict().keys()
    assert latent.centres.any()
    for name, tensor in moco.state_dict().items():
        assert torch.equal(halp.state_dict()[name], tensor)
        assert torch.equal(other.state_dict()[name.replace("parts.0", "parts.1")], tensor)
    for name, tensor in kept.state_dict().items():
        assert torch.equal(theirs.state_dict()[name], tensor) and torch.equal(third.state_dict()[name], tensor)


def test_latent_positives_change_what_is_learned_once_there_are_prototypes() -> None:
    moco, halp = made(MoCo(queue=9, projection=6)), made(HaLP(**EARLY, mu=1.0))
    (_, history), (_, lines) = (train(one, data(), SETTINGS, seed=3) for one in (moco, halp))
    begins = next(i for i, line in enumerate(lines) if "latent/kept" in line)
    assert 0 < begins < 8
    # The line says what is known after a step; the loss of the next is the first with a latent positive in it.
    assert [line["latent"] for line in lines[: begins + 1]] == [0.0] * (begins + 1)
    assert all(line["latent"] != 0.0 for line in lines[begins + 1 :])
    assert [line["queue"] for line in lines[: begins + 2]] == [line["loss/contrast"] for line in history[: begins + 2]]
    assert lines[-1]["queue"] != history[-1]["loss/contrast"]
    assert any(0.0 < line["latent/kept"] <= 1.0 for line in lines[begins + 1 :])


@pytest.mark.parametrize("after", [3, 7])
def test_queue_and_prototypes_resume_bit_for_bit(after: int, tmp_path: Path) -> None:
    """Stopped before there were prototypes, and after."""
    whole, looks = made(HaLP(**EARLY, mu=1.0)), iter(range(1, 100))
    kept, history = train(whole, data(), SETTINGS, seed=3)
    with pytest.raises(Interrupted):
        train(
            made(HaLP(**EARLY, mu=1.0)),
            data(),
            SETTINGS,
            seed=3,
            directory=tmp_path,
            stopping=lambda: next(looks) == after,
        )
    again = made(HaLP(**EARLY, mu=1.0), seed=7)
    theirs, lines = train(again, data(), SETTINGS, seed=3, resume=tmp_path / "checkpoint.safetensors")
    assert lines == history
    for mine, other in ((whole, again), (kept, theirs)):
        assert all(torch.equal(other.state_dict()[name], tensor) for name, tensor in mine.state_dict().items())
    assert whole.state_dict()["parts.0.centres"].any()


def test_its_draws_follow_from_its_seed() -> None:
    def losses(seed: int) -> list[float]:
        return [line["latent"] for line in train(made(HaLP(**EARLY, seed=seed)), data(), SETTINGS, seed=3)[1]]

    assert losses(0) == losses(0) != losses(1)


def test_bad_pairs_weigh_its_pairs() -> None:
    host = {"name": "halp", **EARLY}
    encoder = {"name": "dilated", "hidden": 6, "depth": 3, "features": 8}
    miner = {"bad_pairs": {"warmup": 1, "beta_noisy": 0.3, "beta_faulty": 0.3}}
    training = {"steps": 9, "batch_size": 6, "log_every": 1}
    values = data().values.numpy()
    lines = {}
    for name, mining in (("plain", {}), ("mined", miner)):
        plan, _ = make({"method": host, "encoder": encoder, "training": training, "mining": mining})
        prepared = prepare(tsrep.as_panel(values), plan)
        lines[name] = train(mined(plan, prepared), prepared.train, plan.training, seed=plan.seed)[1]
    assert [line["queue"] for line in lines["plain"][:3]] == [line["queue"] for line in lines["mined"][:3]]
    assert lines["mined"][-1]["queue"] < lines["plain"][-1]["queue"]
    assert lines["mined"][-1]["latent"] < 0


def test_it_takes_what_moco_takes_and_means_the_same() -> None:
    moco, halp = MoCo(), HaLP()
    shared = {field.name: getattr(halp, field.name) for field in fields(moco)}
    assert replace(moco, **shared) == moco
    assert HaLP.recommended == MoCo.recommended
