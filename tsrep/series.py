"""The layout law in one place: arrays are (batch, channel, time), and what was not observed is said, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any

import torch
from torch import Generator, Tensor, nn

STREAM = "series"
"""The name of the stream where a data set has only one."""


@dataclass(frozen=True)
class Series:
    """Windows of one stream.

    values:     (batch, channel, time) float. Holds no NaN: where nothing was observed it is zero.
    observed:   (batch, channel, time) bool. False where a value is missing, masked or padded.
    extent:     (batch, time) bool. The steps that belong to the series; padding lies outside and never changes a result.
                A masked or missing step inside the extent still has an embedding, made from its neighbours.
    row:        (batch,) int64. Where the series lives in the data set, the name that memories know it by.
    start:      (batch,) int64. Step of the window at which column 0 lies: zero, until a crop moves it, so that two crops of
                one window know which of their steps are the same moment.
    timestamps: (batch, time) float64 seconds, or None where the data has no clock.
    """

    values: Tensor
    observed: Tensor
    extent: Tensor
    row: Tensor
    start: Tensor
    timestamps: Tensor | None = None

    @staticmethod
    def of(values: Tensor, row: Tensor | None = None, timestamps: Tensor | None = None) -> Series:
        """Series from (batch, channel, time) values in which NaN means missing; the extent runs from the first to the
        last step at which any channel was observed."""
        if values.ndim != 3:
            raise ValueError(f"expected values of shape (batch, channel, time), got {tuple(values.shape)}")
        observed = ~torch.isnan(values)
        batch = values.shape[0]
        return Series(
            values=torch.where(observed, values, torch.zeros((), dtype=values.dtype)),
            observed=observed,
            extent=extent_of(observed.any(dim=1)),
            row=torch.arange(batch) if row is None else row,
            start=torch.zeros(batch, dtype=torch.int64),
            timestamps=timestamps,
        )

    def __len__(self) -> int:
        return self.values.shape[0]

    @property
    def channels(self) -> int:
        return self.values.shape[1]

    @property
    def length(self) -> int:
        return self.values.shape[2]

    @property
    def present(self) -> Tensor:
        """(batch,) bool: whether anything of the series was observed. A stream that was not recorded for a row is absent there: all
        zeros, nothing observed, its extent the whole window, so that every encoder takes it and every pairing leaves it out."""
        return self.observed.flatten(1).any(dim=1)

    def rows(self, index: Tensor | slice) -> Series:
        """The series at these positions of the batch."""
        return self._each(lambda t: t[index])

    def steps(self, begin: int, end: int) -> Series:
        """Columns begin to end (exclusive), the same for every series of the batch."""
        return replace(
            self,
            values=self.values[:, :, begin:end],
            observed=self.observed[:, :, begin:end],
            extent=self.extent[:, begin:end],
            start=self.start + begin,
            timestamps=None if self.timestamps is None else self.timestamps[:, begin:end],
        )

    def to(self, device: torch.device | str) -> Series:
        return self._each(lambda t: t.to(device, non_blocking=True))

    def cast(self, kind: torch.dtype) -> Series:
        """Values of this floating type."""
        return replace(self, values=self.values.to(kind))

    def cat(self, other: Series) -> Series:
        """Both batches, one after the other; they must have the same number of channels and steps."""
        both: dict[str, Any] = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        joined: dict[str, Any] = {
            k: None if a is None or b is None else torch.cat([a, b]) for k, (a, b) in both.items()
        }
        return replace(self, **joined)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Series:
        kept: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {name: None if t is None else change(t) for name, t in kept.items()}
        return replace(self, **changed)


Batch = Mapping[str, Series]
"""stream name -> series, for instance "wrist", "hip", "skeleton"."""

Views = Mapping[str, Series]
"""view name -> series: "left" and "right" of a single stream, "wrist" and "hip", "wrist/left" and "wrist/right"."""


def view_name(stream: str, view: str) -> str:
    """The name of one of several views of a stream: "wrist/left". A view that is the stream itself has the stream's name."""
    return f"{stream}/{view}"


def stream_of(view: str) -> str:
    """The stream that a view was made of, by the view's name."""
    return view.split("/", 1)[0]


def rows_of(batch: Batch) -> int:
    """How many rows a batch has: row i of every stream is the same moment of the same recording."""
    return len(next(iter(batch.values())))


