"""Embedding by every runtime side by side: windows of 9×128 through the default encoder, one at a time and 64. Part of `make bench`.

    python pipelines/runtimes.py [--rounds 5]

Each runtime has a process of its own, for their threads get in each other's way; they are asked in turn, the others sleep. Of a round
the fastest of several calls counts, and a ratio is of two from the same round. The reference is the encoder as published, every tap
computed, in torch's inference mode on ready-made tensors; the rows that say embed are whole calls of `model.embed`, checks and
scaling included.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tsrep

CHANNELS, LENGTH = 9, 128
CALLS = {1: 30, 64: 3}
"""windows in a call -> calls in a round."""
REFERENCE = "torch, every tap"
EXPORTS = {"embed, torch bf16": "bf16", "embed, onnxruntime": "float32", "embed, onnxruntime int8": "int8"}
"""kind -> the precision of its export."""
KINDS = (REFERENCE, "torch", "embed, torch", *EXPORTS)
TARGETS = {1: 4.0, 64: 1.8}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.kind:
        answer(chosen.kind, chosen.folder)
    else:
        runtime_costs(chosen.rounds, lambda *told: print(*told, sep="  ", flush=True))


def runtime_costs(rounds: int, tell: Callable) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asked = {kind: _process(kind, Path(folder)) for kind in saved(Path(folder))}
        try:
            for batch in CALLS:
                found = _rounds(asked, batch, rounds)
                for kind, (seconds, ratio, difference) in found.items():
                    where = f"{batch}x9x128"
                    tell(kind, where, 1e3 * seconds, "ms", seconds)
                    if kind != REFERENCE:
                        least = f" (at least {TARGETS[batch]:g})" if kind == "embed, onnxruntime" else ""
                        tell(f"{REFERENCE} / {kind}{least}", where, ratio, "ratio")
                        tell(f"largest difference of {kind}", where, 1e6 * difference, "1e-6")
        finally:
            for process in asked.values():
                process.stdin.close()
                process.wait()


def saved(folder: Path) -> list[str]:
    """The model in its forms, and the kinds that can be made of it."""
    values, label = waves(256)
    panel = tsrep.as_panel(values, label=label)
    model = tsrep.fit(panel, training={"steps": 20, "batch_size": 8})
    model.save(folder / "torch")
    kinds = [kind for kind in KINDS if kind not in EXPORTS]
    for kind, precision in EXPORTS.items():
        try:
            tsrep.export(model, precision=precision, data=panel).save(folder / kind)
            kinds.append(kind)
        except tsrep.InputError as error:
            print(f"{kind}: {error}", flush=True)
    np.save(folder / "expected.npy", model.embed(values[:64]))
    return kinds


def waves(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Waves of four paces with noise: (n, 9, 128) float32 and their class."""
    rng = np.random.default_rng(0)
    label = np.arange(n) % 4
    pace = 0.05 * 2.0 ** label[:, None, None] * rng.uniform(0.9, 1.1, (n, CHANNELS, 1))
    values = np.sin(pace * np.arange(LENGTH) + rng.uniform(0, 2 * np.pi, (n, CHANNELS, 1)))
    return (values + 0.3 * rng.standard_normal(values.shape)).astype(np.float32), label


def _rounds(asked: dict[str, subprocess.Popen], batch: int, rounds: int) -> dict[str, tuple[float, float, float]]:
    took: dict[str, list[float]] = {kind: [] for kind in asked}
    off: dict[str, float] = {}
    for round_ in range(rounds + 1):
        for kind, process in asked.items():
            process.stdin.write(f"{batch}\n")
            process.stdin.flush()
            seconds, off[kind] = json.loads(process.stdout.readline())
            if round_:  # the first warms up
                took[kind].append(seconds)
    ratios = {
        kind: statistics.median(a / b for a, b in zip(took[REFERENCE], taken, strict=True))
        for kind, taken in took.items()
    }
    return {kind: (statistics.median(taken), ratios[kind], off[kind]) for kind, taken in took.items()}


def _process(kind: str, folder: Path) -> subprocess.Popen:
    command = [sys.executable, __file__, "--kind", kind, "--folder", str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(kind: str, folder: Path) -> None:
    """For each number of windows on standard input: seconds of the fastest call, and the largest difference from the reference."""
    values, expected = waves(256)[0][:64], np.load(folder / "expected.npy", allow_pickle=False)
    run = embedding(kind, folder)
    for line in sys.stdin:
        batch = int(line)
        taken = []
        for _ in range(CALLS[batch]):
            given = values[:batch]
            work = run(given)
            begin = time.perf_counter()
            made = work()
            taken.append(time.perf_counter() - begin)
        off = np.abs(np.asarray(made, np.float32) - expected[:batch]) / (1 + np.abs(expected[:batch]))
        print(json.dumps([min(taken), float(off.max())]), flush=True)


def embedding(kind: str, folder: Path) -> Callable[[np.ndarray], Callable[[], object]]:
    """windows -> what is timed."""
    if kind.startswith("embed, onnxruntime"):
        light = tsrep.load_light(folder / kind)
        assert light.runtime.startswith("onnxruntime"), light.runtime
        return lambda values: lambda: light.embed(values, batch_size=64)
    if kind in EXPORTS:
        half = tsrep.load(folder / kind)
        return lambda values: lambda: half.embed(values, batch_size=64)
    model = tsrep.load(folder / "torch", runtime="torch")
    if kind.startswith("embed"):
        return lambda values: lambda: model.embed(values)
    import torch

    encoder = every_tap(model.encoder) if kind == REFERENCE else model.encoder

    def prepared(values: np.ndarray) -> Callable[[], object]:
        series = tsrep.Series.of(torch.from_numpy(model.scaler.transform(values)))

        def work() -> object:
            with torch.inference_mode():
                return torch.cat([encoder(series.rows(part)).pooled for part in parts]).float()

        parts = [slice(begin, begin + 32) for begin in range(0, len(values), 32)]
        return work

    return prepared


def every_tap(encoder: object) -> object:
    """The encoder with plain convolutions of three taps, as its authors compute it."""
    from torch import nn

    made = copy.deepcopy(encoder)
    for block in made.blocks:
        for name in ("first", "second"):
            layer = getattr(block, name)
            wide, narrow, taps = layer.weight.shape
            full = nn.Conv1d(narrow, wide, taps, padding=layer.dilation, dilation=layer.dilation)
            full.weight, full.bias = layer.weight, layer.bias
            setattr(block, name, full)
    return made


if __name__ == "__main__":
    main()
