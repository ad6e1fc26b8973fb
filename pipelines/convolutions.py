"""The convolution of the dilated encoder on the CPU beside torch's own: `bench.py` calls it, and prints and keeps the ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

import tsrep
from tsrep.encoders import dilated

BATCH = 8
LONGEST = (150, 600)
CROPS = 40


def convolution_costs(rounds: int, tell: Callable) -> None:
    """Forward and backward of `dilated` over crops of random length, as ts2vec draws them, and over as many of one length; each
    with the matrix product and with `conv1d`, in turn. The first round warms up and is not counted."""
    ours = dilated.convolve
    for longest in LONGEST:
        for kind in ("random", "one"):
            ratios, seconds = [], []
            for number in range(rounds + 1):
                # New lengths in every round, as in training: what was compiled for one is rarely met again.
                drawn = torch.randint(longest // 3, longest, (CROPS,), generator=torch.Generator().manual_seed(number))
                lengths = drawn.tolist() if kind == "random" else [longest] * CROPS
                taken = {}
                for convolve in (ours, plain):
                    dilated.convolve = convolve
                    try:
                        taken[convolve] = passes(lengths)
                    finally:
                        dilated.convolve = ours
                if number:
                    ratios.append(taken[ours] / taken[plain])
                    seconds.append(taken[ours])
            setting = f"{BATCH}x{longest}"
            what = f"matrix product / conv1d, crops of {kind} length"
            tell(what, setting, statistics.median(ratios), "ratio", statistics.median(seconds))


def passes(lengths: list[int]) -> float:
    torch.manual_seed(0)
    encoder: nn.Module = dilated.Dilated().build(1, max(lengths))
    begin = time.perf_counter()
    for length in lengths:
        encoder(tsrep.Series.of(torch.randn(BATCH, 1, length))).pooled.sum().backward()
    return time.perf_counter() - begin


def plain(
    x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int = 1, *, before: int = 0, after: int = 0
) -> Tensor:
    if before == after:
        return functional.conv1d(x, weight, bias, padding=before * dilation, dilation=dilation)
    return functional.conv1d(functional.pad(x, (before * dilation, after * dilation)), weight, bias, dilation=dilation)