def as_batch(data: Series | Batch) -> Batch:
    """A batch of one stream, of a series; a batch stays what it is. ValueError where its streams differ in their rows."""
    batch = {STREAM: data} if isinstance(data, Series) else data
    first = next(iter(batch.values()), None)
    if first is None or any(not torch.equal(first.row, other.row) for other in batch.values()):
        raise ValueError(
            f"expected the same rows of every stream, got {({name: len(s) for name, s in batch.items()}) or 'no stream'}"
        )
    return batch


def side_by_side(batch: Batch) -> Series:
    """All streams of a batch as one series, (batch, all channels, time of the longest): what a miner is shown to measure distances by.
    A row has the whole window as its extent."""
    if len(batch) == 1:
        return next(iter(batch.values()))
    first, longest = next(iter(batch.values())), max(s.length for s in batch.values())

    def wide(name: str) -> Tensor:
        parts: list[Tensor] = [getattr(s, name) for s in batch.values()]
        return torch.cat([nn.functional.pad(part, (0, longest - part.shape[2])) for part in parts], dim=1)

    extent = torch.ones(len(first), longest, dtype=torch.bool, device=first.values.device)
    return Series(wide("values"), wide("observed"), extent, first.row, torch.zeros_like(first.start))


View = Callable[[Batch, Generator], Views]
"""Makes the views of a batch. Everything random is drawn from the generator that is passed."""


@dataclass(frozen=True)
class Embedding:
    """What an encoder makes of a series.

    steps:  (batch, feature, time); zero outside the extent.
    pooled: (batch, feature)
    series: the view it was made of, for its rows, extent and start.
    """

    steps: Tensor
    pooled: Tensor
    series: Series


def part_of(module: nn.Module, stream: str) -> nn.Module:
    """What a stream goes through: the module, or the stream's own part of one that holds a part for each (`encoders.streams.Each`)."""
    own: Callable[[str], nn.Module] | None = getattr(module, "of", None)
    return module if own is None else own(stream)


def embed(views: Views, encoder: nn.Module, head: nn.Module | None = None) -> dict[str, Embedding]:
    """Views -> embeddings, each by the part of encoder and head that its stream has.

    Views of one shape that go through the same parts go through them together, unless a gradient is wanted of one alone.
    """
    together: dict[tuple[object, ...], list[str]] = {}
    for name, view in views.items():
        parts = [None if m is None else part_of(m, stream_of(name)) for m in (encoder, head)]
        key = (*map(id, parts), view.length, view.channels, view.values.requires_grad)
        together.setdefault(key, []).append(name)
    made: dict[str, Embedding] = {}
    for names in together.values():
        joined = reduce(Series.cat, (views[name] for name in names))
        embedding: Embedding = part_of(encoder, stream_of(names[0]))(joined)
        steps, pooled = embedding.steps, embedding.pooled
        if head is not None:
            pooled = part_of(head, stream_of(names[0]))(pooled)
        if len(names) == 1:
            made[names[0]] = Embedding(steps, pooled, joined)
            continue
        sizes = [len(views[name]) for name in names]
        for name, s, p in zip(names, steps.split(sizes), pooled.split(sizes), strict=True):
            made[name] = Embedding(s, p, views[name])
    return {name: made[name] for name in views}


def full(values: Tensor) -> Tensor:
    """At least float32: sums of squares and of exponentials do not survive half precision."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def extent_of(seen: Tensor) -> Tensor:
    """(batch, time) bool -> (batch, time) bool: everything from the first to the last True of each row."""
    if bool(seen.all()):
        return seen
    after = seen.cummax(dim=1).values
    before = seen.flip(1).cummax(dim=1).values.flip(1)
    return after & before


def max_pool(steps: Tensor, extent: Tensor) -> Tensor:
    """Maximum over the steps inside the extent: (batch, feature, time), (batch, time) -> (batch, feature)."""
    return steps.masked_fill(~extent[:, None], float("-inf")).amax(dim=2)


def mean_pool(steps: Tensor, extent: Tensor) -> Tensor:
    """Mean over the steps inside the extent: (batch, feature, time), (batch, time) -> (batch, feature)."""
    inside = extent[:, None].to(steps.dtype)
    return (steps * inside).sum(dim=2) / inside.sum(dim=2)


def last_pool(steps: Tensor, extent: Tensor) -> Tensor:
    """The last step inside the extent: (batch, feature, time), (batch, time) -> (batch, feature)."""
    last = extent.shape[1] - 1 - extent.flip(1).to(torch.uint8).argmax(dim=1)
    return steps.gather(2, last[:, None, None].expand(-1, steps.shape[1], 1)).squeeze(2)


POOLS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"max": max_pool, "mean": mean_pool, "last": last_pool}
