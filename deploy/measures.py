"""What load.py measures, each a ratio from one run: the service in its own processes, the client here, both sides in turn."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import tsrep

from . import damage, wire
from .fuzz import fuzz, worker_of
from .pressing import LOST, Answered, Line, closed, opened, request
from .running import running

CHANNELS, LENGTH, MANY = 9, 128, 64
LINES = 16
"""Connections of a client that presses as hard as it can."""

TIMEOUT = 5
"""Seconds until the service gives a request up, where it is overloaded."""

Tell = Callable[[str, str, float, str], None]
"""(what, setting, value, unit)"""


def windows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, CHANNELS, LENGTH)).astype(np.float32)


def models(folder: Path) -> None:
    """`default`: the default encoder. `trivial`: one that costs next to nothing, so that the service is what is measured.

    Both are exported; `torch` is `default` without the export.
    """
    x = windows(64)
    fitted = tsrep.fit(x, training={"steps": 1, "batch_size": 8})
    fitted.save(folder / "torch")
    tsrep.export(fitted).save(folder / "default")
    small = {"name": "dilated", "hidden": 4, "depth": 1, "features": 16}
    tsrep.export(tsrep.fit(x, encoder=small, training={"steps": 1, "batch_size": 8})).save(folder / "trivial")


def ask(form: str, x: np.ndarray, path: str = "/v1/embed") -> bytes:
    return request(path, damage.good(x)[form], [("Content-Type", form), ("Accept", form)])


def throughput(folder: Path, rounds: int, tell: Tell) -> None:
    """Windows a second through the service, by requests of 64, beside `model.embed` of the same batches in this process."""
    local, x, calls = tsrep.load_light(folder / "default", threads=1), windows(MANY), 25
    with running(folder / "default", threads=1) as address:
        sent = {form: ask(form, x) for form in (wire.NPY, wire.ARROW)}
        ratios: dict[str, list[float]] = {form: [] for form in sent}
        here = []
        for _ in range(rounds):
            begin = time.perf_counter()
            for _ in range(calls):
                local.embed(x)
            here.append(MANY * calls / (time.perf_counter() - begin))
            for form, one in sent.items():
                asyncio.run(closed(address, [one] * 4, 4))
                found, took = _pressed(address, one, calls, 4)
                _all_good(found)
                ratios[form].append(MANY * calls / took / here[-1])
    tell("model.embed in process", f"{MANY}x{CHANNELS}x{LENGTH}", statistics.median(here), "windows/s")
    for form, found_ratios in ratios.items():
        what = f"{_short(form)} /v1/embed / model.embed in process (at least .85)"
        tell(what, f"{MANY}x{CHANNELS}x{LENGTH}", statistics.median(found_ratios), "ratio")


def cost(folder: Path, rounds: int, tell: Tell) -> None:
    """Processor time of the service's process for a request of one window: ours by form, and that of plain.py."""
    x, each = windows(1), 1500
    with running(folder / "trivial", threads=1) as ours, _plain(folder / "trivial") as plain:
        asked = {_short(form): (ours, ask(form, x)) for form in wire.FORMS}
        asked["plain JSON"] = (plain, request("/embed", damage.as_json(x), [("Content-Type", wire.JSON)]))
        spent: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(rounds):
            for name, (address, one) in asked.items():
                worker = worker_of(address)
                asyncio.run(closed(address, [one] * 200, LINES))
                before = sum(worker.cpu_times()[:2])
                _all_good(asyncio.run(closed(address, [one] * each, LINES)))
                spent[name].append(1e3 * (sum(worker.cpu_times()[:2]) - before) / each)
    setting = f"1x{CHANNELS}x{LENGTH}"
    for name, found in spent.items():
        tell(f"processor time of a request, {name}", setting, statistics.median(found), "ms")
    for name, most in (("npy", " (at most .4)"), ("Arrow", " (at most .4)"), ("JSON", " (at most .8)")):
        ratio = statistics.median(a / b for a, b in zip(spent[name], spent["plain JSON"], strict=True))
        tell(f"processor time, {name} / plain JSON without batching{most}", setting, ratio, "ratio")


