"""The dilated encoder's convolution on the CPU beside torch's own: `bench.py` calls it, and prints and keeps the ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

import tsrep

SERIES = 48
LENGTHS = (150, 600)
STEPS = 30


def convolution_costs(rounds: int, tell: Callable) -> None:
    """Training by ts2vec, whose crops have another length at every step, with the encoder's matrix products and with `conv1d`, in
    turn. Each round has a seed and so lengths of its own; the first warms up and is not counted."""
    for length in LENGTHS:
        panel = tsrep.as_panel(np.random.default_rng(0).standard_normal((SERIES, 1, length)).astype(np.float32))
        pairs = [(trained(panel, seed), trained(panel, seed, plain=True)) for seed in range(rounds + 1)][1:]
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        step = statistics.median(ours for ours, _ in pairs) / STEPS
        tell("step of ts2vec by matrix products / by conv1d", f"8x{length}", ratio, "ratio", step)


def trained(panel: tsrep.Panel, seed: int, *, plain: bool = False) -> float:
    plan, _ = tsrep.make_plan({"method": "ts2vec", "seed": seed, "training": {"steps": STEPS}})
    ready = tsrep.prepare(panel, plan)
    method = tsrep.build(plan, ready.shape)
    for layer in method.encoder.modules() if plain else ():
        if hasattr(layer, "dilation") and not isinstance(layer, nn.Conv1d):
            layer.forward = partial(convolved, layer)
    begin = time.perf_counter()
    tsrep.train(method, ready.train, plan.training, seed=seed)
    return time.perf_counter() - begin


def convolved(layer: nn.Module, x: Tensor) -> Tensor:
    """torch's convolution with the taps that meet something, as the encoder's own leaves out the others."""
    if x.shape[-1] <= layer.dilation:
        return functional.conv1d(x, layer.weight[:, :, 1:2], layer.bias)
    return functional.conv1d(x, layer.weight, layer.bias, padding=layer.dilation, dilation=layer.dilation)
