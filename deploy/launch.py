"""Starts the server: checks everything that can be wrong first, then this process becomes BentoML's."""

from __future__ import annotations

import argparse
import importlib.util
import ipaddress
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NoReturn

import tsrep
from tsrep import InputError

from .engine import servable
from .keys import Keys
from .settings import Settings, flag, texts, variable
from .shelf import FROM

STORES = ("s3", "gs", "az", "db")
"""What collections are kept in besides a folder: object stores, and a server of LanceDB."""
HOST, PORT = "127.0.0.1", 3000
STOP_WITHIN = 10
"""Seconds that running requests get when the server is told to stop."""


def serve(model: str | Path | Sequence[str | Path], host: str = HOST, port: int = PORT, **said: Any) -> NoReturn:
    """Serves models until it is told to stop (SIGINT, SIGTERM).

    model: one or several folders or addresses such as models:/name@champion, as they are or as name=folder; the first is the default.
    said:  fields of `Settings`; what is not given comes from the environment, then from the defaults.
    Raises InputError, before anything is started, for a model that does not load, a port in use, or a bad limit.
    """
    command, environ, home = prepared(model, host, port, **said)
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(home)  # BentoML puts the folder it starts in before all others that modules are looked for in
    os.execve(command[0], command, environ)


def prepared(
    model: str | Path | Sequence[str | Path], host: str = HOST, port: int = PORT, **said: Any
) -> tuple[list[str], dict[str, str], Path]:
    """Command, environment and folder of a server, all checked."""
    if importlib.util.find_spec("bentoml") is None:
        raise InputError('serving needs BentoML: pip install "tsrep[serve]"')
    settings = Settings.given(model=_several(model), **said)
    if settings.keys:
        settings = replace(settings, keys=str(Path(settings.keys).resolve()))
        Keys(settings.keys)  # a worker without it would be started again and again
    if settings.collections:
        settings = replace(settings, collections=_kept_in(settings.collections))
    host = _free(host, port)
    # A worker that can not load a model would be started again and again.
    loaded = {name: servable(tsrep.load_light(where)) for name, where in settings.models.items()}
    home = _home(port)
    places = []
    for name, where in settings.models.items():
        if Path(where).is_dir():
            places.append(f"{name}={Path(where).resolve()}")
        else:  # an address, fetched once: the workers need the registry only to see what is new there
            own = home / "tsrep-models" / name
            shutil.rmtree(own, ignore_errors=True)
            loaded[name].save(own)
            places.append(f"{name}={where}")
    settings = replace(settings, model=",".join(places))
    around = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", FROM: os.getcwd()}
    environ = os.environ | settings.to_environment() | around
    options = {"--host": host, "--port": port, "--working-dir": home, "--timeout-graceful-shutdown": STOP_WITHIN}
    told = [str(text) for pair in options.items() for text in pair]
    return [sys.executable, "-m", "bentoml", "serve", "tsrep_deploy.service:Encoder", *told], environ, home


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m tsrep_deploy`"""
    parser = argparse.ArgumentParser("tsrep_deploy", description="Serve tsrep models over HTTP.")
    parser.add_argument(
        "--model",
        action="append",
        help=f"[name=]folder of a model, or [name=]models:/name@alias; may be repeated ({variable('model')}, parted by commas)",
    )
    parser.add_argument("--host", default=HOST, help="address to listen on (%(default)s)")
    parser.add_argument("--port", default=PORT, type=int, help="port to listen on (%(default)s)")
    for field in fields(Settings):
        if field.name != "model":
            default = field.default if field.default != "" else "none"
            parser.add_argument(flag(field.name), help=f"{texts()[field.name]} ({variable(field.name)}, {default})")
    said = vars(parser.parse_args(arguments))
    given: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    if "model" not in given:
        given["model"] = [one for one in os.environ.get(variable("model"), "").split(",") if one]
        if not given["model"]:
            parser.error(f"expected a model to serve: --model runs/first, or {variable('model')}=runs/first")
    try:
        serve(**given)
    except InputError as error:
        sys.exit(f"tsrep serve: {error}")


def _kept_in(where: str) -> str:
    """Where collections are kept, as the worker finds it. InputError without the library, or where no folder can be."""
    if importlib.util.find_spec("lancedb") is None:
        raise InputError('--collections needs LanceDB: pip install "tsrep[search]"')
    scheme, colon, rest = where.partition(":")
    if colon and rest.startswith("/") and "/" not in scheme:
        if scheme in STORES and rest.startswith("//") and rest[2:]:
            return where
        known = ", ".join(f"{store}://…" for store in STORES)
        raise InputError(f"expected a folder or one of {known} for --collections, got {where}")
    folder = Path(where).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:  # a folder that is there may be one to read only
            probe.write(b"tsrep")
    except OSError as error:
        raise InputError(
            f"expected a folder that can be written for --collections, got {where} ({error.strerror})"
        ) from None
    return str(folder)


def _several(model: str | Path | Sequence[str | Path]) -> str:
    models = [model] if isinstance(model, str | Path) else model
    for one in models:
        if "," in str(one):
            raise InputError(f"expected no comma in where a model lies, it parts several from one another: {one}")
    return ",".join(map(str, models))


def _free(host: str, port: int) -> str:
    """The host as an address. InputError where nothing can listen there."""
    host = "127.0.0.1" if host == "localhost" else host
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise InputError(f"expected an IP address to listen on, such as 127.0.0.1 or 0.0.0.0, got {host!r}") from None
    if not 0 < port < 2**16:
        raise InputError(f"expected a port from 1 to 65535, got {port}")
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            message = (
                f"expected a free port, nothing can listen on {host}:{port} ({error.strerror}): choose another --port"
            )
            raise InputError(message) from None
    return host


def _home(port: int) -> Path:
    """The server's own folder. BentoML keeps its metrics there and empties them at start, so servers must not share one."""
    given = os.environ.get("BENTOML_HOME")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(given) if given else cache / "tsrep" / f"serve-{port}"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return home.resolve()