def latency(folder: Path, rounds: int, tell: Tell) -> None:
    """Single windows at half of the most that the service can bear."""
    one = ask(wire.NPY, windows(1))
    with running(folder / "default", threads=1) as address:
        most = _most(address, one)
        tell("single windows, most", f"1x{CHANNELS}x{LENGTH}", most, "requests/s")
        found = []
        for _ in range(rounds):
            answers = asyncio.run(opened(address, lambda _: one, most / 2, 15, 64))
            _all_good(answers)
            found.append(_quantiles(answers))
    for name, k in (("median", 0), ("p99", 1), ("longest", 2)):
        tell(
            f"single windows at half the load, {name}",
            f"1x{CHANNELS}x{LENGTH}",
            1e3 * statistics.median(f[k] for f in found),
            "ms",
        )
    ratio = statistics.median(f[1] / f[0] for f in found)
    tell("single windows at half the load, p99 / median (at most 4)", f"1x{CHANNELS}x{LENGTH}", ratio, "ratio")


def memory(folder: Path, rounds: int, tell: Tell) -> None:
    """Memory of the worker after a million windows beside that after ten thousand, every form among them."""
    x, all_of_it, first = windows(MANY), 1_000_000, 10_000
    forms = {form: ask(form, x) for form in wire.FORMS}
    some = [forms[wire.JSON]] + [forms[wire.ARROW]] * 9 + [forms[wire.NPY]] * 15
    with running(folder / "trivial", threads=1, log="none") as address:
        worker, sent = worker_of(address), 0
        held: dict[int, int] = {}
        while sent < all_of_it:
            _all_good(asyncio.run(closed(address, some * 7, 4)))
            sent += MANY * len(some) * 7
            if sent >= first and not held:
                held[first] = worker.memory_info().rss
        held[all_of_it] = worker.memory_info().rss
    for count, size in held.items():
        tell(f"memory of the worker after {count} windows", "", size / 2**20, "MiB")
    tell(f"memory after {all_of_it} windows / after {first} (at most 1.05)", "", held[all_of_it] / held[first], "ratio")


def overload(folder: Path, rounds: int, tell: Tell) -> None:
    """Three times the load that the service can bear: what becomes of the accepted, of the rest, and of those who come after."""
    one, seconds, after = ask(wire.NPY, windows(1)), 10.0, 5.0
    with running(folder / "default", threads=1, timeout=TIMEOUT, log="none") as address:
        most = _most(address, one)
        calm = statistics.median(a.seconds for a in asyncio.run(closed(address, [one] * 200, 1)))

        async def flood() -> tuple[list[Answered], list[Answered], float]:
            end = time.perf_counter() + 0.05 + seconds
            flooded = asyncio.ensure_future(opened(address, lambda _: one, 3 * most, seconds, 2000, 60))
            await asyncio.sleep(end - time.perf_counter())
            line, probes = Line(address), []
            while time.perf_counter() < end + after:
                begin = time.perf_counter()
                status, _ = await line.ask(one)
                probes.append(Answered(status, begin, time.perf_counter()))
                await asyncio.sleep(0.02)
            line.close()
            return await flooded, probes, end

        flooded, probes, end = asyncio.run(flood())
    good = [a for a in flooded if a.status == 200]
    late = [a.done for a in probes if a.status != 200 or a.seconds > 4 * calm]
    rest = [a for a in flooded if a.status not in (200, 429)]
    setting = f"1x{CHANNELS}x{LENGTH}"
    tell("three times the load: requests", setting, len(flooded), "count")
    tell("three times the load: accepted / most without it", setting, len(good) / seconds / most, "ratio")
    tell("three times the load: answered 429", setting, sum(a.status == 429 for a in flooded), "count")
    tell("three times the load: lost without an answer (0)", setting, sum(a.status == LOST for a in flooded), "count")
    tell("three times the load: another answer (0)", setting, len(rest) - sum(a.status == LOST for a in rest), "count")
    tell(
        f"three times the load: p99 of the accepted / time-out of {TIMEOUT} s (below 1)",
        setting,
        _quantiles(good)[1] / TIMEOUT,
        "ratio",
    )
    tell("three times the load: until it is calm again (at most 5)", setting, max(late, default=end) - end, "s")


