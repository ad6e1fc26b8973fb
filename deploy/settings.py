"""Every limit of the service: a field here, a flag of the launcher, and a variable of the environment."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

from tsrep import InputError

PREFIX = "TSREP_"
TEXTS = ("model", "keys", "cors", "log", "collections")
"""The fields that are no whole numbers."""

NONE_ALLOWED = ("threads", "rate", "reload", "drift_windows", "drift_every")
"""The numbers that may be 0."""

LIKE = 0.8
"""How much of its letters a variable has in common with the one that was meant."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Settings:
    """What is served, to whom, and how much a client may ask for.

    model:            folders or addresses (models:/name@champion), bare or as name=folder, parted by commas; the first is the default.
    keys:             file of API keys, which `tsrep keys add` writes; without one everybody may ask.
    cors:             origins whose pages may ask from a browser, such as https://example.org, parted by commas; none by default.
    log:              json: a line for every request on standard error; none: no line.
    max_body_bytes:   bytes of a request's body; a larger one is refused before it is read (413).
    max_windows:      windows of a request (413).
    max_samples:      time steps of a window (413).
    max_answer_bytes: bytes of an answer as float32; only /v1/steps comes near it (413).
    queue:            windows that may wait for the encoder of a model, of all requests together (429 beyond).
    batch:            windows that go to the encoder at a time, joined from waiting requests of one shape.
    concurrency:      requests that are worked on at a time (429 beyond).
    timeout:          seconds until a request is given up (504).
    body_timeout:     seconds that a client may take to send its body (408).
    rate:             requests a minute of one key, or of all who come without where there are no keys (429 beyond); 0 is without limit.
    burst:            requests of one key that may come at once before its rate counts.
    reload:           seconds between looks whether a folder or an address holds a new model; 0 looks at SIGHUP alone.
    threads:          processor threads of the encoder; 0 is as many as torch takes by itself.
    drift_windows:    embeddings of late that are compared with the training, of each model; 0 compares none.
    drift_every:      seconds between comparisons for the metrics; 0 compares only when /v1/drift is asked.
    collections:      folder, s3://bucket/path, or db://name of a server, in which collections for search are kept; none by default.
    max_collections:  collections that are kept (409 beyond).
    max_collection_windows: windows of a collection (409 beyond); a query compares with all of them.
    max_neighbours:   neighbours that a query asks for (422 beyond).
    max_query_windows: windows of a query (413 beyond); each is compared with the whole collection.
    max_id:           characters of the id of a window (422 beyond).
    max_metadata_keys: keys of the metadata of a window, and of a filter (422 beyond).
    max_metadata_bytes: bytes of the metadata of a window as JSON (422 beyond).
    """

    model: str = ""
    keys: str = ""
    cors: str = ""
    log: str = "json"
    max_body_bytes: int = 16 * 2**20
    max_windows: int = 1024
    max_samples: int = 2**16
    max_answer_bytes: int = 32 * 2**20
    queue: int = 4096
    batch: int = 64
    concurrency: int = 256
    timeout: int = 30
    body_timeout: int = 20
    rate: int = 0
    burst: int = 60
    reload: int = 300
    threads: int = 0
    drift_windows: int = 512
    drift_every: int = 15
    collections: str = ""
    max_collections: int = 64
    max_collection_windows: int = 100_000
    max_neighbours: int = 100
    max_query_windows: int = 64
    max_id: int = 128
    max_metadata_keys: int = 32
    max_metadata_bytes: int = 4096

    def __post_init__(self) -> None:
        for limit in limits():
            value, least = getattr(self, limit), 0 if limit in NONE_ALLOWED else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"expected {flag(limit)} to be a whole number of at least {least}, got {value!r}")
        if self.queue < self.max_windows:
            raise InputError(
                f"expected --queue to hold the windows of one request ({self.max_windows}), got {self.queue}: "
                "raise --queue or lower --max-windows"
            )
        if self.log not in ("json", "none"):
            raise InputError(f"expected --log to be json or none, got '{self.log}'")
        for origin in self.origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
                raise InputError(f"expected --cors to be origins such as https://example.org, got '{origin}'")

    @property
    def models(self) -> dict[str, str]:
        """name -> folder or address. InputError where a name is used twice or can not stand in a path."""
        found: dict[str, str] = {}
        for one in filter(None, (part.strip() for part in self.model.split(","))):
            name, where = named(one)
            if name in found:
                raise InputError(
                    f"expected each model to have a name of its own, got '{name}' twice: say --model other={where}"
                )
            found[name] = where
        return found

    @property
    def origins(self) -> tuple[str, ...]:
        return tuple(filter(None, (part.strip() for part in self.cors.split(","))))

    @staticmethod
    def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
        """TSREP_MODEL, TSREP_MAX_BODY_BYTES, …; the default where a variable is not set or empty. InputError where one is misspelt:
        a limit that is not in force must not seem to be. What is like none of them (Kubernetes sets TSREP_SERVICE_HOST) is nobody's."""
        names = [f.name.upper() for f in fields(Settings)]
        for name in (key.removeprefix(PREFIX) for key in environ if key.startswith(PREFIX)):
            close = difflib.get_close_matches(name, names, n=1, cutoff=LIKE)
            if close and name not in names:
                raise InputError(f"unknown variable {PREFIX}{name}; did you mean {PREFIX}{close[0]}?")
        said = {f.name: environ[variable(f.name)] for f in fields(Settings) if environ.get(variable(f.name))}
        return Settings(**{name: _read(name, text, variable(name)) for name, text in said.items()})

    @staticmethod
    def given(**said: Any) -> Settings:
        """These over those of the environment over the defaults; numbers may be text. InputError for an unknown one."""
        known = tuple(f.name for f in fields(Settings))
        for name in said:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(known)}"
                raise InputError(f"unknown setting '{name}'; {hint}")
        return replace(
            Settings.from_environment(), **{name: _read(name, value, flag(name)) for name, value in said.items()}
        )

    def to_environment(self) -> dict[str, str]:
        """What `from_environment` reads back."""
        return {variable(f.name): str(getattr(self, f.name)) for f in fields(self)}


