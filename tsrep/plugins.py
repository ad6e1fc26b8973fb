"""Where other packages plug in: the core never imports an integration, it asks the installed ones by name.

Groups of entry points: `tsrep.launchers` (plan, panel) -> Model, trains on a cluster; `tsrep.observers` (settings) -> Observer;
`tsrep.sources` (address) -> folder of a saved model, chosen by the scheme of the address, as in `models:/name@champion`;
`tsrep.reporters` (path of a model, table, figures), told of every evaluation; `tsrep.servers` (paths of models, host, port),
and beside them `keys` (words of the command line), which makes the keys of a server; `tsrep.exporters` (encoder, length) -> file,
and those of a precision (file, windows, threads) -> file; `tsrep.runtimes` (file, threads) -> Runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

from tsrep.errors import InputError, nearest


def plugin(group: str, name: str) -> Any:
    """The object registered under `tsrep.<group>`; InputError says what is installed and which extra brings the rest."""
    known = {point.name: point for point in entry_points(group=f"tsrep.{group}")}
    if name not in known:
        raise InputError(f"no {group[:-1]} '{name}' is installed; {nearest(name, known)}")
    try:
        return known[name].load()
    except ImportError as error:
        raise InputError(
            f"{group[:-1]} '{name}' needs a package that is missing ({error}); pip install 'tsrep[all]'"
        ) from error


def every(group: str) -> Iterator[Any]:
    """All objects registered under `tsrep.<group>`, those whose package is missing left out."""
    for point in sorted(entry_points(group=f"tsrep.{group}"), key=lambda point: point.name):
        try:
            yield point.load()
        except ImportError:
            continue
