"""A plan is everything a run depends on: read from YAML and dotted overrides, checked, explained, written back."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from tsrep import registry
from tsrep.data.scaling import Way
from tsrep.errors import InputError, nearest
from tsrep.learning import Training


@dataclass(frozen=True)
class DataPlan:
    """What to learn from.

    name:      a data set of the catalogue (`tsrep datasets`), or a file: .csv, .parquet, .ts, .npz, .npy. None: data from memory.
    stream:    which stream, where the data has several and one is learned from.
    streams:   which streams are learned from together, or "all" of them. None: one stream, or all of them for a method of several.
    align:     how windows of several streams are cut together: by time (timestamps, else rates), or by relative position.
    steps:     resample each window of each of several streams to so many steps. None: as many as its rate gives.
    channels:  which channels, in this order. None: all.
    calendar:  add the calendar of the clock as seven channels: minute, hour, day of week, day, day of year, month, week.
    independent: every channel is a series of its own, all of them embedded by one encoder of one channel.
    window:    steps of a window, of several streams those of the first; longer series become several windows. None: whole series, those
               over 3000 steps in equal parts.
    hop:       steps from one window to the next. None: the window's length.
    scaling:   each: every channel to mean 0 and deviation 1 of the training part. one: all channels divided by one number, so that
               directions stay. torso: a skeleton about its hips, in torso lengths. none. Of several streams one word for all, or
               {skeleton: torso, inertial: each}; a stream that is not named is scaled by each.
    """

    name: str | None = None
    stream: str | None = None
    streams: tuple[str, ...] | Literal["all"] | None = None
    align: Literal["time", "position"] = "time"
    steps: Annotated[int, Gt(1)] | None = None
    channels: tuple[str, ...] | None = None
    calendar: bool = False
    independent: bool = False
    window: Annotated[int, Gt(1)] | None = None
    hop: Annotated[int, Gt(0)] | None = None
    scaling: Way | dict[str, Way] = "each"


@dataclass(frozen=True)
class Plan:
    """A run. The same plan, seed and machine give the same bits.

    data:      what to learn from.
    method:    how to learn, see `tsrep methods`.
    mining:    what changes the pairs of the method, in this order, with settings: {bad_pairs: {}, hard_negatives: {beta: 0.5}}.
    encoder:   what learns.
    encoders:  of several streams: "shared", one encoder for all; "each", one for each; or {skeleton: {name: causal}}, one for each, of
               these streams of a kind of their own.
    training:  how long and how fast.
    seed:      of weights, order, views and dropout.
    out:       folder of the run: checkpoints while it trains, the model afterwards. None: memory alone.
    workers:   processes of a Ray cluster to train on. 0: this process, without Ray.
    observers: who else watches, with settings: {mlflow: {experiment: wearables, register: steps}}.
    """

    data: DataPlan
    method: Any
    encoder: Any
    training: Training
    seed: Annotated[int, Ge(0)] = 0
    out: str | None = None
    workers: Annotated[int, Ge(0)] = 0
    mining: dict[str, Any] = field(default_factory=dict)
    encoders: Any = "shared"
    observers: dict[str, dict[str, Any]] = field(default_factory=dict)


ROOMS = {"method": ("methods", "ts2vec"), "encoder": ("encoders", "dilated")}
"""section -> the room its choices live in, and the choice made when the plan makes none."""

NAMED = ("mining", "observers")
"""Sections that hold several parts by name, each with its settings."""

ENCODERS = ("shared", "each")
"""What `encoders` may say in one word."""

_short = reprlib.Repr()  # of what was given: a file may hold anything
_short.maxlevel, _short.maxstring, _short.maxother = 2, 120, 120

Given = dict[str, tuple[Any, str]]
"""dotted key -> (value, where it was said)."""


def read(path: str | Path, overrides: Iterable[str] = ()) -> tuple[Plan, Given]:
    """A plan from a YAML file and overrides such as `method.temperature=0.1`, and where each of its values was said."""
    import yaml

    file = Path(path)
    if not file.is_file():
        hint = (
            nearest(file.name, [p.name for p in file.parent.glob("*.y*ml")])
            if file.parent.is_dir()
            else "no such folder"
        )
        raise InputError(f"expected a plan, found no file {path}; {hint}")
    if file.stat().st_size > 2**20:
        raise InputError(f"expected a plan of at most 1 MiB, got {file.stat().st_size} bytes: {path}")
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"expected YAML in {path}: {error}") from error
    if not isinstance(content, Mapping):
        raise InputError(
            f"expected a plan with keys {', '.join(f.name for f in fields(Plan))} in {path}, got {_short.repr(content)}"
        )
    return make(content, overrides, said=str(path))


def make(content: Mapping[str, Any], overrides: Iterable[str] = (), said: str = "given") -> tuple[Plan, Given]:
    """A plan from nested mappings (sections may be a name, a mapping or a configuration) and dotted overrides."""
    given: Given = {}
    for key, value in content.items():
        _flatten(given, str(key), value, said)
    for text in overrides:
        _override(given, text)
    return _build(given), given


def to_dict(plan: Plan) -> dict[str, Any]:
    """Nested plain values that `make` turns into the same plan."""
    content = dataclasses.asdict(plan)
    for section, (room, _) in ROOMS.items():
        content[section] = {"name": registry.name_of(room, getattr(plan, section)), **content[section]}
    if isinstance(plan.encoders, Mapping):
        content["encoders"] = {
            s: {"name": registry.name_of("encoders", e)} | _settings(e) for s, e in plan.encoders.items()
        }
    plain: dict[str, Any] = _plain(content)
    return plain


def to_yaml(plan: Plan) -> str:
    import yaml

    return str(yaml.safe_dump(to_dict(plan), sort_keys=False))


def write(plan: Plan, folder: str | Path) -> Path:
    """Write `plan.yaml` into the folder of a run, which is made where it is missing."""
    path = Path(folder) / "plan.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_yaml(plan))
    return path


def explain(plan: Plan, given: Given) -> list[tuple[str, Any, str, str]]:
    """(key, value, where it was said, what it means) of every value of the plan."""
    lines = []
    recommended = getattr(type(plan.method), "recommended", {})
    for section in fields(Plan):
        value = getattr(plan, section.name)
        if section.name == "mining" and value:
            held, said = given.get("mining", ({}, "default"))
            for name, part in value.items():
                lines.append((f"mining.{name}", name, said, registry.summary(type(part))))
                texts = registry.field_texts(type(part))
                for f in fields(part):
                    told = said if f.name in held.get(name, ()) else "default"
                    lines.append((f"mining.{name}.{f.name}", getattr(part, f.name), told, texts[f.name]))
            continue
        if not dataclasses.is_dataclass(value):
            said = given.get(section.name, (None, "default"))[1]
            lines.append((section.name, value, said, registry.field_texts(Plan)[section.name]))
            continue
        if section.name in ROOMS:
            room = ROOMS[section.name][0]
            name = registry.name_of(room, value)
            said = given.get(f"{section.name}.name", (None, "default"))[1]
            lines.append((f"{section.name}.name", name, said, registry.summary(type(value))))
        texts = registry.field_texts(type(value))
        for part in fields(value):
            key = f"{section.name}.{part.name}"
            silent = "recommended" if section.name == "training" and part.name in recommended else "default"
            lines.append((key, getattr(value, part.name), given.get(key, (None, silent))[1], texts[part.name]))
    return lines


def schema() -> dict[str, Any]:
    """JSON schema of a plan file, with every method and encoder."""

    def described(kind: type, name: str | None = None) -> dict[str, Any]:
        made: dict[str, Any] = _adapter(kind).json_schema()
        for key, text in registry.field_texts(kind).items():
            made["properties"][key]["description"] = text
        made |= {"description": registry.summary(kind), "additionalProperties": False}
        if name is not None:
            made["properties"]["name"] = {"const": name}
        return made

    properties: dict[str, Any] = {"data": described(DataPlan), "training": described(Training)}
    for section, (room, _) in ROOMS.items():
        known = registry.choices(room)
        properties[section] = {
            "anyOf": [{"type": "string"}, *(described(kind, name) for name, kind in sorted(known.items()))]
        }
    texts = registry.field_texts(Plan)
    properties |= {
        "seed": {"type": "integer", "minimum": 0, "default": 0},
        "out": {"type": ["string", "null"], "default": None},
        "workers": {"type": "integer", "minimum": 0, "default": 0},
        "mining": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        name: {"description": registry.summary(kind), "anyOf": [{"type": "null"}, described(kind)]}
                        for name, kind in sorted(registry.choices("mining").items())
                    },
                    "additionalProperties": False,
                },
            ],
            "default": {},
        },
        "observers": {"type": "object", "additionalProperties": {"type": "object"}, "default": {}},
    }
    properties["encoders"] = {
        "anyOf": [{"enum": list(ENCODERS)}, {"type": "object", "additionalProperties": properties["encoder"]}],
        "default": "shared",
    }
    properties["data"] = {"anyOf": [{"type": "string"}, properties["data"]]}
    for name in properties:
        properties[name]["description"] = texts[name]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tsrep plan",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _flatten(given: Given, key: str, value: Any, said: str) -> None:
    """One level of sections: `method: {name: simclr}`, `method: simclr`, or a configuration itself."""
    section = key.split(".", 1)[0]
    if key == "mining":
        value = _by_name(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = {"name": registry.name_of(ROOMS[section][0], value)} if section in ROOMS else {}
        value = name | _settings(value)
    if section in ROOMS and key == section and isinstance(value, str):
        value = registry.spoken(ROOMS[section][0], value)
    if key == section and section in (*ROOMS, "data", "training"):
        if value is None:
            return
        if key == "data" and isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            raise InputError(f"expected keys and values under '{key}', got {_short.repr(value)} ({said})")
        for name, inner in value.items():
            given[f"{key}.{name}"] = (inner, said)
    elif key in NAMED:
        if isinstance(value, Mapping):  # `mlflow:` alone has no settings
            value = {str(name): {} if settings is None else settings for name, settings in value.items()}
        given[key] = ({} if value is None else value, said)
    else:
        given[key] = (value, said)


def _override(given: Given, text: str) -> None:
    import yaml

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"expected an override such as method.temperature=0.1, got '{text}'")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"expected a YAML value in '{text}': {error}") from error
    if key in ROOMS:  # another choice: what was said of the former one goes with it
        for former in [k for k in given if k.startswith(key + ".")]:
            del given[former]
    if key.startswith("encoders."):
        _, stream, *rest = key.split(".")
        held = given.get("encoders", ({}, ""))[0]
        held = dict(held) if isinstance(held, Mapping) else {}
        before = _spoken(held.get(stream, {}))
        held[stream] = {**before, ".".join(rest): parsed} if rest else parsed
        key, parsed = "encoders", held
    if key.startswith(tuple(f"{section}." for section in NAMED)):
        section, name, *rest = key.split(".")
        held = given.get(section, ({}, ""))[0]
        held = dict(held) if isinstance(held, Mapping) else {}
        more = {".".join(rest): parsed} if rest else {} if parsed is None else parsed
        settings = held.get(name)
        held[name] = {**settings, **more} if isinstance(settings, Mapping) and isinstance(more, Mapping) else more
        key, parsed = section, held
    _flatten(given, key.strip(), parsed, "command line")


def _build(given: Given) -> Plan:
    known = {f.name for f in fields(Plan)}
    sections: dict[str, dict[str, Any]] = {name: {} for name in ("data", "method", "encoder", "training")}
    single: dict[str, Any] = {}
    for key, (value, said) in given.items():
        section, _, name = key.partition(".")
        if section not in known:
            raise InputError(f"unknown key '{key}' in the plan ({said}); {nearest(section, known)}")
        if section in sections:
            sections[section][name] = value
        elif name:
            raise InputError(f"unknown key '{key}' in the plan ({said}); '{section}' is a single value")
        else:
            single[section] = value
    built: dict[str, Any] = {}
    for section, (room, default) in ROOMS.items():
        content = dict(sections[section])
        kind = registry.choice(room, str(content.pop("name", default)))
        built[section] = checked(kind, content, section)
    recommended = dict(getattr(type(built["method"]), "recommended", {}))
    built["training"] = checked(Training, recommended | sections["training"], "training")
    if "normalise" in sections["data"]:  # as plans said it that were written before there was a choice
        sections["data"]["scaling"] = "each" if sections["data"].pop("normalise") else "none"
    built["data"] = checked(DataPlan, sections["data"], "data")
    if "mining" in single:
        single["mining"] = _miners(single["mining"])
    if "encoders" in single:
        single["encoders"] = _encoders(single["encoders"])
    data = built["data"]
    if data.stream is not None and data.streams is not None:
        raise InputError(
            f"expected data.stream for one stream or data.streams for several, got {data.stream} and {data.streams}"
        )
    if data.streams is None and data.stream is None and getattr(type(built["method"]), "streams", 1) > 1:
        built["data"] = data = dataclasses.replace(data, streams="all")
    if data.streams is None and (data.steps is not None or data.align != "time"):
        raise InputError(
            "expected several streams (data.streams) to align or resample, got data.align or data.steps for one"
        )
    made: Plan = checked(Plan, built | single, "")
    return made


def _by_name(value: Any) -> Any:
    """Miners as names with settings, of a name, a configuration, or names with either."""
    if isinstance(value, str):
        return {value: None}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {registry.name_of("mining", value): value}
    if not isinstance(value, Mapping):
        return value
    return {
        name: _settings(part) if isinstance(part, registry.choices("mining").get(str(name), ())) else part
        for name, part in value.items()
    }


def _settings(value: Any) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _spoken(value: Any) -> dict[str, Any]:
    """name and settings of an encoder, of its name, a mapping or a configuration."""
    if isinstance(value, str):
        return registry.spoken("encoders", value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"name": registry.name_of("encoders", value), **_settings(value)}
    if not isinstance(value, Mapping):
        raise InputError(
            f"expected an encoder's name, or a mapping with its name and settings, got {_short.repr(value)}"
        )
    return dict(value)


def _encoders(content: Any) -> str | dict[str, Any]:
    """A word, or stream -> configuration."""
    if isinstance(content, str) and content in ENCODERS:
        return content
    if not isinstance(content, Mapping) or not content:
        raise InputError(
            f"expected encoders to be {' or '.join(ENCODERS)}, or encoders by stream such as {{skeleton: causal}}, "
            f"got {_short.repr(content)}"
        )
    made = {}
    for stream, value in content.items():
        settings = _spoken(value)
        kind = registry.choice("encoders", str(settings.pop("name", ROOMS["encoder"][1])))
        made[str(stream)] = checked(kind, settings, f"encoders.{stream}")
    return made


def _miners(content: Any) -> dict[str, Any]:
    """name -> configuration, of names with settings."""
    if not isinstance(content, Mapping):
        raise InputError(
            "expected names of miners with their settings under 'mining', such as {bad_pairs: {}, hard_negatives: {beta: 0.5}}, "
            f"got {_short.repr(content)}"
        )
    made = {}
    for name, settings in content.items():
        kind = registry.choice("mining", str(name))
        if not isinstance(settings, Mapping):
            known = ", ".join(f.name for f in fields(kind))
            raise InputError(f"expected settings ({known}) under 'mining.{name}', got {_short.repr(settings)}")
        made[str(name)] = checked(kind, settings, f"mining.{name}")
    return made


@cache
def _adapter(kind: type) -> Any:
    """Pydantic's reading of a configuration; made once, it is slow to make."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def checked(kind: type, content: Mapping[str, Any], where: str) -> Any:
    """An instance of a configuration; InputError names the key, what was expected and what came."""
    from pydantic import ValidationError

    known = [f.name for f in fields(kind)]
    prefix = f"{where}." if where else ""
    for name in content:
        if name not in known:
            raise InputError(f"unknown key '{prefix}{name}' in the plan; {nearest(str(name), known)}")
    try:
        return _adapter(kind).validate_python(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        key = prefix + ".".join(str(part) for part in first["loc"] if isinstance(part, str) and part in known)
        raise InputError(f"plan key '{key}': {first['msg'].lower()}, got {_short.repr(first['input'])}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
