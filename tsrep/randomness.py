"""Randomness is an argument: every draw follows from (seed, purpose, where in training), so nothing random is ever saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Generator

WEIGHTS, ORDER, VIEWS, DROPOUT, VALIDATION, LEARNED, MINING, PAIRING = range(8)
"""What a draw is for: two purposes never share a stream of numbers."""


def number(seed: int, *where: int) -> int:
    """A seed that depends on all of its arguments."""
    return int(np.random.SeedSequence([seed, *where]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator(seed: int, *where: int) -> Generator:
    return Generator().manual_seed(number(seed, *where))


@contextmanager
def seeded(seed: int, *where: int) -> Iterator[None]:
    """Seed torch's global generator for a block and put it back afterwards: dropout and weight initialisation of modules,
    other people's included, take no generator."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []):
        torch.manual_seed(number(seed, *where))
        yield
