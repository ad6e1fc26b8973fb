"""The service as one would write it first: JSON through BentoML's own API, one call of the encoder a request; for `load.py`.

It is never started by `tsrep serve`. `python -m tsrep_deploy.plain --model FOLDER --port 3001`
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml
import numpy as np

import tsrep

from .shelf import settle


@bentoml.service(name="plain", workers=1, threads=1, logging={"access": {"enabled": False}}, http={"host": "127.0.0.1"})
class Plain:
    """JSON lists in, JSON lists out, no batching, no limits, no log."""

    def __init__(self) -> None:
        self.model = tsrep.load_light(os.environ["TSREP_MODEL"], threads=1)
        self.model.embed(self.model.check)
        settle()

    @bentoml.api
    def embed(self, windows: list[list[list[float]]]) -> list[list[float]]:
        held: list[list[float]] = self.model.embed(np.array(windows, np.float32)).tolist()
        return held


if __name__ == "__main__":
    told = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    home = os.environ["BENTOML_HOME"]
    command = ["bentoml", "serve", "tsrep_deploy.plain:Plain", "--port", told["--port"], "--working-dir", home]
    os.environ["TSREP_MODEL"] = str(Path(told["--model"]).resolve())
    os.chdir(home)
    os.execv(sys.executable, [sys.executable, "-m", *command])
