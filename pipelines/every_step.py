"""Embeddings at every step of a long series: `bench.py` calls it, and prints and keeps the ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import tsrep


def every_step_costs(rounds: int, tell: Callable) -> None:
    """Causal embeddings at every step of a long series: the window that ends there, for each step, beside one pass over all.

    Only every 16th window is embedded, and its time counted 16 times.
    """
    values, every = hours()[None], 16
    plan, _ = tsrep.make_plan({"method": "ts2vec", "encoder": {"name": "causal", "depth": 5}})
    channels = tuple(map(str, range(values.shape[1])))
    encoder = tsrep.build(plan, tsrep.DataShape(2, channels, values.shape[2])).encoder
    steps = np.arange(0, values.shape[2], every)
    ratios, seconds = [], []
    for round_ in range(rounds + 1):
        begin = time.perf_counter()
        windows = tsrep.sliding(encoder, values, encoder.receptive_field, read="last", steps=steps)
        sliding = every * (time.perf_counter() - begin)
        begin = time.perf_counter()
        whole = tsrep.one_pass(encoder, values)
        one_pass = time.perf_counter() - begin
        assert np.allclose(windows, whole[:, :, steps], atol=1e-5)
        if round_:
            ratios.append(sliding / one_pass)
            seconds.append(one_pass)
    shape = f"{values.shape[1]}x{values.shape[2]}"
    tell("sliding / one pass (at least 50)", shape, statistics.median(ratios), "ratio", statistics.median(seconds))


def hours() -> np.ndarray:
    """(7, 14400) float32: the parts of ETTh1 one after another, scaled; noise of this shape where the set is not at hand."""
    try:
        data = tsrep.load_dataset("ETTh1")
    except tsrep.InputError:
        return np.random.default_rng(0).standard_normal((7, 14400)).astype(np.float32)
    values = np.concatenate([part.values[0] for part in (data.train, data.validation, data.test)], axis=1)
    train = data.train.values[0]
    return ((values - train.mean(1, keepdims=True)) / train.std(1, keepdims=True)).astype(np.float32)
