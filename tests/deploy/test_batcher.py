"""Who goes through the encoder together, who waits, who is refused, and who is harmed by whom: nobody."""

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest
from tsrep_deploy.batcher import Batcher
from tsrep_deploy.refusal import Refused


class Gate:
    """An encoder (the sum of a window) that waits to be let through, and remembers what came."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.came: list[tuple[int, ...]] = []

    def __call__(self, values: np.ndarray, pool: str | None) -> np.ndarray:
        self.came.append(values.shape)
        assert self.open.wait(10)
        if (values == 13).any():
            raise ValueError("thirteen")
        return np.nansum(values, axis=2)


def ones(windows: int, steps: int, value: float = 1.0) -> np.ndarray:
    return np.full((windows, 2, steps), value, np.float32)


def run(compute: Callable, scene: Callable, **limits: int) -> object:
    async def all_of_it():
        batcher = Batcher(compute, **({"batch": 8, "queue": 100} | limits))
        try:
            return await asyncio.wait_for(scene(batcher), 20)
        finally:
            if isinstance(compute, Gate):
                compute.open.set()
            batcher.close()

    return asyncio.run(all_of_it())


async def reached(gate: Gate, calls: int = 1) -> None:
    while len(gate.came) < calls:
        await asyncio.sleep(0.001)


def test_what_queues_while_a_batch_runs_goes_together_next():
    gate = Gate()

    async def scene(batcher):
        first = asyncio.create_task(batcher.embed([ones(1, 16)], None))
        await reached(gate)
        others = [asyncio.create_task(batcher.embed([ones(1, 16, k)], None)) for k in range(1, 6)]
        await asyncio.sleep(0.01)
        gate.open.set()
        return await first, await asyncio.gather(*others)

    _, others = run(gate, scene)
    assert gate.came == [(1, 2, 16), (5, 2, 16)]
    assert [float(found[0][0, 0]) for found in others] == [16.0, 32.0, 48.0, 64.0, 80.0]


def test_windows_of_unlike_length_never_meet():
    gate = Gate()

    async def scene(batcher):
        tasks = [asyncio.create_task(batcher.embed([ones(1, steps)], None)) for steps in (16, 17, 12, 30, 1000, 16)]
        await reached(gate)
        gate.open.set()
        return await asyncio.gather(*tasks)

    found = run(gate, scene)
    assert gate.came == [(3, 2, 16), (2, 2, 30), (1, 2, 1000)]
    assert [float(one[0][0, 0]) for one in found] == [16.0, 17.0, 12.0, 30.0, 1000.0, 16.0]


def test_a_batch_is_never_larger_than_allowed_and_a_large_request_lets_others_in_between():
    gate = Gate()
    done = []

    async def scene(batcher):
        async def ask(name, windows):
            await batcher.embed([ones(windows, 16)], None)
            done.append(name)

        large = asyncio.create_task(ask("large", 40))
        await reached(gate)
        small = asyncio.create_task(ask("small", 1))
        gate.open.set()
        await asyncio.gather(large, small)

    run(gate, scene)
    assert max(shape[0] for shape in gate.came) <= 8
    assert done == ["small", "large"]


def test_a_request_that_fails_fails_alone():
    gate = Gate()
    gate.open.set()

    async def scene(batcher):
        asked = [batcher.embed([ones(1, 16, value)], None) for value in (1, 13, 2, 3)]
        return await asyncio.gather(*asked, return_exceptions=True)

    good, bad, *others = run(gate, scene)
    assert gate.came[0] == (4, 2, 16)
    assert isinstance(bad, ValueError)
    assert [float(one[0][0, 0]) for one in (good, *others)] == [16.0, 32.0, 48.0]


def test_a_full_queue_refuses_and_takes_again_when_it_has_emptied():
    gate = Gate()

    async def scene(batcher):
        running = asyncio.create_task(batcher.embed([ones(6, 16)], None))
        await reached(gate)
        with pytest.raises(Refused) as refused:
            await batcher.embed([ones(3, 16), ones(2, 40)], None)
        assert (refused.value.reason, refused.value.status) == ("queue_full", 429)
        waiting = asyncio.create_task(batcher.embed([ones(4, 16)], None))
        await asyncio.sleep(0.01)
        gate.open.set()
        await asyncio.gather(running, waiting)
        return await batcher.embed([ones(10, 16)], None)

    assert run(gate, scene, queue=10)[0].shape == (10, 2)


def test_an_abandoned_request_gives_its_place_back_and_is_not_computed():
    gate = Gate()

    async def scene(batcher):
        running = asyncio.create_task(batcher.embed([ones(1, 16)], None))
        await reached(gate)
        abandoned = asyncio.create_task(batcher.embed([ones(9, 16)], None))
        await asyncio.sleep(0.01)
        abandoned.cancel()
        await asyncio.sleep(0.01)
        kept = asyncio.create_task(batcher.embed([ones(2, 16)], None))
        await asyncio.sleep(0.01)
        gate.open.set()
        return await asyncio.gather(running, kept)

    run(gate, scene, queue=10)
    assert gate.came == [(1, 2, 16), (2, 2, 16)]


def test_the_encoder_runs_in_one_thread():
    threads, busy = set(), threading.Lock()

    def compute(values, pool):
        assert busy.acquire(blocking=False)
        threads.add(threading.current_thread().name)
        busy.release()
        return values.sum(axis=2)

    async def scene(batcher):
        await asyncio.gather(*(batcher.embed([ones(1, steps)], None) for steps in range(1, 60)))

    run(compute, scene, batch=4)
    assert len(threads) == 1
