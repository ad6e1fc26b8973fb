"""MoCo: what its plan makes of it, that it resumes exactly, and that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tsrep
from tsrep.encoders.dilated import Dilated
from tsrep.method import DataShape, Method
from tsrep.methods.moco import MoCo
from tsrep.series import Series
from tsrep.training import Interrupted, Training, train

SMALL = {"name": "dilated", "hidden": 8, "depth": 3, "features": 16}


def made(seed: int = 0, rows: int = 20, **settings: object) -> Method:
    torch.manual_seed(seed)
    encoder = Dilated(hidden=6, depth=3, features=8).build(2, 15)
    return MoCo(projection=6, **settings).build(encoder, DataShape(rows, ("a", "b"), 15))


def data(n: int = 20) -> Series:
    return Series.of(torch.from_numpy(np.random.default_rng(0).standard_normal((n, 2, 15)).astype(np.float32)))


def test_the_queue_is_no_longer_than_the_data() -> None:
    for rows, size in ((20, 20), (5000, 1024)):
        (queue,) = [part for part in made(rows=rows).modules() if hasattr(part, "entered")]
        assert queue.keys.shape == (size, 6)


def test_queue_and_slow_copy_resume_bit_for_bit(tmp_path: Path) -> None:
    settings = Training(steps=7, batch_size=6, accumulate=2, log_every=1)
    whole, looks = made(queue=9), iter([False, False, False, True])
    kept, history = train(whole, data(), settings, seed=3)
    with pytest.raises(Interrupted):
        train(made(queue=9), data(), settings, seed=3, directory=tmp_path, stopping=lambda: next(looks))
    again = made(7, queue=9)
    theirs, lines = train(again, data(), settings, seed=3, resume=tmp_path / "checkpoint.safetensors")
    assert lines == history
    for mine, other in ((whole, again), (kept, theirs)):
        assert all(torch.equal(other.state_dict()[name], tensor) for name, tensor in mine.state_dict().items())
    assert int(whole.state_dict()["parts.0.entered"]) == 7 * 2 * 6


def test_it_learns_to_tell_series_apart(waves: tuple[np.ndarray, np.ndarray]) -> None:
    """The positive wins against many that are not, and the embeddings do not collapse."""
    x, _ = waves
    training = {"steps": 50, "batch_size": 20, "log_every": 10, "learning_rate": 0.005}
    model = tsrep.fit(x, method={"name": "moco", "momentum": 0.9}, encoder=SMALL, training=training)
    first, last = model.history[0], model.history[-1]
    assert last["loss/contrast"] < 0.5 * first["loss/contrast"]
    assert last["uniformity"] < -1.5 and last["alignment"] < 0.8 < first["alignment"]
