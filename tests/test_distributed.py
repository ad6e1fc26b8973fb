"""N workers do what one process does on the joined batch. Real processes over gloo, in float64, without Ray.

This file is also the program of the workers: `python test_distributed.py FOLDER RANK`. Three processes are started once; all of them
work in a world of three, then the first two in a world of two, and each leaves its numbers in FOLDER.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor

import tsrep
from tsrep.fitting import build
from tsrep.method import DataShape
from tsrep.pairs import Gather
from tsrep.series import STREAM, Series
from tsrep.training import Training, train

SIZES = (3, 2)
LEARNED_VIEW = {"name": "autotcl", "hidden": 6, "features": 4, "segments": 5, "ramp": 0, "consistency": 1.0}
METHODS = {
    "simclr": {"name": "simclr", "projection": 8},
    "ts2vec": {"name": "ts2vec"},
    "autotcl": LEARNED_VIEW,
    "autotcl_official": {**LEARNED_VIEW, "compat": "official"},
}
ENCODER = {"name": "dilated", "hidden": 8, "depth": 3, "features": 12, "dropout": 0.0}
BATCHES = {"even": (6, False), "uneven": (7, False), "ragged": (7, True)}
MINED: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    # name -> (method, miners), with settings under which they have something to say in a first step or a second epoch
    "simclr+bad_pairs": ("simclr", {"bad_pairs": {"warmup": 1, "beta_noisy": 0.3, "beta_faulty": 0.3}}),
    "ts2vec+bad_pairs": ("ts2vec", {"bad_pairs": {"warmup": 1, "beta_noisy": 0.3, "beta_faulty": 0.3}}),
    "simclr+hard_negatives+debias": ("simclr", {"hard_negatives": {"detach": False}, "debias": {}}),
    "simclr+mixing": ("simclr", {"mixing": {"warmup": 0, "hardest": 3, "between": 4, "toward": 2}}),
    "simclr+soft": ("simclr", {"soft": {}}),
    "ts2vec+soft": ("ts2vec", {"soft": {}}),
    "halp+bad_pairs": ("halp", {"bad_pairs": {"warmup": 1, "beta_noisy": 0.3, "beta_faulty": 0.3}}),
    "simclr+temperatures": ("simclr", {"temperatures": {"rate": 0.1}}),
}
REMEMBERING = {
    # A queue that is full after two steps, prototypes after four. No gradient comes from the keys of other workers.
    "moco": {"name": "moco", "projection": 8, "queue": 5},
    "halp": {"name": "halp", "projection": 8, "queue": 5, "positives": 6, "every": 1},
}
CASES = [(method, batch) for method in REMEMBERING for batch in BATCHES]
CASES += [(method, batch) for method in METHODS for batch in BATCHES] + [(name, "ragged") for name in MINED]
CHANNELS, TIME = 3, 21
LEARNING = {
    "steps": 5,
    "batch_size": 4,
    "validation": 0.25,
    "validate_every": 2,
    "precision": "float64",
    "log_every": 1,
}


def made(n: int, ragged: bool) -> Series:
    """Ragged: the first two series fill the batch, so that a worker may see no padding while its neighbours do."""
    values = torch.from_numpy(np.random.default_rng(n).standard_normal((n, CHANNELS, TIME)))
    if ragged:
        for i in range(2, n):
            values[i, :, TIME - 2 * i :] = torch.nan
        values[1, 0, 4] = torch.nan
    return Series.of(values)


def method_of(name: str, data: Series | None = None) -> Any:
    """data: what its miners, if it has any, are to know."""
    host, mining = MINED.get(name, (name, {}))
    known = {**METHODS, **REMEMBERING}
    plan, _ = tsrep.make_plan({"method": known[host], "encoder": ENCODER, "training": LEARNING, "mining": mining})
    method = build(plan, DataShape(16, tuple("abc"), TIME))
    return (method if data is None else method.mined(plan.mining.values(), data)).double()


@dataclass(frozen=True)
class Deaf:
    """A gather that hears no gradient from the other workers: the mistake that these tests are there to find."""

    hearing: Gather

    def __call__(self, mine: Tensor) -> Tensor:
        begin, _ = self.place(len(mine))
        joined = self.hearing(mine.detach())
        return torch.cat([joined[:begin], mine, joined[begin + len(mine) :]])

    def place(self, n: int) -> tuple[int, int]:
        return self.hearing.place(n)


def gradients(
    name: str, batch: str, world: tsrep.World, spoil: Callable[[Gather], Gather] = lambda g: g
) -> dict[str, Tensor]:
    """Summed loss and gradients of one step of all phases, the fourth where a method remembers; the views are drawn for the joined
    batch and dealt out."""
    n, ragged = BATCHES[batch]
    method = method_of(name, made(n, ragged) if name in MINED else None)
    total = torch.zeros((), dtype=torch.float64)
    for phase in method.phases:
        with method.only(phase):
            for seed in (2, 3, 4, 1) if MINED.get(name, (name,))[0] in REMEMBERING else (1,):
                joined = method.view({STREAM: made(n, ragged)}, torch.Generator().manual_seed(seed))
                mine = {side: view.rows(world.share(n)) for side, view in joined.items()}
                loss, _, step = method.loss(phase, mine, method.embed(phase.embedded(mine)), spoil(world.gather(n)))
                if seed != 1:
                    method.after_step(step)
        loss.backward()
        world.sum_gradients(phase.parameters())
        total += world.sum(loss)
    return {"loss": total} | {key: p.grad for key, p in method.named_parameters() if p.grad is not None}


def trained(
    name: str, folder: Path | None = None, resume: Path | None = None, stop_at: int | None = None
) -> dict[str, Tensor]:
    """Weights, losses and what miners remember of a short run; the last batch of the validation part holds a single series."""
    asked: list[int] = []

    def stopping() -> bool:
        asked.append(1)
        return stop_at == len(asked) and tsrep.World.current().rank == tsrep.World.current().size - 1

    training = Training(**LEARNING)
    data, held = made(13, True), made(5, False)
    method = method_of(name, data if name in MINED else None)
    encoder, history = train(
        method, data, training, validation=held, directory=folder, resume=resume, stopping=stopping
    )
    lines = {
        f"{key}.{int(line['step'])}": torch.tensor(line[key]).double()
        for line in history
        for key in line
        if key != "step"
    }
    remembered = {
        f"remembered/{k}": v.double().nan_to_num(-9.0)
        for k, v in method.state_dict().items()
        if k.startswith(("parts", "slow"))
    }
    losses = {k: v for k, v in lines.items() if k.startswith(("loss", "validation"))}
    return dict(encoder.state_dict()) | remembered | losses


def gathered(world: tsrep.World, n: int = 7) -> dict[str, Tensor]:
    """What gather brings and what its backward sends home, with other factors on every worker."""
    everything = torch.arange(n * 2, dtype=torch.float64).reshape(n, 2)
    mine = everything[world.share(n)].clone().requires_grad_()
    joined = world.gather(n)(mine)
    factor = torch.arange(1, n + 1, dtype=torch.float64)[:, None] ** (world.rank + 1)
    (joined * factor).sum().backward()
    flags = torch.arange(n) % 2 == 0
    return {
        "joined": joined.detach(),
        "home": mine.grad,
        "flags": world.gather(n)(flags[world.share(n)]),
        "rows": world.gather(n)(torch.arange(n)[world.share(n)]),
        "place": torch.tensor(world.gather(n).place(0)),
    }


def summed(world: tsrep.World) -> dict[str, Tensor]:
    """The first parameter is used by all workers, the second by the last one, the third by nobody."""
    parameters = [torch.nn.Parameter(torch.zeros(3, dtype=torch.float64)) for _ in range(3)]
    parameters[0].grad = torch.full((3,), float(world.rank + 1), dtype=torch.float64)
    if world.rank == world.size - 1:
        parameters[1].grad = torch.full((3,), 5.0, dtype=torch.float64)
    world.sum_gradients(parameters)
    agreed = [world.any(world.rank == 1), world.any(False), world.any(True)]
    return {
        "all": parameters[0].grad,
        "last": parameters[1].grad,
        "nobody_has_none": torch.tensor(parameters[2].grad is None),
        "agreed": torch.tensor(agreed),
    }


def everything(world: tsrep.World, folder: Path) -> dict[str, Tensor]:
    """All that a worker does, by name of check."""
    found: dict[str, Mapping[str, Tensor]] = {}
    for name, batch in CASES:
        found[f"{name}/{batch}"] = gradients(name, batch, world)
    for name in METHODS:
        found[f"{name}/deaf"] = gradients(name, "uneven", world, Deaf)
        found[f"{name}/trained"] = trained(name)
    for name in (*MINED, *REMEMBERING):
        found[f"{name}/trained"] = trained(name)
    found["gathered"], found["summed"] = gathered(world), summed(world)
    kept = folder / f"stopped{world.size}"
    with pytest.raises(tsrep.Interrupted):
        trained("ts2vec", kept, stop_at=3)
    found["resumed"] = trained("ts2vec", kept, resume=kept / "checkpoint.safetensors")
    return {f"{check}:{key}": tensor for check, part in found.items() for key, tensor in part.items()}


def work(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    for size in SIZES:
        if rank >= size:
            return
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet{size}", rank=rank, world_size=size)
        tensors = everything(tsrep.World.current(), folder)
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / f"{size}-{rank}.safetensors")
        dist.barrier()  # without it the first to leave may abort the others
        dist.destroy_process_group()


Found = dict[int, list[dict[str, Tensor]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def found(folder: Path) -> Found:
    """Number of workers -> what each of them found."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(folder)]
    workers = [
        subprocess.Popen([*command, str(rank)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(max(SIZES))
    ]
    try:
        for worker in workers:
            _, said = worker.communicate(timeout=240)
            assert worker.returncode == 0, said
    finally:
        for worker in workers:
            worker.kill()
    return {size: [load_file(folder / f"{size}-{rank}.safetensors") for rank in range(size)] for size in SIZES}


def of(tensors: Mapping[str, Tensor], check: str) -> dict[str, Tensor]:
    part = {key.partition(":")[2]: tensor for key, tensor in tensors.items() if key.startswith(check + ":")}
    assert part, f"no {check}"
    return part


def apart(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[key] - other[key]).abs().max()) for key in one)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "batch"), CASES)
def test_gradients_of_many_workers_are_those_of_one_process(name: str, batch: str, size: int, found: Found) -> None:
    alone = gradients(name, batch, tsrep.World())
    used = {key: grad for key, grad in alone.items() if grad.abs().max() > 1e-4}
    assert len(used) > 0.8 * len(alone), "gradients that are zero prove nothing"
    for worker in found[size]:
        assert apart(alone, of(worker, f"{name}/{batch}")) < 1e-10


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", METHODS)
def test_a_gather_without_gradient_is_found_out(name: str, size: int, found: Found) -> None:
    alone = gradients(name, "uneven", tsrep.World())
    for worker in found[size]:
        deaf = of(worker, f"{name}/deaf")
        assert abs(float(deaf["loss"] - alone["loss"])) < 1e-10, "the loss alone does not show it"
        assert apart(alone, deaf) > 1e-3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*METHODS, *MINED, *REMEMBERING])
