"""From a plan to a model: data made ready, the method, the loop, the folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tsrep import drift, levels, planning, randomness, registry, run_folder, saving
from tsrep import plan as plans
from tsrep.checkpoint import NAME as CHECKPOINT
from tsrep.data.panel import Panel
from tsrep.data.streams import Streams
from tsrep.distributed import World
from tsrep.errors import InputError, nearest
from tsrep.loading import load
from tsrep.meters import meter, warning
from tsrep.method import DataShape, Method
from tsrep.model import Model, encoder_for
from tsrep.observers import Observer
from tsrep.pairs import Alone
from tsrep.plan import Plan
from tsrep.plugins import plugin
from tsrep.preparing import Prepared, prepare, source
from tsrep.progress import Progress
from tsrep.series import as_batch
from tsrep.suspects import suspects
from tsrep.training import device_of, train


def fit(
    X: Any = None,
    *,
    method: Any = "ts2vec",
    encoder: Any = "dilated",
    mining: Any = None,
    training: Any = None,
    data: Mapping[str, Any] | None = None,
    encoders: Any = "shared",
    seed: int = 0,
    window: int | None = None,
    hop: int | None = None,
    out: str | Path | None = None,
    workers: int = 0,
    observers: Mapping[str, Mapping[str, Any]] | None = None,
    progress: bool = False,
    resume: bool = False,
) -> Model:
    """Learn an encoder from windows without labels.

    X:         (n, channel, time) array, NaN = missing; a list of (channel, time) arrays; a sktime panel; a long DataFrame; a Panel; a
               file; or the name of a data set of the catalogue, whose training part is taken. Several streams: {stream: any of these}.
    method:    a name (`tsrep methods`), {"name": ..., its settings}, or a configuration such as `tsrep.methods.ts2vec.TS2Vec()`.
    encoder:   likewise: "dilated", "causal", "patch", "tsai(InceptionTimePlus)", ...
    mining:    what changes the pairs of the method: "bad_pairs", a configuration, or several with their settings, in this order:
               {"bad_pairs": {}, "hard_negatives": {"beta": 0.5}}.
    training:  settings of `tsrep.Training`, for instance {"epochs": 20, "learning_rate": 1e-3}.
    data:      further settings of the data, for instance {"streams": "all", "align": "position", "steps": 50}.
    encoders:  of several streams: "shared", "each", or {stream: encoder}.
    seed:      same data, settings, seed and machine: same bits.
    window:    steps of a window, for long series; hop: steps between windows (default: window).
    out:       folder of the run, with checkpoints and in the end the model. None: nothing is written.
    workers:   processes on a Ray cluster; 0: this process.
    observers: who else watches: {"mlflow": {"experiment": "wearables", "register": "steps"}}.
    progress:  show a progress bar on standard error.
    resume:    go on from the checkpoint in `out`.

    Raises InputError for data or settings that cannot be used, before anything is written.
    """
    content: dict[str, Any] = {"method": method, "encoder": encoder, "training": training, "seed": seed}
    content["data"] = {"name": str(X) if isinstance(X, str | Path) else None, "window": window, "hop": hop} | dict(
        data or {}
    )
    if isinstance(X, Mapping) and not hasattr(X, "columns"):  # a table is no mapping of streams
        content["data"].setdefault("streams", "all")
    content["encoders"] = encoders
    content |= {"out": None if out is None else str(out), "workers": workers}
    content["mining"] = {} if mining is None else mining
    content["observers"] = {} if observers is None else observers
    made, _ = planning.make(content)
    return run(made, None if isinstance(X, str | Path) else X, progress=progress, resume=resume)


def run(plan: Plan, X: Any = None, *, progress: bool = False, resume: bool = False) -> Model:
    """Carry out a plan, here or on a cluster. X: the data, where the plan names none."""
    panel, licence = source(plan.data, X)
    prepared = prepare(panel, plan, licence)
    rehearse(plan, prepared)
    folder = run_folder.free(plan, resume)
    if plan.workers:
        model: Model = plugin("launchers", "ray")(plan, panel, licence=licence, progress=progress, resume=resume)
        return model
    device_of(plan.training.device)
    watching = [*([bar(plan)] if progress else []), *observers_of(plan, panel)]
    if folder is not None:
        plans.write(plan, folder)
    try:
        model = learn(plan, prepared, watching, folder, run_folder.to_resume(folder) if resume and folder else None)
    except BaseException:
        if folder is not None and not resume:
            run_folder.forget(folder)
        raise
    return finish(model, folder, watching)


def observers_of(plan: Plan, panel: Panel | Streams) -> list[Observer]:
    """The observers that a plan names, ready to watch."""
    kinds = {name: plugin("observers", name) for name in plan.observers}
    for name, kind in kinds.items():
        known = [key for key in inspect.signature(kind).parameters if key not in ("plan", "panel")]
        for key in plan.observers[name]:
            if key not in known:
                raise InputError(f"unknown setting '{key}' of the observer '{name}'; {nearest(key, known)}")
    return [kind(plan=plan, panel=panel, **plan.observers[name]) for name, kind in kinds.items()]


def finish(model: Model, folder: Path | None, observers: Sequence[Observer]) -> Model:
    """Save the model in the folder of its run, whose checkpoint has served, and tell the observers."""
    if folder is not None:
        saving.put(model, folder)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    for observer in observers:
        observer.done(model)
    return model


def rehearse(plan: Plan, prepared: Prepared) -> None:
    """Build the method, draw views of two series and show them to the miners, so that whatever refuses the data or the method's
    pairs refuses before anything is written."""
    method = mined(plan, prepared)
    batch = as_batch(prepared.train)
    most = torch.stack([series.present for series in batch.values()]).sum(0).argsort(descending=True, stable=True)[:2]
    views = method.view(
        {name: series.rows(most) for name, series in batch.items()},
        randomness.generator(plan.seed, randomness.VIEWS, 0, 0),
    )
    if plan.mining:
        with torch.no_grad(), randomness.seeded(plan.seed, randomness.DROPOUT, 0):
            for phase in method.phases:
                method.loss(phase, views, method.embed(phase.embedded(views)), Alone())


def build(plan: Plan, shape: DataShape) -> Method:
    """The method of a plan with fresh weights, which follow from the seed."""
    with randomness.seeded(plan.seed, randomness.WEIGHTS):
        encoder = encoder_for(plan, shape)
        method: Method = plan.method.build(encoder, shape)
    return method


def random_model(plan: Plan, X: Any) -> Model:
    """The plan's model with the weights that its seed gives them, for benchmarks: it learned nothing, and knows of the data what any
    model does, its scaling and its levels. X: what `fit` would learn from."""
    panel, licence = source(plan.data, X)
    ready = prepare(panel, plan, licence)
    encoder = build(plan, ready.shape).encoder.eval()
    levels.settle(encoder, ready.train)
    return Model(encoder, plan, ready.scaler, ready.described, ready.check, streams=ready.streams)


def mined(plan: Plan, prepared: Prepared) -> Method:
    """The method of a plan with the plan's miners, for the data it will learn from."""
    method = build(plan, prepared.shape)
    try:
        return method.mined(plan.mining.values(), prepared.train) if plan.mining else method
    except ValueError as error:
        raise InputError(f"mining {', '.join(plan.mining)}: {error}") from error


