"""From data and a plan to a model: windows, the part kept aside, scaling, the method, the loop."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsrep import drift, planning, randomness, registry, run_folder, saving, stream_fitting
from tsrep import plan as plans
from tsrep.checkpoint import NAME as CHECKPOINT
from tsrep.data import catalogue
from tsrep.data.columns import apart, columns, inputs
from tsrep.data.fingerprint import fingerprint
from tsrep.data.panel import Panel
from tsrep.data.readers import as_panel, as_streams
from tsrep.data.scaling import Scaler
from tsrep.data.splits import by_rows, by_subject
from tsrep.data.streams import Streams
from tsrep.data.windows import windows
from tsrep.distributed import World
from tsrep.errors import InputError, nearest
from tsrep.loading import load
from tsrep.meters import meter, warning
from tsrep.method import DataShape, Method
from tsrep.model import Described, Model, encoder_for, inputs_to_keep
from tsrep.observers import Observer
from tsrep.origin import Origin, numbered
from tsrep.pairs import Alone
from tsrep.plan import DataPlan, Plan
from tsrep.plugins import plugin
from tsrep.progress import Progress
from tsrep.series import Batch, Series, as_batch
from tsrep.stream_fitting import coded, wanted
from tsrep.streaming import Stream
from tsrep.suspects import suspects
from tsrep.training import device_of, train

LONGEST = 3000
"""Steps of a series that is trained on whole; longer ones are windowed (the longest of TS2Vec)."""


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


@dataclass(frozen=True)
class Prepared:
    """Data that is ready for the loop, and what the model will say of it."""

    train: Series | Batch
    validation: Series | Batch | None
    scaler: Scaler
    shape: DataShape
    described: Described
    check: np.ndarray
    origin: Origin
    sample: np.ndarray | None = None
    streams: Mapping[str, Stream] = field(default_factory=dict)


def source(data: DataPlan, X: Any = None) -> tuple[Panel | Streams, str | None]:
    """The panel that a plan names or that was given, or the streams, and its licence where that is known."""
    if data.name is None:
        if X is None:
            raise InputError(
                "expected data: give X, or name a data set or file in the plan (data.name); `tsrep datasets` lists them"
            )
        return as_streams(X, wanted(data)) if data.streams else as_panel(X, stream=data.stream), None
    if data.name in catalogue.names() or not Path(data.name).suffix:
        if data.streams:
            several = catalogue.load_streams(data.name, wanted(data))
            return several.train, several.entry.licence
        name = data.name if data.stream is None else f"{data.name}:{data.stream}"
        dataset = catalogue.load(name)
        return dataset.train, dataset.entry.licence
    return as_streams(data.name, wanted(data)) if data.streams else as_panel(data.name, stream=data.stream), None


def prepare(panel: Panel | Streams, plan: Plan, licence: str | None = None) -> Prepared:
    """Cut, split off the validation part, fit the scaling on the rest. Raises InputError for data that cannot be learned from."""
    stream_fitting.check(plan, registry.name_of("methods", plan.method), panel if isinstance(panel, Streams) else None)
    if isinstance(panel, Streams):
        return _prepare_streams(panel, plan, licence)
    cut = windowed(panel, plan.data)
    if len(cut) < 2:
        raise InputError(
            "expected at least two windows to contrast, got one; set data.window to cut a long series into windows"
        )
    train, held = held_out(numbered(cut), plan.training.validation, plan.seed)
    _enough(len(train), None if held is None else len(held))
    scaler = Scaler.fit(train, plan.data.scaling_of(None))
    kept, alone = train.channels, plan.data.independent
    series = _series(train, scaler, alone)
    return Prepared(
        train=series,
        validation=None if held is None else _series(held, scaler, alone),
        scaler=scaler,
        shape=DataShape(
            len(series), inputs(kept, alone), train.length, train.rate, subject=None if alone else coded(train.subject)
        ),
        described=Described(
            name=plan.data.name,
            channels=kept,
            rate=train.rate,
            length=train.length,
            rows=len(train),
            fingerprint=fingerprint(train),
            classes=() if train.label is None else tuple(str(c) for c in np.unique(train.label)),
            licence=licence,
            unit=catalogue.unit(plan.data.name, plan.data.stream),
        ),
        check=inputs_to_keep(train),
        origin=Origin.of(train, alone),
        sample=drift.sample(train.values),
    )


def _prepare_streams(streams: Streams, plan: Plan, licence: str | None) -> Prepared:
    cut = stream_fitting.cut(streams, plan.data, LONGEST)
    if cut.count < 2:
        raise InputError(
            "expected at least two windows to contrast, got one; set data.window to cut long series into windows"
        )
    kept, aside = held_out(stream_fitting.outline(cut), plan.training.validation, plan.seed)
    train, held = cut.rows(kept.label), None if aside is None else cut.rows(aside.label)
    _enough(train.count, None if held is None else held.count)
    known = stream_fitting.parts(train, plan)
    first = next(iter(known.values()))
    told: dict[str, Any] = {"scaler": first.scaler, "check": first.check, "streams": known}
    told["described"] = stream_fitting.described(train, plan, licence)
    shape, whole = stream_fitting.shape(train), numbered(cut.first).rows(kept.label)
    if stream_fitting.needs(plan) > 1:
        aside_batch = None if held is None else stream_fitting.batch(held, known)
        origin = Origin.of(whole, False)
        return Prepared(
            train=stream_fitting.batch(train, known), validation=aside_batch, shape=shape, origin=origin, **told
        )
    series, rows = stream_fitting.pooled(train, known)
    who = None if shape.subject is None else shape.subject[torch.from_numpy(rows)]
    return Prepared(
        train=series,
        validation=None if held is None else stream_fitting.pooled(held, known)[0],
        shape=replace(shape, rows=len(series), streams=(), subject=who),
        origin=Origin.of(whole.rows(rows), False),
        **told,
    )


def _enough(train: int, held: int | None) -> None:
    if held is not None and min(train, held) < 2:
        raise InputError(
            f"expected at least two windows on each side of the validation split, got {train} and {held}: one alone has "
            "nothing to contrast with; change training.validation or cut more windows"
        )


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


def windowed(panel: Panel, data: DataPlan) -> Panel:
    """The windows and channels that a plan learns from."""
    panel = columns(panel, data.channels, data.calendar)
    if data.window is not None:
        return windows(panel, data.window, data.hop, keep_short=True)
    if data.hop is not None:
        raise InputError(f"data.hop={data.hop} needs data.window, the steps of a window")
    if panel.length > LONGEST:
        return windows(panel, math.ceil(panel.length / math.ceil(panel.length / LONGEST)), keep_short=True)
    return panel


def held_out(panel: Panel, share: float, seed: int) -> tuple[Panel, Panel | None]:
    """Whole subjects where they are known, else whole recordings, else series."""
    if share == 0:
        return panel, None
    if panel.subject is not None and len(np.unique(panel.subject)) > 2:
        split = by_subject(panel, test=share, seed=seed)
        return split.train, split.test
    groups = np.arange(len(panel)) if panel.recording is None else np.asarray(panel.recording)
    everyone = np.unique(groups)
    if len(everyone) < 3:
        raise InputError(f"expected at least three recordings to keep a validation part aside, got {len(everyone)}")
    count = min(max(1, round(share * len(everyone))), len(everyone) - 2)
    rng = np.random.default_rng(randomness.number(seed, randomness.VALIDATION))
    held = np.isin(groups, rng.permutation(everyone)[:count])
    split = by_rows(panel, train=np.flatnonzero(~held), test=np.flatnonzero(held), subjects=False)
    return split.train, split.test


def _series(panel: Panel, scaler: Scaler, alone: bool) -> Series:
    values = scaler.transform(panel.values)
    values = apart(values, panel.channels) if alone else values
    if panel.timestamps is None:
        return Series.of(torch.from_numpy(values))
    stamps = np.repeat(panel.timestamps, len(values) // len(panel), axis=0)
    return Series.of(torch.from_numpy(values), timestamps=torch.from_numpy(stamps))
