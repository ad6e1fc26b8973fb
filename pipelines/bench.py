"""Where the time of a training step goes, as ratios from one run on one machine. `make bench` prints them.

    python pipelines/bench.py [mining ...] [--rounds 5] [--out pipelines/results/speed.csv]

Every ratio has its reference measured in the same run, the two in turn, the median over rounds quoted. Parts that are named replace
their own rows of the file and leave all others.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import memory
import numpy as np
import pandas as pd
import torch

import tsrep

SHAPES = ((16, 128), (8, 600))
CHANNELS = 9


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all of them by default")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed.csv")
    options.add_argument("--memory-of", choices=("fused", "plain"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.memory_of:
        print(json.dumps(peak(chosen.memory_of)))
        return
    unknown = sorted(set(chosen.parts) - set(PARTS))
    if unknown:
        options.error(f"expected parts of {', '.join(PARTS)}, got {', '.join(unknown)}")
    rows: list[dict[str, object]] = []

    def tell(what: str, setting: str, value: float, unit: str, seconds: float = float("nan")) -> None:
        print(f"{what:<58} {setting:>8} {value:10.3f} {unit}", flush=True)
        rows.append({"method": what, "setting": setting, "metric": unit, "value": value, "seconds": seconds})

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    for name in chosen.parts or PARTS:
        PARTS[name](chosen.rounds, tell)
    frame = tsrep.tidy(rows, dataset="made", encoder="dilated", seed=0, commit=tsrep.commit())
    if chosen.parts and chosen.out.is_file():
        frame = replaced(pd.read_csv(chosen.out, keep_default_na=False, dtype=str), frame)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(chosen.out, index=False)
    print(f"\n{chosen.out}")


def replaced(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The rows of before without those that were measured again, then these."""
    key = ["method", "setting", "metric"]
    again = set(now[key].astype(str).itertuples(index=False, name=None))
    kept = [row not in again for row in before[key].astype(str).itertuples(index=False, name=None)]
    return pd.concat([before[kept], now.astype(object)], ignore_index=True)


class Recorder:
    """A view that remembers what it made, so that encoder and loss can be timed on the very same views."""

    def __init__(self, view: Callable) -> None:
        self.view, self.made = view, []

    def __call__(self, batch: object, generator: torch.Generator) -> object:
        self.made.append(self.view(batch, generator))
        return self.made[-1]


class Clock(tsrep.Observer):
    """Seconds of each step, and of the calls in it that are the encoder's and the loss's: forward, loss, backward."""

    def __init__(self, method: tsrep.Method) -> None:
        self.steps: list[float] = []
        self.learning: list[float] = []
        self.now = 0.0
        method.embed, method.loss = self._timed(method.embed), self._timed(method.loss)
        torch.Tensor.backward, self.before = self._timed(torch.Tensor.backward), torch.Tensor.backward

    def _timed(self, call: Callable) -> Callable:
        def timed(*args: object, **kwargs: object) -> object:
            begin = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.now += time.perf_counter() - begin

        return timed

    def start(self, length: int, done: int) -> None:
        self.last = time.perf_counter()

    def step(self, step: int, values: object) -> None:
        self.steps.append(time.perf_counter() - self.last)
        self.learning.append(self.now)
        self.now, self.last = 0.0, time.perf_counter()

    def stop(self) -> None:
        torch.Tensor.backward = self.before


def steps_costs(rounds: int, tell: Callable) -> None:
    for batch, length in SHAPES:
        step_costs(batch, length, rounds, tell)


