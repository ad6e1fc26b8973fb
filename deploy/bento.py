"""Makes a bento: the service, its code and its models in one folder that is served without a network and without this package.

    python -m tsrep_deploy.bento runs/first [name=runs/second …] [--search] [--into FOLDER]
    bentoml serve tsrep:latest        # or bentoml export, bentoml containerize

`bentoml build` does the work, on a folder that is put together here. A model that was exported needs no torch, and the bento of such
models asks for none; its dependencies are what requirements-onnx.txt says, and with --search, which collections need, what
requirements-search.txt says.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import yaml

import tsrep
from tsrep import InputError

from .engine import servable
from .settings import named

HERE = Path(__file__).parent

MEASURING = ("damage.py", "fuzz.py", "load.py", "measures.py", "plain.py", "pressing.py")
"""What measures a service and is no part of one: neither a bento nor an image (.dockerignore) holds it."""

SERVED = '''"""What this bento serves: its own models, unless TSREP_MODEL names others."""

import os
from pathlib import Path

HERE = Path(__file__).parent
os.environ.setdefault("TSREP_MODEL", ",".join(f"{name}={HERE / 'models' / name}" for name in MODELS))

from tsrep_deploy.service import Encoder
'''


def together(models: Sequence[str], folder: Path, search: bool = False) -> Path:
    """The folder that `bentoml build` builds of: code, models and bentofile.yaml. InputError for a model that does not load, and for a
    folder that holds something.

    search: with what `--collections` needs.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"expected a new or an empty folder to put the bento together in, {folder} holds something")
    names, light = [], True
    for one in models:
        name, where = named(one)
        if name in names:
            raise InputError(f"expected each model to have a name of its own, got '{name}' twice: say other={where}")
        model = servable(tsrep.load_light(where))
        model.save(folder / "models" / name)
        light = light and isinstance(model, tsrep.Light)
        names.append(name)
    found = find_spec("tsrep")
    assert found is not None and found.origin is not None
    for package, source in (("tsrep", Path(found.origin).parent), ("tsrep_deploy", HERE)):
        shutil.copytree(source, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for name in MEASURING:
        (folder / "tsrep_deploy" / name).unlink()
    (folder / "served.py").write_text(SERVED.replace("MODELS", repr(names), 1))
    wanted = _required("onnx") + (_required("search") if search else [])
    described = {
        "service": "served:Encoder",
        "description": f"Embeddings of time series windows: {', '.join(names)}.",
        "labels": {"tsrep": tsrep.__version__},
        "include": ["served.py", "models/**", "tsrep/**", "tsrep_deploy/**"],
        "python": {"packages": wanted if light else [*wanted, "torch"], "lock_packages": False},
    }
    (folder / "bentofile.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    return folder


def _required(name: str) -> list[str]:
    lines = (HERE / f"requirements-{name}.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m tsrep_deploy.bento`"""
    parser = argparse.ArgumentParser("tsrep_deploy.bento", description="Make a bento of tsrep models.")
    parser.add_argument("models", nargs="+", metavar="[name=]folder", help="the first is the default")
    parser.add_argument("--search", action="store_true", help="with LanceDB, which --collections needs")
    parser.add_argument("--into", type=Path, help="only put the folder for `bentoml build` together, here")
    said = parser.parse_args(arguments)
    try:
        if said.into is not None:
            print(together(said.models, said.into, said.search))
            return
        with tempfile.TemporaryDirectory(prefix="tsrep-bento-") as folder:
            built = together(said.models, Path(folder), said.search)
            sys.exit(subprocess.run([sys.executable, "-m", "bentoml", "build"], cwd=built, check=False).returncode)
    except InputError as error:
        sys.exit(f"tsrep_deploy.bento: {error}")


if __name__ == "__main__":
    main()
