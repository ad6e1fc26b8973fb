"""The loop. One process or many, every method alike; a run that was stopped and resumed equals one that was not."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tsrep import checkpoint, randomness
from tsrep.distributed import World
from tsrep.errors import InputError
from tsrep.learning import Training
from tsrep.memory import Step
from tsrep.method import Method, Phase
from tsrep.observers import Interrupted, Meter, Observer, signals
from tsrep.series import Batch, Embedding, Series, View, as_batch, rows_of

FREE = ("device", "steps", "epochs", "checkpoint_every")
"""Settings that may differ when a run goes on: where it computes, how far it goes, and how often it is saved."""


class Run:
    """All that changes while training; `save` writes the whole of it.

    kept: the encoder with averaged weights. best: its weights at the lowest validation loss. waited: looks since then.
    """

    def __init__(self, method: Method, training: Training) -> None:
        self.method, self.kept = method, copy.deepcopy(method.encoder)
        self.optimizers = {phase.name: _optimizer(phase, training) for phase in method.phases}
        self.best: dict[str, Tensor] = {}
        self.step, self.best_loss, self.waited = 0, math.inf, 0

    def save(self, path: Path, numbers: Mapping[str, Any]) -> None:
        tensors = checkpoint.module_tensors(self.method, "method") | checkpoint.module_tensors(self.kept, "kept")
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for name, optimizer in self.optimizers.items():
            tensors |= checkpoint.optimizer_tensors(optimizer, f"optimizer.{name}")
        own = {"step": self.step, "best_loss": self.best_loss, "waited": self.waited}
        checkpoint.save(path, tensors, own | dict(numbers))

    def load(self, path: Path) -> dict[str, Any]:
        tensors, numbers = checkpoint.load(path)
        try:
            checkpoint.load_module(self.method, "method", tensors)
            checkpoint.load_module(self.kept, "kept", tensors)
            for name, optimizer in self.optimizers.items():
                checkpoint.load_optimizer(optimizer, f"optimizer.{name}", tensors)
        except (RuntimeError, KeyError, ValueError) as error:
            raise InputError(
                f"expected a checkpoint of this method and encoder, got another in {path}: {error}"
            ) from error
        self.best = {name[5:]: tensor for name, tensor in tensors.items() if name.startswith("best.")}
        self.step, self.best_loss, self.waited = numbers["step"], numbers["best_loss"], numbers["waited"]
        return numbers


def train(
    method: Method,
    data: Series | Batch,
    training: Training,
    *,
    seed: int = 0,
    validation: Series | Batch | None = None,
    world: World | None = None,
    directory: Path | None = None,
    resume: Path | None = None,
    observers: Sequence[Observer] = (),
    meters: Sequence[Meter] = (),
    stopping: Callable[[], bool] | None = None,
) -> tuple[nn.Module, list[dict[str, float]]]:
    """Train a method in place and return the encoder to keep (averaged, in evaluation mode) and the history.

    data, validation: all series, scaled, of one stream or of several with the same rows; a batch is a choice of their rows.
    world:            who takes part; None: the process group that was started, or this process alone.
    directory:        where checkpoints and `history.jsonl` go; None: nowhere.
    resume:           a checkpoint to go on from.
    observers:        see `Observer`. meters: numbers for the history, taken every `log_every` steps.
    stopping:         asked after every step; True on any worker saves and stops on all of them, as a signal does.
    Raises FloatingPointError for a loss that is not finite, naming method, phase, step and rows, and Interrupted on a signal.
    """
    world = world or World.current()
    device, kind = device_of(training.device), _kind(training.precision)
    of = _marks(as_batch(data), training, seed) if directory or resume else {}
    method.to(device=device, dtype=torch.float64 if kind == torch.float64 else torch.float32).train()
    data, held = _place(data, device, kind), None if validation is None else _place(validation, device, kind)
    length = training.length(data)
    run = Run(method, training)
    if min(training.batch_size, rows_of(data)) < world.size:
        raise InputError(
            f"expected a batch of at least one series for each of the {world.size} workers, got batches of "
            f"{min(training.batch_size, rows_of(data))}; take fewer workers or larger batches"
        )
    history: list[dict[str, float]] = _resumed(run, resume, of) if resume else []
    path = directory / checkpoint.NAME if directory else None

    def save() -> None:
        if path is not None:
            if world.rank == 0:
                run.save(path, {"history": history, "of": of})
            world.barrier()
            for observer in observers:
                observer.saved(run.step, path)

    for observer in observers:
        observer.start(length, run.step)
    try:
        with signals() as caught:
            while run.step < length and run.waited < training.patience:
                values, embeddings = _step(run, data, training, length, seed, world, device, kind)
                run.step += 1
                logged = run.step % training.log_every == 0 or run.step == length
                if logged:
                    values |= method.numbers()
                    for meter in meters:
                        values |= meter(embeddings)
                if held is not None and (run.step % training.validate_every == 0 or run.step == length):
                    values["validation"] = _validate(run, held, training, seed, world)
                    _remember_best(run, values["validation"])
                    logged = True
                if logged:
                    history.append({"step": float(run.step), **values})
                for observer in observers:
                    observer.step(run.step, values)
                stop = world.any(bool(caught) or (stopping is not None and stopping()))
                if stop or run.step % training.checkpoint_every == 0:
                    save()
                if stop:
                    raise Interrupted(caught[0] if caught else signal.SIGTERM, run.step, path)
    finally:
        for observer in observers:
            observer.stop()
    if run.best:
        run.kept.load_state_dict(run.best)
    if not all(bool(p.isfinite().all()) for p in run.kept.parameters()):
        raise FloatingPointError(
            f"the weights of method '{method.name}' are not finite after step {run.step}: the last gradients were not; "
            "a lower learning rate or clipping (training.clip=1) usually helps"
        )
    if directory is not None and world.rank == 0:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in history))
    return run.kept.eval(), history


def _marks(data: Batch, training: Training, seed: int) -> dict[str, Any]:
    """By what a run is known: going on with other data, settings or another seed would be another run."""
    told = hashlib.sha256()
    for name, series in data.items():
        told.update(
            (f"{tuple(series.values.shape)}" if len(data) == 1 else f"{name}{tuple(series.values.shape)}").encode()
        )
        for tensor in (series.values, series.observed):
            told.update(tensor.contiguous().numpy().tobytes())
    settings = {name: value for name, value in asdict(training).items() if name not in FREE}
    return {"seed": seed, "data": told.hexdigest(), "training": settings}


def _resumed(run: Run, path: Path, of: Mapping[str, Any]) -> list[dict[str, float]]:
    """Load the state of a run of the same marks; its history."""
    numbers = run.load(path)
    for name, now in json.loads(json.dumps(of)).items():
        before = numbers.get("of", {}).get(name)
        if before != now:
            raise InputError(
                f"expected the {name} of the run in {path.parent} ({before}), got {now}; a resumed run must be the same"
            )
    history: list[dict[str, float]] = numbers["history"]
    return history


def _step(
    run: Run,
    data: Batch,
    training: Training,
    length: int,
    seed: int,
    world: World,
    device: torch.device,
    kind: torch.dtype,
) -> tuple[dict[str, float], Mapping[str, Embedding]]:
    """One step of every phase whose turn it is: -> numbers for the history, embeddings for the meters."""
    values: dict[str, float] = {"rate": training.rate(run.step, length)}
    first = run.step * training.accumulate
    told: list[list[Step]] = [[] for _ in range(training.accumulate)]
    for turn, phase in enumerate(run.method.phases):
        if run.step % phase.every:
            continue
        optimizer = run.optimizers[phase.name]
        optimizer.zero_grad(set_to_none=True)
        totals: dict[str, Tensor] = {}
        losses: list[tuple[Tensor, Tensor]] = []
        for part in range(training.accumulate):
            number = first + part
            rows = _rows(rows_of(data), training, seed, number).to(device)
            # Every worker draws the views of the joined batch and keeps its own: N workers see what one process sees.
            with _learned(run.method.view, seed, number, turn), run.method.only(phase):
                drawn = run.method.view(_batch(data, rows), randomness.generator(seed, randomness.VIEWS, number, turn))
            views = {name: view.rows(world.share(len(view))) for name, view in drawn.items()}
            gather = world.gather(len(rows))
            with randomness.seeded(seed, randomness.DROPOUT, number, turn, world.rank), run.method.only(phase):
                with torch.autocast(device.type, kind) if kind == torch.bfloat16 else nullcontext():
                    embeddings = run.method.embed(phase.embedded(views))
                loss, terms, seen = run.method.loss(phase, views, embeddings, gather)
            (loss / training.accumulate).backward()
            losses.append((loss.detach(), rows))
            told[part].append(seen)
            for name, value in {phase.name: loss.detach(), **_several(terms)}.items():
                totals[name] = totals.get(name, torch.zeros((), device=device)) + value / training.accumulate
        for name, value in totals.items():
            values[name if name != phase.name else f"loss/{name}"] = world.sum(value).item()
        if not math.isfinite(values[f"loss/{phase.name}"]):
            guilty = [rows for loss, rows in losses if not loss.isfinite()] or [rows for _, rows in losses]
            raise FloatingPointError(
                f"the loss of method '{run.method.name}', phase '{phase.name}', step {run.step + 1} is "
                f"{values[f'loss/{phase.name}']} on rows {torch.cat(guilty).tolist()}; "
                "a lower learning rate, clipping (training.clip=1) or a scaled input usually helps"
            )
        parameters = phase.parameters()
        world.sum_gradients(parameters)
        if training.clip is not None:
            values["gradient"] = nn.utils.clip_grad_norm_(parameters, training.clip).item()
        for group in optimizer.param_groups:
            group["lr"] = values["rate"] * phase.rate
        optimizer.step()
    _average(run, training)
    # Batch by batch: a step of several may reach over the end of an epoch.
    for number, batch in enumerate(told, start=first + 1):
        for seen in batch:
            run.method.after_step(replace(seen, moved=number == first + 1))
        if number % training.batches(rows_of(data)) == 0:
            run.method.after_epoch(number // training.batches(rows_of(data)))
    return values, seen.embeddings


def _rows(n: int, training: Training, seed: int, number: int) -> Tensor:
    """Rows of the number-th batch of a run. They depend on nothing else, so training can go on from any step."""
    epoch, place = divmod(number, training.batches(n))
    return _order(n, seed, epoch)[place * training.batch_size : (place + 1) * training.batch_size]


@lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=randomness.generator(seed, randomness.ORDER, epoch))


def _batch(data: Batch, rows: Tensor) -> Batch:
    """The same rows of every stream."""
    return {name: series.rows(rows) for name, series in data.items()}


def _learned(view: View, seed: int, *where: int) -> AbstractContextManager[None]:
    """What a learned view draws beside the generator (its dropout) is the same on every worker."""
    return randomness.seeded(seed, randomness.LEARNED, *where) if isinstance(view, nn.Module) else nullcontext()


def _several(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    return terms if len(terms) > 1 else {}


def _average(run: Run, training: Training) -> None:
    """kept ← kept + w (now − kept), w = 1 (last), 1/step (mean over all steps) or 1 − decay (moving)."""
    weight = {"last": 1.0, "mean": 1.0 / (run.step + 1), "moving": 1.0 if run.step == 0 else 1.0 - training.decay}
    kept: list[Tensor] = list(run.kept.parameters())
    now = [p.detach() for p in run.method.encoder.parameters()]
    with torch.no_grad():
        torch._foreach_lerp_(kept, now, weight[training.average])
        for mine, its in zip(run.kept.buffers(), run.method.encoder.buffers(), strict=True):
            mine.copy_(its)


@torch.no_grad()
def _validate(run: Run, data: Batch, training: Training, seed: int, world: World) -> float:
    """Loss of the phases that move the encoder on series kept aside: the same views every time, the last batch included, each series
    counted once."""
    learned = set(run.method.encoder.parameters())
    phases = [phase for phase in run.method.phases if not learned.isdisjoint(phase.parameters())]
    encoder, run.method.encoder = run.method.encoder, run.kept
    run.method.eval()
    total = torch.zeros(())
    try:
        for number, rows in enumerate(torch.arange(rows_of(data)).split(training.batch_size)):
            views = run.method.view(_batch(data, rows), randomness.generator(seed, randomness.VALIDATION, number))
            sharing = (
                world if len(rows) >= world.size else World()
            )  # too few for a share each: every worker takes them all
            mine = {name: view.rows(sharing.share(len(view))) for name, view in views.items()}
            for phase in phases:
                embeddings = run.method.embed(phase.embedded(mine))
                loss, _, _ = run.method.loss(phase, mine, embeddings, sharing.gather(len(rows)))
                total += sharing.sum(loss).cpu() * len(rows) / rows_of(data)
    finally:
        run.method.encoder = encoder
        run.method.train()
    if not total.isfinite():
        raise FloatingPointError(
            f"the validation loss of method '{run.method.name}', step {run.step}, is {total.item()}; "
            "a lower learning rate, clipping (training.clip=1) or a scaled input usually helps"
        )
    return total.item()


def _remember_best(run: Run, loss: float) -> None:
    if loss < run.best_loss:
        run.best = {name: tensor.detach().clone() for name, tensor in run.kept.state_dict().items()}
        run.best_loss, run.waited = loss, 0
    else:
        run.waited += 1


def _optimizer(phase: Phase, training: Training) -> torch.optim.Optimizer:
    return torch.optim.AdamW(phase.parameters(), training.learning_rate, weight_decay=training.weight_decay, fused=True)


def _place(data: Series | Batch, device: torch.device, kind: torch.dtype) -> Batch:
    wanted = torch.float64 if kind == torch.float64 else torch.float32
    return {name: series.to(device).cast(wanted) for name, series in as_batch(data).items()}


def device_of(name: str) -> torch.device:
    """The device of a plan; InputError where it is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"expected training.device to be auto, cpu or an accelerator that is here, got '{name}': {error}"
        ) from error


def _kind(precision: str) -> torch.dtype:
    kind: torch.dtype = getattr(torch, precision)
    return kind
