"""What an augmentation is, and the few things that all of them do the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Protocol

import torch
from torch import Generator, Tensor

from tsrep.errors import InputError, nearest
from tsrep.series import Batch, Series


class Augmentation(Protocol):
    """A random change of a batch of series: a frozen dataclass of plain numbers that can be called.

    Its first field is its strength: at 0 it gives back the same values. Every series of the batch gets parameters of its
    own, drawn from the generator. Shape, dtype and device stay, extent, row, start and timestamps are carried over, the
    input is not changed, and what was not observed stays zero and unobserved (where it was moved, at its new place).
    """

    def __call__(self, series: Series, generator: Generator) -> Series: ...


def apply(augment: Sequence[Augmentation], series: Series, generator: Generator) -> Series:
    """One augmentation after the other."""
    for change in augment:
        series = change(series, generator)
    return series


def series_of(batch: Batch, stream: str) -> Series:
    """The series of this stream; InputError where the batch has none."""
    if stream not in batch:
        raise InputError(f"expected a batch with the stream '{stream}'; {nearest(stream, batch)}")
    return batch[stream]


def put(series: Series, values: Tensor, observed: Tensor) -> Series:
    """The series with these values where they are observed and zero elsewhere."""
    return replace(series, values=values.masked_fill(~observed, 0.0), observed=observed)


def uniform(shape: tuple[int, ...], series: Series, generator: Generator) -> Tensor:
    """float32 in [0, 1) on the device of the series, whatever the device of the generator."""
    return torch.rand(shape, generator=generator, device=generator.device).to(series.values.device)


def normal(shape: tuple[int, ...], series: Series, generator: Generator) -> Tensor:
    """Standard normal float32 on the device of the series, whatever the device of the generator."""
    return torch.randn(shape, generator=generator, device=generator.device).to(series.values.device)


def check(name: str, value: float, least: float, most: float = float("inf"), whole: bool = False) -> None:
    """InputError unless value is a finite number with least <= value <= most (and a whole one where asked)."""
    number = isinstance(value, int if whole else Real) and not isinstance(value, bool)
    if not number or not least <= value <= most or value == float("inf"):
        limit = f"of at least {least:g}" if most == float("inf") else f"between {least:g} and {most:g}"
        raise InputError(f"expected {name} to be a {'whole ' if whole else ''}number {limit}, got {value!r}")
