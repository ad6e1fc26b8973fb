"""The laws of the house, read from the code itself: who imports whom, how light the core is, what is never done."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import tsrep
from tsrep import registry
from tsrep.views import AUGMENTATIONS

HOUSE = Path(__file__).parents[1]
CORE = HOUSE / "tsrep"
HEAVY = ("ray", "mlflow", "bentoml", "sktime", "tsai", "matplotlib", "sklearn", "onnx", "onnxruntime")

DATA = {"errors", "series"}
SHAPES = {"series", "pairs", "errors"}

ROOMS = {
    # room or file -> what it may know besides its own room. Rooms that are not named here may be known by nobody but the top.
    "errors": set(),
    "randomness": set(),
    "plugins": {"errors"},
    "registry": {"errors"},
    "elastic": set(),
    "even": {"errors"},
    "origin": {"data"},
    "checkpoint": {"errors"},
    "series": set(),
    "encoding": {"series", "errors"},
    "pools": {"errors"},
    "readouts": {"series", "pools"},
    "levels": {"encoders", "series", "pools"},
    "runtime": {"errors", "plugins"},
    "folders": {"errors", "plugins", "runtime"},
    "pairs": {"series"},
    "losses": {"pairs", "series"},
    "memory": {"pairs", "series"},
    "learning": {"series"},
    "method": {"losses", "memory", "pairs", "series"},
    "distributed": {"pairs"},
    "observers": {"series"},
    "training": {
        "method",
        "memory",
        "learning",
        "losses",
        "pairs",
        "series",
        "distributed",
        "checkpoint",
        "randomness",
        "errors",
        "observers",
    },
    "views": SHAPES,
    "encoders": {"memory", *SHAPES},
    "pairing": {"memory", "randomness", *SHAPES},
    "mining": {"memory", "randomness", "elastic", "even", *SHAPES},
    "methods": {"method", "losses", "views", "pairing", "encoders", "mining", *SHAPES},
    "finetuning": {"pairs", "series"},
    "data": DATA,
    "evaluation": {"errors", "data.panel", "elastic", "even"},
    "plots": {"errors", "data.panel"},
    "meters": {"evaluation", "series"},
    "progress": {"observers"},
    "terminal": set(),
    "embedding_table": {"data.panel", "errors"},
    "plan": {"registry", "learning"},
    "checked": {"errors"},
    "planning": {"plan", "checked", "registry", "errors", "learning"},
    "plan_telling": {"plan", "checked", "registry", "learning"},
    "card": {"plan", "registry", "runtime"},
    "run_folder": {"plan", "planning", "checkpoint", "errors"},
    "streaming": {"data", "errors"},
}
"""The law of house.md: series <- pairs <- losses <- method <- training; views, encoders, pairing and mining know series and pairs; data
knows series; evaluation and plots know no model; methods know those."""

TOP = {
    "__init__",
    "__main__",
    "model",
    "saving",
    "loading",
    "heads",
    "forecast_heads",
    "forecast_reading",
    "drift",
    "suspects",
    "exporting",
    "half",
    "light",
    "fitting",
    "preparing",
    "stream_fitting",
    "supervising",
    "evaluating",
    "evaluating_streams",
    "forecasting",
    "pictures",
    "reporting",
    "showing",
    "cli",
    "cli_evaluate",
}
"""Files that may know all of the core."""

OUTSIDE = {"integrations": CORE / "integrations", "deploy": HOUSE / "deploy", "pipelines": HOUSE / "pipelines"}
"""Rooms that know the public names alone."""


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[str]:
    """Every dotted name that a file imports, wherever in it: `from a import b` is a.b. Relative imports are spelled out."""
    package = ".".join(path.relative_to(HOUSE).with_suffix("").parts[:-1])
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def known(path: Path) -> set[str]:
    """What a file knows of tsrep, without the prefix: {"series.Series", "data.panel.Panel"}; "" for `import tsrep`."""
    return {name.removeprefix("tsrep").lstrip(".") for name in imports(path) if name.split(".")[0] == "tsrep"}


def room_of(path: Path) -> str:
    return path.relative_to(CORE).with_suffix("").parts[0]


def allows(allowed: set[str], name: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in allowed)


INSIDE = [path for path in files(CORE) if room_of(path) not in {*TOP, "integrations"}]


@pytest.mark.parametrize("path", INSIDE, ids=lambda p: str(p.relative_to(CORE)))
def test_the_law_of_imports(path: Path) -> None:
    room = room_of(path)
    assert room in ROOMS, f"say in this file what the new room '{room}' may know"
    forbidden = sorted(name for name in known(path) if not allows({*ROOMS[room], room}, name))
    assert not forbidden, f"{path.relative_to(HOUSE)} knows {forbidden}, it may know {sorted(ROOMS[room])}"


def test_the_law_is_no_empty_one() -> None:
    """The reader of imports sees what is there, in functions too, and the table holds no room that went away unnoticed."""
    assert "pairs.Pairs" in known(CORE / "losses.py")
    assert "loading.load" in known(CORE / "light.py")  # imported inside a function
    assert not allows(ROOMS["views"], "method.Method")
    assert not allows(ROOMS["evaluation"], "data.readers.as_panel")
    rooms = {room_of(path) for path in INSIDE}
    assert set(ROOMS) <= rooms
    assert {p.stem for p in CORE.glob("*.py")} <= {*ROOMS, *TOP}


def test_the_core_never_names_the_integrations() -> None:
    for path in files(CORE):
        if room_of(path) != "integrations":
            assert not any(name.startswith("integrations") for name in known(path)), path
            texts = [
                node.value
                for node in ast.walk(tree(path))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
            assert not any(text.startswith("tsrep.integrations") for text in texts), path


@pytest.mark.parametrize("room", OUTSIDE)
def test_what_stands_around_the_core_knows_public_names_alone(room: str) -> None:
    seen = 0
    for path in files(OUTSIDE[room]):
        for name in known(path):
            seen += 1
            public = name == "" or name in tsrep.__all__
            assert public or name.startswith(f"{room}."), (
                f"{path.relative_to(HOUSE)} knows tsrep.{name}, which is not public"
            )
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tsrep":
                seen += 1
                assert node.attr in tsrep.__all__, f"{path.relative_to(HOUSE)}:{node.lineno} uses tsrep.{node.attr}"
    assert seen


def test_every_public_name_is_there() -> None:
    for name in tsrep.__all__:
        assert getattr(tsrep, name) is not None
    assert set(dir(tsrep)) >= set(tsrep.__all__)
    with pytest.raises(AttributeError, match="fitt"):
        _ = tsrep.fitt


def test_the_table_of_public_names_and_what_type_checkers_see_agree() -> None:
    """The names bound under TYPE_CHECKING are those that are looked up lazily; helpers begin with an underscore."""
    guarded = next(node for node in tree(CORE / "__init__.py").body if isinstance(node, ast.If))
    imported = {
        alias.asname or alias.name for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assigned = {ast.unparse(target) for node in guarded.body if isinstance(node, ast.Assign) for target in node.targets}
    assert {name for name in imported | assigned if not name.startswith("_")} == set(tsrep._PUBLIC)


def loaded_by(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after this code."""
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(told.stdout.split())