def step_costs(batch: int, length: int, rounds: int, tell: Callable) -> None:
    """A step of the loop; what in it is neither encoder nor loss; and the two on its views, forward and backward."""
    panel = tsrep.as_panel(np.random.default_rng(0).standard_normal((4 * batch, CHANNELS, length)).astype(np.float32))
    rows = []
    for round_ in range(rounds):
        training = {"steps": 6, "batch_size": batch, "log_every": 1000}
        plan, _ = tsrep.make_plan({"method": "ts2vec", "training": training, "seed": round_})
        prepared = tsrep.prepare(panel, plan)
        method = tsrep.build(plan, prepared.shape)
        method.view = Recorder(method.view)
        clock = Clock(method)
        tsrep.train(method, prepared.train, plan.training, seed=round_, observers=(clock,))
        encoder = loss = 0.0
        for views in method.view.made[1:]:  # the first step warms up
            begin = time.perf_counter()
            made = method.embed(views)
            torch.autograd.backward([e.steps for e in made.values()], [torch.ones_like(e.steps) for e in made.values()])
            encoder += time.perf_counter() - begin
            kept = {
                name: tsrep.Embedding(e.steps.detach().requires_grad_(), e.pooled.detach(), e.series)
                for name, e in made.items()
            }
            begin = time.perf_counter()
            value, _, _ = method.loss(method.phases[0], views, kept, tsrep.World().gather(batch))
            value.backward()
            loss += time.perf_counter() - begin
        count = len(clock.steps) - 1
        whole, rest = sum(clock.steps[1:]), sum(clock.steps[1:]) - sum(clock.learning[1:])
        rows.append((whole / count, encoder / count, loss / encoder, rest / encoder))
    whole, encoder, loss_ratio, rest_ratio = (statistics.median(column) for column in zip(*rows, strict=True))
    shape = f"{batch}x{length}"
    tell("step of ts2vec", shape, 1e3 * whole, "ms", whole)
    tell("encoder, forward and backward", shape, 1e3 * encoder, "ms", encoder)
    tell("loss / encoder", shape, loss_ratio, "ratio")
    tell("all the rest of the step / encoder (at most .1)", shape, rest_ratio, "ratio")


