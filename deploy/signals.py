"""What the server does when it is told something from outside: SIGHUP, look for new models now; and no worker outlives its supervisor.

The signal comes to the process that `tsrep serve` became, BentoML's supervisor, which would end all workers and begin new ones:
requests would wait, and be refused while the models load. It hands the signal on instead, and the workers look aside.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

PR_SET_PDEATHSIG = 1


def hand_on() -> None:
    """In the supervisor: SIGHUP goes to every worker."""
    from circus.sighandler import SysHandler  # type: ignore[import-untyped]

    def handle_hup(handler: Any) -> None:
        for watcher in handler.controller.arbiter.iter_watchers():
            for process in list(watcher.processes.values()):
                with suppress(OSError):
                    process.send_signal(signal.SIGHUP)

    SysHandler.handle_hup = handle_hup


def on_hang_up(work: Callable[[], object]) -> None:
    """In a worker: the work is done in a thread, for the signal may come in the middle of anything."""
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=work, daemon=True).start())


def end_with_the_supervisor() -> None:
    """A worker whose supervisor was killed would hold the port for ever and nobody would begin it again. Linux alone knows how."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