def learn(
    plan: Plan,
    prepared: Prepared,
    observers: Sequence[Observer] = (),
    folder: Path | None = None,
    resume: Path | None = None,
    world: World | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Model:
    """Train on prepared data, alone or as one of the workers of the world, and return the model. Writes checkpoints alone.

    stopping: asked after every step; True saves and raises Interrupted, as a signal does.
    """
    method = mined(plan, prepared)
    encoder, history = train(
        method,
        prepared.train,
        plan.training,
        seed=plan.seed,
        validation=prepared.validation,
        world=world,
        directory=folder,
        resume=resume,
        observers=observers,
        meters=(meter,),
        stopping=stopping,
    )
    found = suspects(method, prepared.train, plan.seed, prepared.origin)
    encoder = encoder.to(device="cpu", dtype=torch.float32)
    levels.settle(encoder, prepared.train)
    learned = (
        method.view.to(device="cpu", dtype=torch.float32).eval() if isinstance(method.view, torch.nn.Module) else None
    )
    model = Model(
        encoder,
        plan,
        prepared.scaler,
        prepared.described,
        prepared.check,
        history,
        view=learned,
        suspects=found,
        streams=prepared.streams,
    )
    if prepared.sample is None:
        return model
    return replace(model, reference=drift.Reference(model.embed(prepared.sample)))


def resume(folder: str | Path, *, progress: bool = False) -> Model:
    """Go on with a run that was stopped. A run that is finished is loaded."""
    where = Path(folder)
    if not (where / "plan.yaml").is_file():
        raise InputError(f"expected the folder of a run, found no plan.yaml in {folder}")
    if (where / "weights.safetensors").is_file() and not (where / CHECKPOINT).is_file():
        return load(where)  # with both, saving was cut short
    made = replace(planning.read(where / "plan.yaml")[0], out=str(where))
    if made.data.name is None:
        raise InputError(
            f"the run in {folder} was trained on data from memory; give it again: tsrep.fit(X, ..., out='{folder}', resume=True)"
        )
    return run(made, progress=progress, resume=True)


def anew(plan: Plan, seed: int) -> Plan:
    """The plan under another seed, for data that is at hand, and without a trace."""
    return replace(plan, data=replace(plan.data, name=None, stream=None), seed=seed, out=None, observers={}, workers=0)


def bar(plan: Plan) -> Progress:
    """The progress bar of a plan's training."""
    return Progress(
        registry.name_of("methods", plan.method), plan.training.batch_size * plan.training.accumulate, warning
    )
