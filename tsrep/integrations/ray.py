"""Ray Train: the same loop as N processes with global negatives, which goes on after a worker was killed.

Where things lie. The loop writes its checkpoint into the folder of the run (`plan.out`), as it does alone, so that `tsrep resume` goes on
from there. Ray keeps a copy in its own storage, from which the workers go on when one of them dies: `plan.out/.ray`, removed in the
end. Without `plan.out` both live in temporary folders. On a cluster of several machines `plan.out` must be storage that all share.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tsrep

RESTARTS = 3
"""How often lost workers are replaced before a run is given up."""

POLL = 0.1
"""Seconds between two looks of the driver at the workers, and of the controller of Ray: every checkpoint waits for one."""

log = logging.getLogger("tsrep")

CHECKPOINT = "checkpoint.safetensors"
FAULTS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, AssertionError, ImportError)
"""Errors of data, settings or code: a restart would meet them again, so they go to the caller as they are."""

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": str(POLL),
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


def launch(
    plan: tsrep.Plan, panel: tsrep.Panel, *, licence: str | None = None, progress: bool = False, resume: bool = False
) -> tsrep.Model:
    """Train on `plan.workers` processes of a Ray cluster and return the model.

    The cluster is the one of RAY_ADDRESS or of an earlier `ray.init`; else one of this machine, which ends with the run. Workers compute
    on processors; each takes its share of those of its machine. resume: go on from the checkpoint in `plan.out`; where there is none,
    the run begins anew.

    Raises InputError for more workers than the cluster has processors or a batch has series; Interrupted on a signal, after a
    checkpoint; what a worker raised, as it was; RuntimeError when workers were lost more than RESTARTS times.
    """
    if plan.training.batch_size < plan.workers:
        raise tsrep.InputError(
            f"expected training.batch_size of at least {plan.workers}, a series for each of the workers, got {plan.training.batch_size}"
        )
    if plan.training.device not in ("auto", "cpu"):
        raise tsrep.InputError(
            f"expected training.device auto or cpu for a run on workers, got '{plan.training.device}'"
        )
    if resume and plan.out is None:
        raise tsrep.InputError("expected out, the folder of the run to resume")
    with _settings(), _cluster(panel.values.nbytes) as ray:
        have = int(ray.cluster_resources().get("CPU", 0))
        if plan.workers > have:
            raise tsrep.InputError(
                f"expected at most {have} workers, one for each processor of the cluster, got {plan.workers}"
            )
        if plan.out is not None:
            tsrep.write_plan(plan, plan.out)
        with _storage(plan.out) as storage, _signals() as caught:
            job = Job(
                plan,
                licence,
                None if plan.out is None else str(Path(plan.out).resolve()),
                str(storage),
                str(Path.cwd()),
            )
            board = ray.remote(num_cpus=0)(Board).remote()
            run = Attempt(_trainer(job, {"board": board, "panel": ray.put(panel)}))
            step = _watch(run, board, plan, caught, progress)
            if step is not None:
                raise tsrep.Interrupted(caught[0], step, Path(plan.out) / CHECKPOINT if plan.out else None)
            if run.error is not None:
                raise _meant(run.error, plan)
            return tsrep.load(storage / "model" if plan.out is None else plan.out)


@dataclass(frozen=True)
class Job:
    """What a worker must know beside the data. out, storage, home: absolute folders; home is where the driver stands."""

    plan: tsrep.Plan
    licence: str | None
    out: str | None
    storage: str
    home: str


class Board:
    """An actor on which the workers write how far they are and the driver that it wants them to stop."""

    def __init__(self) -> None:
        self.news: list[tuple[Any, ...]] = []
        self.stopping = False

    def tell(self, *what: Any) -> bool:
        """From the first worker: what happened. -> whether to stop."""
        self.news.append(what)
        return self.stopping

    def take(self) -> list[tuple[Any, ...]]:
        """What was told since the last time."""
        news, self.news = self.news, []
        return news

    def stop(self) -> None:
        self.stopping = True


class Reporter(tsrep.Observer):
    """One on every worker: checkpoints go to Ray; the first worker tells the board how far it is, ten times a second at most."""

    def __init__(self, board: Any, first: bool) -> None:
        self.board, self.first = board, first
        self.reached, self.at, self.stopping = 0, 0.0, False
        self.values: dict[str, float] = {}
        self.told: Any = None

    def start(self, length: int, done: int) -> None:
        self.reached = done
        if self.first:
            self.told = self.board.tell.remote("start", length, done)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        import ray

        self.reached = step
        if not self.first:
            return
        self.values |= values  # numbers of the meters come seldom and must not be skipped
        if time.monotonic() - self.at >= POLL and ray.wait([self.told], timeout=0)[0]:
            self.stopping = ray.get(self.told)
            self._tell()

    def saved(self, step: int, path: Path) -> None:
        import ray.train

        numbers = {"step": step}
        if not self.first:
            ray.train.report(numbers)
            return
        with tempfile.TemporaryDirectory() as beside:
            shutil.copy2(path, beside)
            ray.train.report(numbers, checkpoint=ray.train.Checkpoint.from_directory(beside))

    def stop(self) -> None:
        if self.first and self.values:
            self._tell()

    def _tell(self) -> None:
        self.told = self.board.tell.remote("step", self.reached, self.values)
        self.values, self.at = {}, time.monotonic()


def _work(config: dict[str, Any]) -> None:
    """What every worker runs, and runs again when one of them was lost."""
    import ray
    import ray.train
    import torch

    job, board, world = config["job"], config["board"], tsrep.World.current()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // ray.train.get_context().get_local_world_size()))
    with suppress(OSError):  # relative paths mean what they mean to the driver, where the machine has its folder
        os.chdir(job.home)
    reporter = Reporter(board, world.rank == 0)
    try:
        _train(job, ray.get(config["panel"]), world, reporter)
    except tsrep.Interrupted:
        if world.rank == 0:
            ray.get(board.tell.remote("interrupted", reporter.reached))
    except FAULTS as error:
        error.add_note(f"On worker {world.rank} of {world.size}:\n{traceback.format_exc()}")
        raise


def _train(job: Job, panel: tsrep.Panel, world: tsrep.World, reporter: Reporter) -> None:
    import ray.train

    prepared = tsrep.prepare(panel, job.plan, job.licence)
    if len(prepared.train) < world.size:
        raise tsrep.InputError(
            f"expected at least {world.size} windows to train on, one for each worker, got {len(prepared.train)}"
        )
    watching = tsrep.observers_of(job.plan, panel) if world.rank == 0 else []
    with ExitStack() as stack:
        folder = Path(job.out or stack.enter_context(tempfile.TemporaryDirectory()))
        former, resume = ray.train.get_checkpoint(), None
        if former is not None:
            resume = Path(stack.enter_context(former.as_directory())) / CHECKPOINT
        elif (folder / CHECKPOINT).is_file():
            resume = folder / CHECKPOINT
        model = tsrep.learn(
            job.plan, prepared, [reporter, *watching], folder, resume, world, stopping=lambda: reporter.stopping
        )
        if world.rank == 0:
            tsrep.finish(model, folder if job.out else None, watching)
            if not job.out:
                model.save(Path(job.storage) / "model")


def _trainer(job: Job, shared: dict[str, Any]) -> Any:
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, UserCallback
    from ray.train.torch import TorchConfig, TorchTrainer

    class Faults(UserCallback):
        """Ends the run at a fault; without it the workers would be restarted."""

        def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, Exception]) -> None:
            for error in worker_exceptions.values():
                if isinstance(error, FAULTS):
                    raise error

    environment = {name: value for name, value in os.environ.items() if name.startswith(("MLFLOW_", "TSREP_"))}
    return TorchTrainer(
        _work,
        train_loop_config={"job": job} | shared,
        scaling_config=ScalingConfig(num_workers=job.plan.workers, use_gpu=False),
        run_config=RunConfig(
            name=f"tsrep-{uuid.uuid4().hex}",  # a run of the same name would be gone on with, silently
            storage_path=job.storage,
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            failure_config=FailureConfig(max_failures=RESTARTS, controller_failure_limit=RESTARTS),
            callbacks=[Faults()],
            worker_runtime_env={"env_vars": environment | {"CUDA_VISIBLE_DEVICES": ""}},
        ),
        torch_config=TorchConfig(backend="gloo", timeout_s=600),
    )


class Attempt:
    """`trainer.fit()` in a thread, so that the driver's own can draw the progress and hear signals."""

    def __init__(self, trainer: Any) -> None:
        self.error: Exception | None = None
        self.trainer = trainer
        self.thread = threading.Thread(target=self._fit, name="ray-train", daemon=True)
        self.thread.start()

    def _fit(self) -> None:
        try:
            self.trainer.fit()
        except Exception as error:
            self.error = error

    def over(self) -> bool:
        self.thread.join(POLL)
        return not self.thread.is_alive()


