"""Every limit of the service: a field here, a flag of the launcher, and a variable of the environment."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from tsrep import InputError

PREFIX = "TSREP_"


@dataclass(frozen=True)
class Settings:
    """What is served, and how much a client may ask for.

    model:            folder of a model, or an address such as models:/name@champion.
    name:             what /info calls the model. Empty: the last part of `model`.
    max_body_bytes:   bytes of a request's body; a larger one is refused before it is read (413).
    max_windows:      windows of a request (413).
    max_samples:      time steps of a window (413).
    max_answer_bytes: bytes of an answer as float32; only pool=steps comes near it (413).
    queue:            windows that may wait for the encoder, of all requests together (503 beyond).
    batch:            windows that go to the encoder at a time, joined from waiting requests of one shape.
    concurrency:      requests that are worked on at a time (429 beyond).
    timeout:          seconds until a request is given up (504).
    threads:          processor threads of the encoder. 0: as many as torch takes by itself.
    """

    model: str = ""
    name: str = ""
    max_body_bytes: int = 16 * 2**20
    max_windows: int = 1024
    max_samples: int = 2**16
    max_answer_bytes: int = 32 * 2**20
    queue: int = 4096
    batch: int = 64
    concurrency: int = 256
    timeout: int = 30
    threads: int = 0

    def __post_init__(self) -> None:
        for limit in limits():
            value, least = getattr(self, limit), 0 if limit == "threads" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"expected {flag(limit)} to be a whole number of at least {least}, got {value!r}")
        if self.queue < self.max_windows:
            raise InputError(
                f"expected --queue to hold the windows of one request ({self.max_windows}), got {self.queue}: "
                "raise --queue or lower --max-windows"
            )

    @staticmethod
    def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
        """TSREP_MODEL, TSREP_MAX_BODY_BYTES, …; the default where a variable is not set or empty."""
        said = {f.name: environ[variable(f.name)] for f in fields(Settings) if environ.get(variable(f.name))}
        return Settings(**{name: _number(name, text) if name in limits() else text for name, text in said.items()})  # type: ignore[arg-type]

    @staticmethod
    def given(**said: int) -> Settings:
        """These limits over those of the environment over the defaults. InputError for an unknown one."""
        for name in said:
            if name not in limits():
                close = difflib.get_close_matches(name, limits(), n=1)
                hint = f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(limits())}"
                raise InputError(f"unknown limit '{name}'; {hint}")
        return replace(Settings.from_environment(), **said)  # type: ignore[arg-type]

    def to_environment(self) -> dict[str, str]:
        """What `from_environment` reads back."""
        return {variable(f.name): str(getattr(self, f.name)) for f in fields(self)}


def limits() -> tuple[str, ...]:
    """The names of the fields that are whole numbers."""
    return tuple(f.name for f in fields(Settings) if f.name not in ("model", "name"))


def variable(name: str) -> str:
    return PREFIX + name.upper()


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def texts() -> dict[str, str]:
    """What the docstring says of each field."""
    lines = (Settings.__doc__ or "").splitlines()
    pairs = (line.strip().split(":", 1) for line in lines if ":" in line)
    return {name: text.strip() for name, text in pairs if name in {f.name for f in fields(Settings)}}


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"expected {variable(name)} to be a whole number, got {text!r}") from None