def test_a_run_of_many_workers_ends_with_the_weights_of_one_process(name: str, size: int, found: Found) -> None:
    alone = trained(name)
    moved = apart(
        {k: v for k, v in alone.items() if "." in k and "/" not in k and not k.startswith("validation")}, start_of(name)
    )
    assert moved > 1e-3, "weights that did not move prove nothing"
    for worker in found[size]:
        assert apart(alone, of(worker, f"{name}/trained")) < 1e-8


@pytest.mark.parametrize("name", MINED)
def test_miners_have_a_say_in_these_runs(name: str) -> None:
    """Else their equality would prove nothing."""
    mined, plain = trained(name), trained(MINED[name][0])
    assert max(float((mined[key] - plain[key]).abs().max()) for key in plain) > 1e-3
    kept = [value for key, value in mined.items() if key.startswith("remembered/") and value.numel() > 1]
    assert not kept or any(len(value.unique()) > 2 for value in kept) or "mixing" in name


def test_queue_and_prototypes_have_a_say_in_these_runs() -> None:
    """And so their equality says something."""
    moco, halp = trained("moco"), trained("halp")
    assert int(moco["remembered/parts.0.entered"]) == 5 * LEARNING["batch_size"]
    assert halp["remembered/parts.0.centres"].any() and float(halp["remembered/parts.0.kept"]) > 0
    assert max(float((moco[key] - halp[key]).abs().max()) for key in moco if key.startswith("remembered/slow")) > 1e-6