def _watch(run: Attempt, board: Any, plan: tsrep.Plan, caught: list[int], progress: bool) -> int | None:
    """Wait for the end and show the progress. -> the step at which the workers stopped because of a signal, or None."""
    import ray

    bar, step, over, asked = tsrep.bar(plan) if progress else tsrep.Observer(), None, False, False
    started = False
    try:
        while not over:
            over = run.over()
            for kind, *what in ray.get(board.take.remote()):
                if kind == "interrupted":
                    step = what[0]
                elif kind == "start":
                    if started:
                        log.warning("workers were lost; new ones go on from step %d", what[1])
                        bar.stop()
                    started = True
                    bar.start(*what)
                else:
                    bar.step(*what)
            if len(caught) > 1:  # asked twice: do not wait for the step to end
                raise tsrep.Interrupted(caught[0], 0, None)
            if caught and not asked:
                asked = True
                ray.get(board.stop.remote())
    finally:
        bar.stop()
    return step


def _meant(error: Exception, plan: tsrep.Plan) -> Exception:
    """What went wrong, out of what Ray makes of it."""
    import ray

    hint = f"; continue with: tsrep resume {plan.out}" if plan.out and (Path(plan.out) / CHECKPOINT).is_file() else ""
    failure = getattr(error, "controller_failure", None)
    if isinstance(failure, FAULTS):
        return failure
    causes = list(getattr(error, "worker_failures", {}).values())
    if any(isinstance(cause, ray.exceptions.RayActorError) for cause in causes):
        return RuntimeError(f"workers were lost {RESTARTS + 1} times, killed or out of memory{hint}")
    return (
        causes[0]
        if causes
        else RuntimeError(f"Ray could not train on {plan.workers} workers: {failure or error}{hint}")
    )


@contextmanager
def _settings() -> Iterator[None]:
    """What Ray reads from the environment, where nobody has said otherwise."""
    mine = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


@contextmanager
def _cluster(size: int) -> Iterator[Any]:
    """Ray, connected: to the cluster there is, or to one of this machine that ends with the block. size: bytes of the data."""
    import ray

    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    folder = None
    if "RAY_ADDRESS" not in os.environ:
        folder = tempfile.mkdtemp(
            prefix="ray-", dir="/tmp" if os.path.isdir("/tmp") else None
        )  # sockets want short paths
        quiet |= {"address": "local", "include_dashboard": False, "_temp_dir": folder}
        quiet["object_store_memory"] = 2 * size + 100 * 2**20
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    try:
        ray.init(**quiet)
        if main:
            signal.signal(signal.SIGTERM, before)  # Ray has put its own in its place
        yield ray
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _storage(out: str | None) -> Iterator[Path]:
    """Ray's storage: in the folder of the run, or a temporary one."""
    folder = Path(tempfile.mkdtemp(prefix="tsrep-")) if out is None else Path(out).resolve() / ".ray"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM are noted. Outside the main thread signals are not ours."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {
        name: signal.signal(name, lambda number, _: caught.append(number)) for name in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield caught
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
