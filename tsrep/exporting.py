"""Exports a model for a faster runtime, and refuses to where the numbers are not those of torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tsrep import levels, pools, runtime
from tsrep.data.panel import Panel
from tsrep.errors import InputError
from tsrep.evaluation.probes import probe_named
from tsrep.evaluation.retrieve import nearest
from tsrep.half import Half
from tsrep.model import Model
from tsrep.plugins import plugin
from tsrep.preparing import held_out, source, windowed
from tsrep.readouts import read
from tsrep.runtime import BF16, Bound, Runtime
from tsrep.series import Series

TOLERANCE = 1e-5
"""Largest difference |a − b| / (1 + |b|) of an exact export."""

PRECISIONS = ("float32", "int8", BF16)

NEIGHBOURS = 5
AGREEMENT = 0.9
"""Share of the nearest neighbours that an export of reduced precision must keep, on the validation part."""
LOST = 0.01
"""Share of the validation part that a linear probe may get wrong in addition."""
SHARE = 0.2
"""Of the windows that take the part of a validation part where the plan keeps none aside."""
CALIBRATION = 256
"""Training windows by which the ranges of int8 are set."""


def export(model: Model, *, precision: str = "float32", data: Any = None, length: int | None = None) -> Model:
    """The model with its encoder exported for ONNX Runtime; `save` puts the export into the folder, and `load` takes it from there.

    precision: float32, which is exact; or what the gate lets pass: int8, static and by output channel, or bf16, which torch computes,
               of any encoder and without a file: faster than float32 on many windows at a time, where the processor multiplies it.
               The gate looks at embeddings by the encoder's own pooling.
    data:      what the gate measures on, as `tsrep.fit` takes it; None: the data that the plan names. Not for float32.
    length:    steps of the longest window that the export takes; None: of a training window. Longer ones are embedded by torch.
    Raises InputError where float32 differs from torch by more than 1e-5 over several lengths and patterns of missing values; where
    int8 or bf16 lose neighbours or probe accuracy on the validation part; but for bf16, for encoders other than dilated and causal and
    without `tsrep[onnx]`.
    """
    if precision not in PRECISIONS:
        raise InputError(f"expected precision to be one of {', '.join(PRECISIONS)}, got '{precision}'")
    longest = model.data.length if length is None else length
    if longest < 1:
        raise InputError(f"expected length to be at least 1, got {longest}")
    if model.streams:
        raise InputError(
            f"expected a model of one stream to export, this one knows {', '.join(model.streams)}: export one of them, which "
            "model.of(stream) makes a model of its own"
        )
    native = replace(model, exported=None)
    if precision == BF16:
        half, (train, held, labels) = Half(native, longest), _parts(native, data)
        about = {"precision": precision, "length": longest}
        return replace(model, exported=Bound(half, model.encoder, about | _gate(native, half, train, held, labels)))
    content: bytes = plugin("exporters", "onnx")(model.encoder, longest)
    exact = _ready(content)
    difference = differs(native, exact)
    if not difference <= TOLERANCE:
        raise InputError(
            f"expected an export that differs by at most {TOLERANCE:g} from torch, it differs by {difference:.2g}: nothing was exported"
        )
    report = {"precision": precision, "length": longest, "difference": difference}
    if precision == "float32":
        return replace(model, exported=Bound(exact, model.encoder, report))
    train, held, labels = _parts(native, data)
    fast = _ready(plugin("exporters", precision)(content, train[0][:CALIBRATION], torch.get_num_threads()))
    return replace(model, exported=Bound(fast, model.encoder, report | _gate(native, fast, train, held, labels)))


def differs(model: Model, fast: Runtime) -> float:
    """Largest |a − b| / (1 + |b|) between an export and torch over all pools, several lengths and patterns of missing values.

    Shares of steps above a level count only where no step lies so near it that rounding decides.
    """
    worst = 0.0
    zero = torch.zeros(fast.features, 1)
    asked = {"rich": zero, "levels": levels.of(model.encoder) if "levels" in model.pools else zero}
    for values in _trials(model, fast.length):
        expected = _by_torch(model, values)
        steps = expected[pools.STEPS]
        for pool, b in expected.items():
            a = fast(values, pool)
            if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
                return float("inf")
            off = np.abs(a - b) / (1 + np.abs(b))
            for i, level in enumerate(asked[pool].float().cpu().T.numpy() if pool in asked else []):
                near = (np.abs(steps - level[:, None]) < TOLERANCE).any(axis=2)  # of NaN, that is padding, it is false
                share = slice((3 + i) * fast.features, (4 + i) * fast.features)
                off[:, share] *= ~near
            worst = max(worst, float(np.nanmax(off)))
    return worst


@torch.inference_mode()
def _by_torch(model: Model, values: np.ndarray) -> dict[str | None, np.ndarray]:
    """What every pool gives, the encoder being asked once."""
    parameter = next(model.encoder.parameters())
    embedding = model.encoder(Series.of(torch.from_numpy(values).to(parameter.device, parameter.dtype)))
    held = levels.of(model.encoder) if "levels" in model.pools else None
    found = {pool: read(embedding, pool, held) for pool in (pools.STEPS, *model.pools)}
    return {pool: tensor.float().cpu().numpy() for pool, tensor in found.items()}


def _trials(model: Model, longest: int) -> list[np.ndarray]:
    """Scaled windows: the stored ones, and made ones whole, with holes, with steps and a channel missing, and of unequal length."""
    stored = model.inputs(model.scaler.transform(model.check))
    channels = stored.shape[1]
    rng = np.random.default_rng(0)
    found = [stored] if stored.shape[2] <= longest else []
    for length in sorted({1, 2, 3, longest // 3, longest // 2, longest - 1, longest} - {0, -1}):
        values = rng.standard_normal((4, channels, length)).astype(np.float32)
        holes = np.where(rng.random(values.shape) < 0.2, np.nan, values).astype(np.float32)
        holes[:, 0, 0] = 0.0  # something is observed
        gaps = values.copy()
        gaps[1, :, length // 2], gaps[2, channels - 1], gaps[3, 0, : length // 2] = np.nan, np.nan, np.nan
        ragged = values.copy()
        ragged[1, :, length // 2 + 1 :], ragged[2, :, : length // 2] = np.nan, np.nan
        ragged[3, :, : length // 3], ragged[3, :, length - length // 3 :] = np.nan, np.nan
        found += [values, *(x for x in (holes, gaps, ragged) if not np.isnan(x).all(axis=(1, 2)).any())]
    return found


def _ready(content: bytes) -> Runtime:
    made: Runtime = plugin("runtimes", "onnx")(content, torch.get_num_threads())
    return made


Part = tuple[np.ndarray, np.ndarray | None]
"""Scaled windows as the encoder sees them, and their labels where they have any."""


def _parts(model: Model, data: Any) -> tuple[Part, Part, bool]:
    """Training and validation part of the plan's data, and whether both are labelled."""
    if data is None and model.plan.data.name is None:
        raise InputError("expected the data to measure the export on, the plan names none: give data")
    panel, _ = source(model.plan.data if data is None else replace(model.plan.data, name=None), data)
    if not isinstance(panel, Panel):
        raise InputError("expected the data of one stream, got several: give data[stream]")
    cut = windowed(panel, model.plan.data)
    train, held = held_out(cut, model.plan.training.validation or SHARE, model.plan.seed)
    assert held is not None
    labelled = train.label is not None and held.label is not None and not model.plan.data.independent
    parts = [(model.inputs(model.scaler.transform(part.values)), part.label) for part in (train, held)]
    return parts[0], parts[1], labelled