def start_of(name: str) -> dict[str, Tensor]:
    return {key: value.detach() for key, value in method_of(name).encoder.state_dict().items()}


@pytest.mark.parametrize("size", SIZES)
def test_a_run_that_one_worker_stopped_goes_on_as_if_unbroken(size: int, found: Found, folder: Path) -> None:
    unbroken = of(found[size][0], "ts2vec/trained")
    for worker in found[size]:
        resumed = of(worker, "resumed")
        assert all(torch.equal(resumed[key], unbroken[key]) for key in unbroken)
    alone = trained("ts2vec", resume=folder / f"stopped{size}" / "checkpoint.safetensors")
    assert apart(alone, unbroken) < 1e-8, "one process goes on where many stopped"


@pytest.mark.parametrize("size", SIZES)
def test_gather_joins_in_order_and_sends_every_gradient_home(size: int, found: Found) -> None:
    n = 7
    sent = sum(torch.arange(1, n + 1, dtype=torch.float64) ** (rank + 1) for rank in range(size))
    for rank, worker in enumerate(found[size]):
        part, share = of(worker, "gathered"), tsrep.World(rank, size).share(n)
        assert torch.equal(part["joined"], torch.arange(n * 2, dtype=torch.float64).reshape(n, 2))
        assert torch.equal(part["home"], sent[share][:, None].expand(-1, 2))
        assert torch.equal(part["flags"], torch.arange(n) % 2 == 0)
        assert torch.equal(part["rows"], torch.arange(n))
        assert part["place"].tolist() == [share.start, n]


@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_summed_and_what_nobody_used_has_none(size: int, found: Found) -> None:
    for worker in found[size]:
        part = of(worker, "summed")
        assert part["all"].tolist() == [size * (size + 1) / 2] * 3
        assert part["last"].tolist() == [5.0] * 3
        assert bool(part["nobody_has_none"])


@pytest.mark.parametrize("size", SIZES)
def test_what_is_true_on_one_worker_is_true_on_all(size: int, found: Found) -> None:
    for worker in found[size]:
        assert of(worker, "summed")["agreed"].tolist() == [True, False, True]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("n", [0, 1, 3, 7, 16])
def test_shares_cover_every_row_once_and_are_even(n: int, size: int) -> None:
    shares = [range(n)[tsrep.World(rank, size).share(n)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_gathers_what_it_has() -> None:
    mine = torch.rand(4, 2)
    gather = tsrep.World.current().gather(4)
    assert gather(mine) is mine
    assert gather.place(4) == (0, 4)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
