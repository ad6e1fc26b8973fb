"""Pieces of the OpenAPI document, for openapi.py and openapi_search.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .refusal import AGAIN, STATUS
from .wire import JSON

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FEW: Schema = {"type": ["number", "null"]}


def refusals(*statuses: int) -> dict[str, Any]:
    found = {}
    for status in statuses:
        reasons = ", ".join(reason for reason, its in STATUS.items() if its == status)
        found[str(status)] = json_of(f"Refused: {reasons}", "Error")
        if status in AGAIN:
            found[str(status)]["headers"] = {"Retry-After": {"schema": COUNT, "description": "seconds"}}
    return found


def object_of(properties: dict[str, Any], optional: Sequence[str] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def json_of(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": ref(schema)}}}


def ref(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def parameter(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/parameters/{name}"}


def binary() -> Schema:
    return {"type": "string", "contentEncoding": "binary"}
