"""What miners say of themselves while a method learns: numbers for the history, and so for MLflow."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tsrep
from tsrep.losses import debiased
from tsrep.memory import Seen, Step
from tsrep.mining.bad_pairs import BadPairs, Memory
from tsrep.mining.debias import used_up
from tsrep.mining.hard_negatives import evenness, harder
from tsrep.mining.temperatures import Individual, Temperatures
from tsrep.pairing.instance import Instance
from tsrep.pairs import Alone, Pairs
from tsrep.series import Embedding, Series

TAU = 0.5
SAID = {
    "bad_pairs": {"noisy", "faulty", "weight", "middle", "low", "high", "reliability"},
    "hard_negatives": {"effective"},
    "debias": {"clamped"},
    "temperatures": {"temperature", "lowest", "highest"},
}


def pairs(n: int = 6, features: int = 4) -> Pairs:
    g = torch.Generator().manual_seed(0)
    u, v = (torch.randn(n, features, generator=g, dtype=torch.float64) for _ in range(2))
    series = Series.of(torch.zeros(n, 1, 1))
    given = {"left": Embedding(u[..., None], u, series), "right": Embedding(v[..., None], v, series)}
    (made,) = Instance(TAU)(given, Alone())
    return made.dense()


def fit(miner: Any, method: Any = "simclr", **training: Any) -> list[dict[str, float]]:
    x = np.random.default_rng(0).standard_normal((12, 2, 20)).astype(np.float32)
    encoder = {"name": "dilated", "hidden": 8, "depth": 2, "features": 8}
    training = {"epochs": 3, "batch_size": 4, "log_every": 1, **training}
    return tsrep.fit(x, method=method, encoder=encoder, mining=miner, training=training).history


@pytest.mark.parametrize("miner", SAID)
def test_every_line_of_the_history_says_how_mining_goes(miner: str) -> None:
    lines = fit(miner)
    said = [{name for name in line if name.startswith("instance/")} for line in lines]
    expected = {f"instance/{name}" for name in SAID[miner]}
    begin = 2 if miner == "bad_pairs" else 0  # the third step ends the first epoch
    assert said == [set()] * begin + [expected] * (9 - begin)
    assert all(math.isfinite(value) for line in lines for value in line.values())


def test_numbers_are_asked_when_a_line_is_logged_and_of_every_term() -> None:
    method = {"name": "autotcl", "hidden": 6, "features": 4, "segments": 5}
    lines = fit({"bad_pairs": {"warmup": 1}, "hard_negatives": {}}, method, log_every=9)
    (line,) = lines
    terms = {name.rpartition("/")[0] for name in line if name.endswith("/noisy")}
    assert len(terms) == 2
    assert all(f"{term}/effective" in line and f"{term}/weight" in line for term in terms)


def test_bad_pairs_say_their_shares_thresholds_and_mean_weight() -> None:
    """Epoch by epoch: the weight is that of the epoch, under what was known before it."""
    memory = Memory(
        10, BadPairs(warmup=1, spread="gaussian", beta_noisy=1.5, beta_faulty=1.5, transform="remove")
    ).train()
    losses = torch.tensor([0.0] + [5.0] * 8 + [10.0], dtype=torch.float64)
    assert memory.numbers() == {}
    for epoch in range(2):
        seen = Seen(torch.arange(10), losses, torch.ones(10, dtype=torch.float64), ())
        memory.after_step(Step("contrast", {}, {}, {"instance": seen}, Alone()))
        memory.after_epoch(epoch)
        told = memory.numbers()
        assert told["weight"] == (0.8 if epoch else 1.0)
    sigma = float(losses.std())
    assert (told["noisy"], told["faulty"], told["middle"]) == (0.1, 0.1, 5.0)
    assert (told["low"], told["high"]) == pytest.approx((5 - 1.5 * sigma, 5 + 1.5 * sigma))


def test_the_mean_temperature_is_that_of_the_series_that_were_seen() -> None:
    part = Individual(5, Temperatures(start=0.2, lowest=0.1, highest=0.5))
    assert part.numbers() == {}
    part.tau.copy_(torch.tensor([0.1, 0.5, 0.3, 0.2, 0.2], dtype=torch.float64))
    part.mean[:3] = 1.0
    told = part.numbers()
    assert told["temperature"] == pytest.approx(0.3)
    assert (told["lowest"], told["highest"]) == pytest.approx((1 / 3, 1 / 3))


@pytest.mark.parametrize("prior", [0.1, 0.4, 0.5, 0.9])
def test_negatives_are_used_up_where_they_have_no_gradient(prior: float) -> None:
    """The sum as the paper writes it, with a difference; and the gradient of the loss."""
    given = pairs(16, 2)
    found = used_up(given, prior)
    e = given.score.exp()
    positive, negative, count = (given.attract * e).sum(-1), (given.repel * e).sum(-1), given.repel.sum(-1)
    left = (negative - prior * count * positive) / (1 - prior)
    expected = left <= count * math.exp(-1 / TAU)
    assert torch.equal(found, expected.to(found.dtype))
    score = given.score.clone().requires_grad_()
    debiased(replace(given, score=score), prior).sum().backward()
    assert score.grad is not None
    assert torch.equal((score.grad * given.repel != 0).any(-1), ~expected)
    assert bool(expected.any()) == (prior > 0.1) and not bool(expected.all())


def test_the_share_of_negatives_that_count_falls_with_beta() -> None:
    given = pairs()
    assert torch.allclose(evenness(given), torch.ones(12, dtype=torch.float64))
    falling = [float(evenness(harder(given, beta, True)).mean()) for beta in (0.0, 1.0, 4.0, 50.0)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] == pytest.approx(1.0) and falling[-1] == pytest.approx(0.1, abs=0.02)  # one of ten


def test_the_mean_of_a_step_is_over_series_and_not_over_anchors() -> None:
    """Series 0 has two anchors alive, series 1 one, series 2 none."""
    score = torch.zeros(4, 4)
    row, weight = torch.tensor([0, 0, 1, 2]), torch.tensor([0.25, 0.25, 0.5, 0.0])
    made = Pairs(score, torch.eye(4), 1 - torch.eye(4), weight, row)
    loss = torch.zeros(4)
    seen = Seen.of([(made, loss)], torch.arange(3), keep=True)
    step = Step("contrast", {}, {}, {"instance": seen}, Alone())

    def value(_: Pairs) -> Tensor:
        return torch.tensor([1.0, 3.0, 5.0, 100.0])

    assert float(step.mean(value)) == pytest.approx((2.0 + 5.0) / 2)