def start(folder: Path, rounds: int, tell: Tell) -> None:
    """From `tsrep serve` to ready, beside `import torch` in a fresh process."""
    torch, ready = [], {"default": [], "torch": []}  # type: tuple[list[float], dict[str, list[float]]]
    for _ in range(rounds):
        torch.append(_timed(lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True)))
        for name, found in ready.items():
            begin = time.perf_counter()
            with running(folder / name, by=("-m", "tsrep", "serve")):
                found.append(time.perf_counter() - begin)
    tell("import torch", "", statistics.median(torch), "s")
    for name, what in (("default", "an exported model"), ("torch", "a model that needs torch")):
        tell(f"tsrep serve to ready, {what}", "", statistics.median(ready[name]), "s")
        ratio = statistics.median(a / b for a, b in zip(ready[name], torch, strict=True))
        tell(f"tsrep serve to ready / import torch, {what} (at most 5)", "", ratio, "ratio")


def damaged(folder: Path, rounds: int, tell: Tell) -> None:
    """More than ten thousand damaged bodies."""
    x = windows(3)[:, :, :20]
    with running(folder / "trivial", threads=1, log="none", collections=folder / "kept") as address:
        found = fuzz(address, x, tsrep.load_light(folder / "trivial").embed(x), rounds=4000)
    tell("damaged bodies", "", sum(found.statuses.values()) + found.lost, "count")
    tell("damaged bodies: answered 5xx (0)", "", found.failed, "count")
    tell("damaged bodies: without an answer (0)", "", found.lost, "count")
    tell("damaged bodies: good requests in between that were not right (0)", "", found.wrong, "count")
    tell(
        "damaged bodies: workers that ended, pickles that were read (0)", "", found.restarted + found.unpickled, "count"
    )
    tell("damaged bodies: slowest answer", "", found.slowest, "s")
    tell("damaged bodies: memory at the end / after the first fifth", "", found.grown, "ratio")


PARTS: dict[str, Callable[[Path, int, Tell], None]] = {
    "throughput": throughput, "cost": cost, "latency": latency, "memory": memory,
    "overload": overload, "start": start, "fuzz": damaged,
}  # fmt: skip


@contextmanager
def _plain(folder: Path) -> Iterator[str]:
    """The service of plain.py."""
    with running(folder, by=("-m", "tsrep_deploy.plain")) as address:
        yield address


def _most(address: str, one: bytes) -> float:
    """Requests a second that are answered where every connection asks again at once: the median of three presses."""
    asyncio.run(closed(address, [one] * 300, LINES))
    return statistics.median(1000 / _pressed(address, one, 1000, LINES)[1] for _ in range(3))


def _pressed(address: str, one: bytes, calls: int, lines: int) -> tuple[list[Answered], float]:
    begin = time.perf_counter()
    found = asyncio.run(closed(address, [one] * calls, lines))
    return found, time.perf_counter() - begin


def _quantiles(answers: list[Answered]) -> tuple[float, float, float]:
    """Median, p99 and longest, seconds."""
    seconds = np.array([a.seconds for a in answers])
    return float(np.median(seconds)), float(np.quantile(seconds, 0.99)), float(seconds.max())


def _all_good(found: list[Answered]) -> None:
    bad = [one for one in found if one.status != 200]
    if bad:
        raise RuntimeError(f"expected every request to be answered, {len(bad)} were not; the first: {bad[0]}"[:500])


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _short(form: str) -> str:
    return {wire.JSON: "JSON", wire.NPY: "npy", wire.ARROW: "Arrow"}[form]
