"""Plans from what a user says: YAML files, nested mappings, configurations, dotted overrides. All of it is checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from tsrep import registry
from tsrep.checked import SHORT, checked
from tsrep.errors import InputError, nearest
from tsrep.learning import Training
from tsrep.plan import ENCODERS, NAMED, ROOMS, DataPlan, Given, Plan, settings_of


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
            f"expected a plan with keys {', '.join(f.name for f in fields(Plan))} in {path}, got {SHORT.repr(content)}"
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


def _flatten(given: Given, key: str, value: Any, said: str) -> None:
    """One level of sections: `method: {name: simclr}`, `method: simclr`, or a configuration itself."""
    section = key.split(".", 1)[0]
    if key == "mining":
        value = _by_name(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = {"name": registry.name_of(ROOMS[section][0], value)} if section in ROOMS else {}
        value = name | settings_of(value)
    if section in ROOMS and key == section and isinstance(value, str):
        value = registry.spoken(ROOMS[section][0], value)
    if key == section and section in (*ROOMS, "data", "training"):
        if value is None:
            return
        if key == "data" and isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            raise InputError(f"expected keys and values under '{key}', got {SHORT.repr(value)} ({said})")
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
        name: settings_of(part) if isinstance(part, registry.choices("mining").get(str(name), ())) else part
        for name, part in value.items()
    }


def _spoken(value: Any) -> dict[str, Any]:
    """name and settings of an encoder, of its name, a mapping or a configuration."""
    if isinstance(value, str):
        return registry.spoken("encoders", value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"name": registry.name_of("encoders", value), **settings_of(value)}
    if not isinstance(value, Mapping):
        raise InputError(
            f"expected an encoder's name, or a mapping with its name and settings, got {SHORT.repr(value)}"
        )
    return dict(value)


def _encoders(content: Any) -> str | dict[str, Any]:
    """A word, or stream -> configuration."""
    if isinstance(content, str) and content in ENCODERS:
        return content
    if not isinstance(content, Mapping) or not content:
        raise InputError(
            f"expected encoders to be {' or '.join(ENCODERS)}, or encoders by stream such as {{skeleton: causal}}, "
            f"got {SHORT.repr(content)}"
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
            f"got {SHORT.repr(content)}"
        )
    made = {}
    for name, settings in content.items():
        kind = registry.choice("mining", str(name))
        if not isinstance(settings, Mapping):
            known = ", ".join(f.name for f in fields(kind))
            raise InputError(f"expected settings ({known}) under 'mining.{name}', got {SHORT.repr(settings)}")
        made[str(name)] = checked(kind, settings, f"mining.{name}")
    return made