def _gate(model: Model, fast: Runtime, train: Part, held: Part, labelled: bool) -> dict[str, Any]:
    """Neighbours and probe accuracy before and after; InputError where too much is lost."""

    def both(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        short = values[:, :, : fast.length]
        before = runtime.embedded(lambda _: model._by_torch, short, None, runtime.CHUNK)
        return before, runtime.embedded(lambda _: fast, short, None, runtime.CHUNK)

    (train_before, train_after), (before, after) = both(train[0]), both(held[0])
    most = min(NEIGHBOURS, len(train_before))
    kept = [nearest(query, reference, most)[1] for query, reference in ((before, train_before), (after, train_after))]
    agreement = float(np.mean([np.isin(a, b).mean() for a, b in zip(*kept, strict=True)]))
    gate: dict[str, Any] = {f"{most} nearest training windows kept": ["1.000", f"{agreement:.3f}"]}
    lost = 0.0
    if labelled:
        assert train[1] is not None and held[1] is not None
        probe = probe_named("linear")
        scores = [
            float((probe(a, train[1], b, seed=model.plan.seed) == held[1]).mean())
            for a, b in ((train_before, before), (train_after, after))
        ]
        lost = scores[0] - scores[1]
        gate["accuracy of a linear probe"] = [f"{score:.3f}" for score in scores]
    if agreement < AGREEMENT or lost > LOST:
        raise InputError(
            f"expected an export that keeps {AGREEMENT:.0%} of the nearest neighbours and loses at most {LOST:.0%} of probe accuracy, "
            f"this one keeps {agreement:.1%} and loses {lost:.1%}: export float32"
        )
    off = np.abs(after - before) / (1 + np.abs(before))
    return {"gate": gate, "windows": len(before), "difference": float(off.max())}
