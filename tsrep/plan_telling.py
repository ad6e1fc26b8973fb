"""What a plan says, value by value, and what a plan file may say, as a JSON schema."""

from __future__ import annotations

import dataclasses
from dataclasses import fields
from typing import Any

from tsrep import registry
from tsrep.checked import adapter
from tsrep.learning import Training
from tsrep.plan import ENCODERS, ROOMS, DataPlan, Given, Plan


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
        made: dict[str, Any] = adapter(kind).json_schema()
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
