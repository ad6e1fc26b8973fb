"""What is installed is what is there."""

import tomllib
from pathlib import Path

import tsrep

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_room_is_installed() -> None:
    rooms = {".".join(init.parent.relative_to(ROOT).parts) for init in (ROOT / "tsrep").rglob("__init__.py")}
    assert set(SETUPTOOLS["packages"]) == rooms | {"tsrep_deploy"}
    folders = {path.name for path in (ROOT / "tsrep").iterdir() if any(path.glob("*.py"))}
    assert {f"tsrep.{name}" for name in folders} <= rooms


def test_every_public_name_is_there() -> None:
    assert [name for name in tsrep.__all__ if not hasattr(tsrep, name)] == []


def test_the_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    names = {line.split(";")[0].split("[")[0].split("<")[0].split(">")[0].strip().lower() for line in wanted}
    assert names - {"tsrep"} <= pinned
