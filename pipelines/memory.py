"""How much memory a piece of work took: the peak of this process, where the system tells it, in mebibytes."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def rewind() -> float:
    """Forget earlier peaks where the system allows it (Linux does), and give what is held now, in MiB."""
    if FORGET.exists():
        with suppress(OSError):  # a sandbox may forbid it: then an earlier, higher peak hides a lower one
            FORGET.write_text("5")
    return peak()


def peak() -> float:
    """The most that was held at a time, in MiB.

    Of Linux the process's own high-water mark: `ru_maxrss` there begins with the peak of the process that started this one.
    """
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024  # kB
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 1024)