def named(one: str) -> tuple[str, str]:
    """'a=runs/a' -> ('a', 'runs/a'); without a name the last part is one: 'runs/a' -> 'a', 'models:/b@champion' -> 'b'."""
    name, equals, where = one.partition("=")
    if equals and where and _NAME.fullmatch(name):
        return name, where
    if (
        equals and not Path(one).exists() and (":/" in where or Path(where).is_dir())
    ):  # a folder may have = in its name too
        raise InputError(
            f"expected a name of letters, digits, _, . and -, 64 at most, before the = of '{one}', got '{name}'"
        )
    last = one.partition(":/")[2].lstrip("/").partition("@")[0].partition("/")[0] if ":/" in one else PurePath(one).name
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", last).lstrip("_.-")[:64]
    if not name:
        raise InputError(f"expected the folder of a model or an address, got '{one}'; give it a name: name={one}")
    return name, one


def limits() -> tuple[str, ...]:
    """The names of the fields that are whole numbers."""
    return tuple(f.name for f in fields(Settings) if f.name not in TEXTS)


def variable(name: str) -> str:
    return PREFIX + name.upper()


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def texts() -> dict[str, str]:
    """What the docstring says of each field."""
    lines = (Settings.__doc__ or "").splitlines()
    pairs = (line.strip().split(":", 1) for line in lines if ":" in line)
    return {name: text.strip() for name, text in pairs if name in {f.name for f in fields(Settings)}}


def _read(name: str, value: Any, said: str) -> Any:
    """A number from its text; everything else as it is."""
    if name in TEXTS or not isinstance(value, str):
        return str(value) if name in TEXTS else value
    try:
        return int(value)
    except ValueError:
        raise InputError(f"expected {said} to be a whole number, got {value!r}") from None
