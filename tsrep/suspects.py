"""Suspects: the pairs that bad-pair mining found, and the views of the worst, kept beside the model to be looked at."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tsrep import checkpoint, randomness
from tsrep.errors import InputError
from tsrep.method import Method, Phase, Term
from tsrep.mining.bad_pairs import FAULTY, GOOD, NOISY, Found, Memory
from tsrep.origin import Origin
from tsrep.series import Batch, Series, as_batch, stream_of

if TYPE_CHECKING:
    import pandas as pd

NAME = "bad_pairs.safetensors"
WORST = 3
"""Pairs of each kind whose views are kept."""

KINDS = {GOOD: "good", NOISY: "noisy", FAULTY: "faulty"}


@dataclass(frozen=True)
class Suspects:
    """What bad-pair mining found in training.

    found: phase and term -> what its memory holds of the n training windows.
    rows:  (k,) of the windows with the least and then the greatest mean loss in the first term that weighs, flagged or not; none where
           nothing was mined yet, for which of them is the worst is luck then.
    views: of the first stream "series" and the names of its two views -> (k, channel, time) as the encoder is given them, NaN where
           nothing is observed.
    start: name -> (k,) step of the window at which the view begins.
    origin: where each of the n training windows comes from, or None where that is not known.
    """

    found: Mapping[str, Found]
    rows: np.ndarray
    views: Mapping[str, np.ndarray]
    start: Mapping[str, np.ndarray]
    origin: Origin | None = None

    @property
    def first(self) -> Found:
        """Of the first term that weighs, else of the first."""
        return next((found for found in self.found.values() if found.weighs), next(iter(self.found.values())))

    def table(self) -> pd.DataFrame:
        """term, row (of the training windows), where that comes from, mean loss, kind; the worst first, of each term."""
        import pandas as pd

        parts = []
        for term, found in self.found.items():
            frame = pd.DataFrame({"term": term, "row": np.arange(len(found.mean))})
            if self.origin is not None:
                frame = frame.join(self.origin.table())
            frame["loss"] = found.mean.numpy()
            frame["kind"] = [KINDS[int(kind)] if found.weighs else "not judged" for kind in found.kind]
            away = (frame["loss"] - (found.low + found.high) / 2).abs().to_numpy()
            # numpy puts unseen pairs (NaN) last; pandas' argsort depends on its version.
            parts.append(frame.iloc[np.argsort(-away, kind="stable")])
        return pd.concat(parts, ignore_index=True)

    def save(self, path: Path) -> None:
        tensors: dict[str, Tensor] = {"rows": torch.from_numpy(self.rows)}
        numbers: dict[str, Any] = {"terms": {}, "views": list(self.views)}
        for term, found in self.found.items():
            tensors |= {f"{term}.mean": found.mean, f"{term}.kind": found.kind}
            numbers["terms"][term] = {k: v for k, v in asdict(found).items() if k not in ("mean", "kind")}
        for name, values in self.views.items():
            tensors |= {f"view.{name}": torch.from_numpy(values), f"start.{name}": torch.from_numpy(self.start[name])}
        if self.origin is not None:
            more, numbers["origin"] = self.origin.stored()
            tensors |= {f"origin.{name}": tensor for name, tensor in more.items()}
        checkpoint.save(path, tensors, numbers)


def idle(found: Found) -> str | None:
    """Why nothing was mined, and what would let it begin; None where mining was at work."""
    if found.weighs:
        return None
    began = (
        f"after {found.epochs} epochs its reliability was {found.reliability:.2f}"
        if found.epochs
        else "the run ended before its first epoch was over"
    )
    return f"{began}; train for more epochs (training.epochs), or say when it begins (mining.bad_pairs.warmup)"


def load(path: Path) -> Suspects | None:
    """What was saved. None and a warning where it is damaged: it is there to be looked at, the model embeds without it."""
    try:
        return read(path)
    except InputError as error:
        warnings.warn(f"{error}; the model is whole and embeds without it", RuntimeWarning, stacklevel=2)
        return None


def read(path: Path) -> Suspects:
    """What was saved; InputError where it is damaged."""
    tensors, numbers = checkpoint.load(path)
    try:
        found = {
            term: Found(mean=tensors[f"{term}.mean"], kind=tensors[f"{term}.kind"], **more)
            for term, more in numbers["terms"].items()
        }
        views = {name: tensors[f"view.{name}"].numpy() for name in numbers["views"]}
        start = {name: tensors[f"start.{name}"].numpy() for name in numbers["views"]}
        own = {name.removeprefix("origin."): tensor for name, tensor in tensors.items() if name.startswith("origin.")}
        origin = Origin.restored(own, numbers["origin"]) if numbers.get("origin") else None
        rows = tensors["rows"].numpy()
        lengths = {len(part) for one in found.values() for part in (one.mean, one.kind)}
        lengths |= set() if origin is None else {len(origin)}
        if len(lengths) != 1 or not set(rows.tolist()) <= set(range(*lengths)):
            raise ValueError(f"losses, kinds and origins of {sorted(lengths)} windows")
        if not all({len(views[name]), len(start[name])} == {len(rows)} for name in views):
            raise ValueError(f"expected views of {len(rows)} windows")
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise InputError(f"expected what bad-pair mining found in {path}, it is damaged: {error}") from error
    return Suspects(found, rows, views, start, origin)


def bad_pairs(method: Method) -> dict[str, Found]:
    """Phase and term -> what its memory of pairs holds, of those terms that bad-pair mining watches."""
    return {f"{phase.name}/{name}": memory.found() for phase, name, memory in _memories(method)}


def suspects(method: Method, data: Series | Batch, seed: int, origin: Origin | None = None) -> Suspects | None:
    """What bad-pair mining found in training on data, with views drawn anew; None where no term was mined by it."""
    found = bad_pairs(method)
    if not found:
        return None
    working = {term: one for term, one in found.items() if one.weighs}
    if not working:
        return Suspects(found, np.zeros(0, np.int64), {}, {}, origin)
    mean = next(iter(working.values())).mean
    order = torch.where(mean.isnan(), mean.nanmedian(), mean).argsort()
    count = min(WORST, len(order) // 2)
    rows = torch.cat([order[:count], order[len(order) - count :].flip(0)])
    phase = next(phase for phase, name, _ in _memories(method) if f"{phase.name}/{name}" in working)
    method.eval()
    # Data lies on the processor in float32, the method where and how it was trained.
    weights = next(method.encoder.parameters())
    with torch.no_grad(), randomness.seeded(seed, randomness.LEARNED):
        batch = {
            name: series.rows(rows).to(weights.device).cast(weights.dtype) for name, series in as_batch(data).items()
        }
        drawn = method.view(batch, randomness.generator(seed, randomness.VIEWS))
    stream, series = next(iter(batch.items()))
    views = {name: v for name, v in phase.embedded(drawn).items() if len(batch) == 1 or stream_of(name) == stream}
    shown = {"series": series} | dict(list(views.items())[:2])
    return Suspects(
        found=found,
        rows=rows.numpy(),
        views={
            name: view.values.masked_fill(~view.observed, float("nan")).float().cpu().numpy()
            for name, view in shown.items()
        },
        start={name: view.start.cpu().numpy() for name, view in shown.items()},
        origin=origin,
    )


def _memories(method: Method) -> list[tuple[Phase, str, Memory]]:
    return [
        (phase, name, term.reweigh)
        for phase in method.phases
        for name, term in phase.terms.items()
        if isinstance(term, Term) and isinstance(term.reweigh, Memory)
    ]