class Steps(tsrep.Observer):
    """Seconds of each step, the work at the end of an epoch included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def start(self, length: int, done: int) -> None:
        self.last = time.perf_counter()

    def step(self, step: int, values: object) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def mining_costs(rounds: int, tell: Callable) -> None:
    """A step with bad-pair mining at work over the same step without, short runs of each in turn."""
    batch, length = SHAPES[0]
    panel = tsrep.as_panel(np.random.default_rng(0).standard_normal((4 * batch, CHANNELS, length)).astype(np.float32))
    kinds = {"without": {}, "with": {"bad_pairs": {"warmup": 0}}}
    for host in ("simclr", "ts2vec", "autotcl"):
        ratios: list[float] = []
        for round_ in range(2 * rounds):
            took: dict[str, list[float]] = {}
            # The first run of a round, thrown away, pays for memory that the others find; who comes next changes.
            order = ("without", "with") if round_ % 2 else ("with", "without")
            for kind in ("without", *order):
                training = {"steps": 9, "batch_size": batch, "log_every": 1000}
                content = {"method": host, "mining": kinds[kind], "training": training, "seed": round_}
                plan, _ = tsrep.make_plan(content)
                prepared = tsrep.prepare(panel, plan)
                steps = Steps()
                method = tsrep.mined(plan, prepared)
                tsrep.train(method, prepared.train, plan.training, seed=round_, observers=(steps,))
                took[kind] = steps.seconds[1:]  # the first step warms up
            ratios += [a / b for a, b in zip(took["with"], took["without"], strict=True)]  # of the same views
        ratio = statistics.median(ratios)
        tell(f"step of {host} with bad-pair mining / without (at most 1.05)", f"{batch}x{length}", ratio, "ratio")


def hierarchical(kind: str, left: torch.Tensor, right: torch.Tensor) -> Callable[[], torch.Tensor]:
    """The hierarchical loss of two views, ready to be computed: on the fused path, or on the plain one that a mining step takes
    (here one that changes nothing)."""
    plan, _ = tsrep.make_plan({"method": "ts2vec", "encoder": {"name": "dilated", "depth": 1, "hidden": 4}})
    term = tsrep.build(plan, tsrep.DataShape(left.shape[0], ("x",), left.shape[2])).phases[0].terms["hierarchical"]
    if kind == "plain":
        term = tsrep.Term(term.pairing, term.loss, mining=(lambda pairs: pairs,))
    series = tsrep.Series.of(torch.zeros(left.shape[0], 1, left.shape[2]))
    made = {name: tsrep.Embedding(steps, steps[:, :, 0], series) for name, steps in (("left", left), ("right", right))}
    gather = tsrep.World().gather(left.shape[0])
    return lambda: term(made, gather)[0]


def loss_costs(rounds: int, tell: Callable) -> None:
    for batch, length in SHAPES:
        times: dict[str, list[float]] = {"fused": [], "plain": []}
        grads = {}
        for round_ in range(rounds + 1):
            for kind, taken in times.items():
                left, right = (
                    torch.randn(batch, 320, length, generator=torch.Generator().manual_seed(i)) * 0.3 for i in (0, 1)
                )
                left.requires_grad_(), right.requires_grad_()
                loss = hierarchical(kind, left, right)
                begin = time.perf_counter()
                loss().backward()
                if round_:
                    taken.append(time.perf_counter() - begin)
                grads[kind] = left.grad
        shape = f"{batch}x{length}"
        for kind, taken in times.items():
            tell(f"hierarchical loss, {kind}", shape, 1e3 * statistics.median(taken), "ms", statistics.median(taken))
        ratio = statistics.median(f / p for f, p in zip(times["fused"], times["plain"], strict=True))
        tell("time, fused / plain (at most .5 at 8x600)", shape, ratio, "ratio")
        tell(
            "largest difference of gradients", shape, 1e6 * float((grads["fused"] - grads["plain"]).abs().max()), "1e-6"
        )
    fused, plain = (_memory(kind) for kind in ("fused", "plain"))
    tell("hierarchical loss, fused: memory", "8x600", fused, "MiB")
    tell("hierarchical loss, plain: memory", "8x600", plain, "MiB")
    tell("memory, fused / plain (at most .5)", "8x600", fused / plain, "ratio")


def _memory(kind: str) -> float:
    told = subprocess.run([sys.executable, __file__, "--memory-of", kind], capture_output=True, text=True, check=True)
    return float(json.loads(told.stdout))


def peak(kind: str) -> float:
    """MiB by which one loss with its gradient at 8×600 raises the resident memory of a process at its highest."""
    left, right = (torch.randn(8, 320, 600) * 0.3 for _ in range(2))
    left.requires_grad_(), right.requires_grad_()
    small = [t[:, :, :8].detach().clone().requires_grad_() for t in (left, right)]
    hierarchical(kind, *small)().backward()  # load what is loaded on first use
    before = memory.rewind()
    hierarchical(kind, left, right)().backward()
    return memory.peak() - before


def embed_costs(rounds: int, tell: Callable) -> None:
    """`model.embed` of an array of windows beside the bare encoder on ready-made tensors, in chunks of the same size."""
    values = np.random.default_rng(0).standard_normal((512, CHANNELS, 128)).astype(np.float32)
    model = tsrep.fit(values[:32], training={"steps": 1, "batch_size": 8})
    chunks = [tsrep.Series.of(part) for part in torch.from_numpy(model.scaler.transform(values)).split(32)]
    ratios, seconds = [], []
    for round_ in range(rounds + 1):
        begin = time.perf_counter()
        model.embed(values)
        whole = time.perf_counter() - begin
        begin = time.perf_counter()
        with torch.inference_mode():
            for chunk in chunks:
                model.encoder(chunk)
        bare = time.perf_counter() - begin
        if round_:
            ratios.append(whole / bare)
            seconds.append(whole)
    tell(
        "embed / encoder forward (at most 1.1)",
        "512x128",
        statistics.median(ratios),
        "ratio",
        statistics.median(seconds),
    )


def import_costs(rounds: int, tell: Callable) -> None:
    """A fresh interpreter each time: `import tsrep` and the names a session begins with, beside torch and pandas."""

    def taken(statement: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return time.perf_counter() - begin

    pairs = []
    for round_ in range(rounds + 1):
        pair = taken("import tsrep; tsrep.fit, tsrep.load"), taken("import torch, pandas")
        if round_:
            pairs.append(pair)
    tell("import tsrep / import torch, pandas (at most 1.3)", "", statistics.median(a / b for a, b in pairs), "ratio")


def beside(module: str, costs: str) -> Callable:
    """A part of a file beside this one, which is loaded when it is run."""

    def part(rounds: int, tell: Callable) -> None:
        getattr(importlib.import_module(module), costs)(rounds, tell)

    return part


PARTS = {
    "step": steps_costs,
    "loss": loss_costs,
    "embed": embed_costs,
    "every_step": beside("every_step", "every_step_costs"),
    "mining": mining_costs,
    "import": import_costs,
    "runtime": beside("runtimes", "runtime_costs"),
    "convolution": beside("convolutions", "convolution_costs"),
}


if __name__ == "__main__":
    main()
