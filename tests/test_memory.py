"""What remembers keeps its precision when a method is moved to that of its training."""

import numpy as np
import pytest
import torch

import tsrep
from tsrep.fitting import mined
from tsrep.memory import Seen, Step
from tsrep.mining.bad_pairs import BadPairs, Memory
from tsrep.mining.temperatures import Individual, Temperatures
from tsrep.pairs import Alone
from tsrep.preparing import prepare
from tsrep.training import train

PARTS = {"bad pairs": lambda: Memory(4, BadPairs()), "temperatures": lambda: Individual(4, Temperatures())}


@pytest.mark.parametrize("name", PARTS)
def test_a_memory_that_is_moved_to_half_the_precision_keeps_all_it_has(name: str) -> None:
    part = PARTS[name]()
    held = {key: buffer for key, buffer in part.named_buffers() if buffer.dtype == torch.float64}
    for buffer in held.values():
        buffer.fill_(1.0 + 1e-12)
    assert len(held) >= 3
    for moved in (part.float(), part.to(torch.bfloat16), part.to(device="cpu", dtype=torch.float32), part.half()):
        assert moved is part
        for key, buffer in part.named_buffers():
            if key in held:
                assert buffer.dtype == torch.float64 and bool((buffer == 1.0 + 1e-12).all()), key
            else:
                assert not buffer.is_floating_point()


def test_other_parts_of_a_module_are_moved_as_ever() -> None:
    both = torch.nn.ModuleList([torch.nn.Linear(2, 2), Memory(3, BadPairs())]).to(torch.float16)
    assert {p.dtype for p in both.parameters()} == {torch.float16}
    assert both.to("meta")[1].total.device.type == "meta", "and to another device"


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_a_memory_keeps_its_precision_in_training(precision: str) -> None:
    x = np.random.default_rng(0).standard_normal((6, 1, 16)).astype(np.float32)
    encoder = {"name": "dilated", "hidden": 4, "depth": 2, "features": 4}
    training = {"epochs": 2, "batch_size": 3, "precision": precision, "device": "cpu"}
    plan, _ = tsrep.make_plan(
        {"method": "simclr", "encoder": encoder, "mining": {"bad_pairs": {}}, "training": training}
    )
    prepared = prepare(tsrep.as_panel(x), plan)
    method = mined(plan, prepared)
    train(method, prepared.train, plan.training)
    (memory,) = (part for part in method.modules() if isinstance(part, Memory))
    assert {buffer.dtype for buffer in memory.buffers()} == {torch.float64, torch.int64}
    assert {p.dtype for p in method.parameters()} == {torch.float64 if precision == "float64" else torch.float32}
    assert bool((memory.count == 1).all())


def test_pairs_that_differ_by_less_than_float32_can_tell_are_told_apart() -> None:
    """Beside a sum of 50 epochs, a distance of 1e-8 is nothing in float32."""
    memory = Memory(3, BadPairs()).to(torch.float32)
    losses = torch.tensor([1000.0, 1000.0 + 1e-8, 1001.0], dtype=torch.float64)
    for epoch in range(50):
        seen = Seen(torch.arange(3), losses, torch.ones(3), ())
        memory.after_step(Step("contrast", {}, {}, {"instance": seen}, Alone()))
        memory.after_epoch(epoch)
    mean = memory.mean()
    assert float(mean[1] - mean[0]) == pytest.approx(1e-8, rel=1e-2)
