"""Ray Train: the same loop as N processes with global negatives, which goes on after a worker was killed.

Where things lie. The loop writes its checkpoint into the folder of the run (`plan.out`), as it does alone, so that `tsrep resume`
goes on from there. Ray keeps a copy in its own storage, from which the workers go on when one of them dies: `plan.out/.ray`, removed
in the end. Without `plan.out` both live in temporary folders. On a cluster of several machines `plan.out` must be storage that all
share.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tsrep
from tsrep.integrations import ray_cluster
from tsrep.integrations.ray_worker import CHECKPOINT, FAULTS, POLL, Board, Job, work

RESTARTS = 3
"""How often lost workers are replaced before a run is given up."""

log = logging.getLogger("tsrep")


def launch(
    plan: tsrep.Plan,
    panel: tsrep.Panel | tsrep.Streams,
    *,
    licence: str | None = None,
    progress: bool = False,
    resume: bool = False,
) -> tsrep.Model:
    """Train on `plan.workers` processes of a Ray cluster and return the model.

    The cluster is the one of RAY_ADDRESS or of an earlier `ray.init`; else one of this machine, which ends with the run. Workers
    compute on processors; each takes its share of those of its machine.

    resume: go on from the checkpoint in `plan.out`.

    Raises InputError for more workers than the cluster has processors or a batch has series; Interrupted on a signal, after a
    checkpoint; what a worker raised, as it was; RuntimeError when workers were lost more than RESTARTS times.
    """
    _check(plan, resume)
    with ray_cluster.settings(), ray_cluster.cluster(panel.nbytes) as ray:
        have = int(ray.cluster_resources().get("CPU", 0))
        if plan.workers > have:
            raise tsrep.InputError(
                f"expected at most {have} workers, one for each processor of the cluster, got {plan.workers}"
            )
        out = None if plan.out is None else Path(plan.out).resolve()
        if out is not None:
            tsrep.write_plan(plan, out)
        with ray_cluster.storage(plan.out) as storage, tsrep.signals() as caught:
            board = ray.remote(num_cpus=0)(Board).remote()
            job = Job(plan, licence, None if out is None else str(out), str(storage), str(Path.cwd()))
            run = Attempt(_trainer(job, {"board": board, "panel": ray.put(panel)}))
            stopped = _watch(run, board, plan, caught, progress)
            if stopped is not None:
                raise tsrep.Interrupted(caught[0], stopped, Path(plan.out) / CHECKPOINT if plan.out else None)
            if run.error is not None:
                raise _meant(run.error, plan)
            return tsrep.load(out or storage / "model")


def _check(plan: tsrep.Plan, resume: bool) -> None:
    if plan.training.batch_size < plan.workers:
        raise tsrep.InputError(
            f"expected training.batch_size of at least {plan.workers}, a series for each of the workers, "
            f"got {plan.training.batch_size}"
        )
    if plan.training.device not in ("auto", "cpu"):
        raise tsrep.InputError(
            f"expected training.device auto or cpu for a run on workers, got '{plan.training.device}'"
        )
    if resume and not (plan.out and (Path(plan.out) / CHECKPOINT).is_file()):
        raise tsrep.InputError(f"expected the folder of a run that was stopped to resume, got out={plan.out}")


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
        """Wait a moment. -> whether the run has ended."""
        self.thread.join(POLL)
        return not self.thread.is_alive()


def _trainer(job: Job, shared: dict[str, Any]) -> Any:
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    api: Any = ray.train  # whose annotations are those of its first version

    class Faults(api.UserCallback):  # type: ignore[misc]
        """Ends the run at a fault; without it the workers would be restarted."""

        def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, Exception]) -> None:
            for error in worker_exceptions.values():
                if isinstance(error, FAULTS):
                    raise error

    environment = {name: value for name, value in os.environ.items() if name.startswith(("MLFLOW_", "TSREP_"))}
    return TorchTrainer(
        work,
        train_loop_config={"job": job} | shared,
        scaling_config=api.ScalingConfig(num_workers=job.plan.workers, use_gpu=False),
        run_config=api.RunConfig(
            name=f"tsrep-{uuid.uuid4().hex}",  # Ray goes on with a run of the same name, silently
            storage_path=job.storage,
            checkpoint_config=api.CheckpointConfig(num_to_keep=1),
            failure_config=api.FailureConfig(max_failures=RESTARTS, controller_failure_limit=RESTARTS),
            worker_runtime_env={"env_vars": environment | {"CUDA_VISIBLE_DEVICES": ""}},
            callbacks=[Faults()],
        ),
        torch_config=TorchConfig(backend="gloo", timeout_s=600),
    )


def _watch(run: Attempt, board: Any, plan: tsrep.Plan, caught: list[int], progress: bool) -> int | None:
    """Wait for the end and show the progress. -> the step at which the workers stopped because of a signal, or None."""
    import ray

    bar = tsrep.bar(plan) if progress else tsrep.Observer()
    stopped, over, asked, started = None, False, False, False
    try:
        while not over:
            over = run.over()
            for kind, *what in ray.get(board.take.remote()):
                if kind == "step":
                    bar.step(*what)
                elif kind == "interrupted":
                    stopped = what[0]
                else:
                    if started:
                        log.warning("a worker was lost; new ones go on from step %d", what[1])
                        bar.stop()
                    started = True
                    bar.start(*what)
            if caught and not asked:
                asked = True
                ray.get(board.stop.remote())
            if len(caught) > 1:  # asked twice: do not wait for the step to end
                raise KeyboardInterrupt
    finally:
        bar.stop()
    return stopped


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
