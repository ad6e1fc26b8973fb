"""The folder of a run: free for a new one, fit to be resumed, and taken back where nothing came of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tsrep import planning
from tsrep.checkpoint import NAME as CHECKPOINT
from tsrep.errors import InputError
from tsrep.plan import Plan


def free(plan: Plan, resume: bool) -> Path | None:
    """The folder of the run; InputError where it holds something already."""
    if plan.out is None:
        if resume:
            raise InputError("expected out, the folder of the run to resume")
        return None
    folder = Path(plan.out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"expected a folder for the run, got a file: {folder}")
    if resume:
        to_resume(folder)
        _alike(plan, folder)
        return folder
    if folder.is_dir() and (folder / CHECKPOINT).is_file():
        raise InputError(
            f"{folder} holds a run that was stopped; continue with `tsrep resume {folder}`, or choose another folder"
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"expected an empty folder for the run, {folder} holds files; choose another or remove it")
    return folder


def _alike(plan: Plan, folder: Path) -> None:
    """InputError where the run in the folder learned in another way: its checkpoint fits many settings of a method and of miners."""
    if not (folder / "plan.yaml").is_file():
        return
    before = planning.read(folder / "plan.yaml")[0]
    for section in ("method", "encoder", "encoders", "mining"):
        was, now = getattr(before, section), getattr(plan, section)
        if was != now:
            raise InputError(
                f"expected the {section} of the run in {folder} ({was}), got {now}; a resumed run must be the same: "
                f"`tsrep resume {folder}` takes its own plan"
            )


def forget(folder: Path) -> None:
    """Take back the plan of a run that came to nothing before its first checkpoint, so that the folder can be used again."""
    if {path.name for path in folder.iterdir()} <= {"plan.yaml", "mlflow.json"}:
        shutil.rmtree(folder)


def to_resume(folder: Path) -> Path:
    path = folder / CHECKPOINT
    if not path.is_file():
        raise InputError(f"expected a checkpoint to go on from, found none in {folder}")
    return path