def test_what_is_asked_of_sktime_is_asked_by_one_file() -> None:
    askers: dict[str, set[str]] = {}
    for path in files(CORE):
        for name in imports(path):
            if name.startswith("sktime.") and room_of(path) != "integrations":
                askers.setdefault(name, set()).add(path.relative_to(CORE).as_posix())
    assert askers["sktime.dists_kernels.dtw.DtwDist"] == {"elastic.py"}
    assert not {name: sorted(told) for name, told in askers.items() if len(told) > 1}


def test_import_tsrep_loads_nothing_heavy() -> None:
    assert not loaded_by("import tsrep") & {*HEAVY, "scipy", "typer", "rich"}


def test_the_parts_that_train_load_nothing_heavy_either() -> None:
    """Everything up to a model that embeds; only what is used later is imported later."""
    loaded = loaded_by(
        "import tsrep; tsrep.fit, tsrep.load, tsrep.Model, tsrep.Training, tsrep.load_dataset, tsrep.as_panel"
    )
    assert {"tsrep", "torch", "numpy", "pandas"} <= loaded
    assert not loaded & {*HEAVY, "typer", "rich"}


def test_help_does_not_wait_for_torch() -> None:
    loaded = loaded_by("import tsrep.cli")
    assert not loaded & {*HEAVY, "torch", "pandas"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """(dotted name, call) of every call."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


EVERYTHING = [*files(CORE), *files(HOUSE / "deploy"), *files(HOUSE / "pipelines")]


def test_nothing_is_ever_unpickled() -> None:
    loads = 0
    for path in EVERYTHING:
        assert not {name.split(".")[0] for name in imports(path)} & {
            "pickle",
            "cPickle",
            "dill",
            "cloudpickle",
            "joblib",
            "shelve",
        }, path
        for name, call in calls(path):
            where = f"{path.relative_to(HOUSE)}:{call.lineno}"
            assert not name.endswith(("torch.load", "torch.save", "read_pickle", "to_pickle")), where
            given = {k.arg: k.value for k in call.keywords}
            if "allow_pickle" in given:
                assert ast.unparse(given["allow_pickle"]) == "False", where
            if name in ("np.load", "numpy.load"):
                loads += 1
                assert "allow_pickle" in given, where
            assert name not in ("yaml.load", "yaml.unsafe_load", "eval", "exec"), where
    assert loads


def test_nobody_seeds_or_draws_from_global_random_states() -> None:
    """Outside randomness.py, where the global state of torch is seeded for a block and put back."""
    lawful = {"default_rng", "Generator", "SeedSequence", "PCG64", "BitGenerator"}
    seeded = []
    for path in EVERYTHING:
        assert not any(name == "random" or name.startswith("random.") for name in imports(path)), path
        for name, call in calls(path):
            head, _, last = name.rpartition(".")
            if head in ("np.random", "numpy.random"):
                assert last in lawful, f"{path.relative_to(HOUSE)}:{call.lineno} {name}"
            if name in ("torch.manual_seed", "torch.seed", "torch.random.manual_seed", "torch.cuda.manual_seed_all"):
                seeded.append(path.relative_to(HOUSE).as_posix())
    assert seeded == ["tsrep/randomness.py"]


PARTS = {
    **{f"methods/{name}": kind for name, kind in registry.choices("methods").items()},
    **{f"encoders/{name}": kind for name, kind in registry.choices("encoders").items()},
    **{f"mining/{name}": kind for name, kind in registry.choices("mining").items()},
    **{f"views/{name}": kind for name, kind in AUGMENTATIONS.items()},
}


@pytest.mark.parametrize("name", PARTS)
def test_every_part_says_what_it_is_where_it_is_from_and_what_its_fields_mean(name: str) -> None:
    kind = PARTS[name]
    text = inspect.getdoc(kind) or ""
    assert len(registry.summary(kind)) > 20
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|(et al|Oguiza).*\d{4}", text, re.DOTALL), "no source"
    silent = [field for field, said in registry.field_texts(kind).items() if not said]
    assert not silent, f"say what {', '.join(silent)} of {name} means"
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_every_method_says_its_source_on_the_first_line() -> None:
    """The table of the README is made of it."""
    for name, kind in registry.choices("methods").items():
        what, _, source = registry.summary(kind).partition(". ")
        assert what, name
        assert "arXiv:" in source, name
        assert set(getattr(kind, "recommended", {})) <= {f.name for f in fields(tsrep.Training)}, name
