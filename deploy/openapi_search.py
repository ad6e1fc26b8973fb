"""What the OpenAPI document says of collections; its examples run one after another as they stand."""

from __future__ import annotations

from typing import Any

from .engine import Engine
from .entries import LONGEST_DESCRIPTION
from .facts import LIKE, LONGEST_KEY, MOST_TERMS
from .openapi import example
from .schemas import COUNT, NUMBER, TEXT, Schema, binary, json_of, object_of, parameter, ref, refusals
from .search import METRICS, PATH
from .wire import ARROW, JSON, NPY

_SAID = (401, 404, 408, 409, 413, 415, 422, 429, 500, 503, 504)


def beside(told: dict[str, Any], engine: Engine) -> dict[str, Any]:
    """The document with the routes of collections in it."""
    told["paths"] |= _paths(engine)
    told["components"]["schemas"] |= _schemas(engine)
    told["components"]["parameters"] |= _parameters(engine)
    return told


def _paths(engine: Engine) -> dict[str, Any]:
    one, two = example(engine, 1), example(engine, 2)
    name = [parameter("name")]
    made = {"model": engine.name, "metric": METRICS[0], "description": "An example"}
    added = {
        "ids": ["a", "b"],
        "windows": two,
        "metadata": [{"subject": 3, "label": "walk"}, {"subject": 4, "label": None}],
    }
    asked = {"windows": one, "k": 1, "filter": {"subject": {">=": 3, "<": 5}, "label": "walk"}}

    def does(summary: str, answer: str, *statuses: int, **more: Any) -> dict[str, Any]:
        return {
            "summary": summary,
            **more,
            "responses": {"200": json_of("Done.", answer), **refusals(*(statuses or _SAID))},
        }

    def body(schema: str, value: Any, required: bool = True, **forms: Any) -> dict[str, Any]:
        shown = {"schema": ref(schema), "examples": {"example": {"value": value}}}
        return {"required": required, "content": {JSON: shown, **forms}}

    create = does(
        "A new collection of windows of one model",
        "Collection",
        parameters=name,
        requestBody=body("NewCollection", made, False),
    )
    create["responses"]["201"] = json_of("Made.", "Collection")
    query = does(
        "The nearest windows of the collection, of each window", "Neighbours", 406, *_SAID,
        parameters=[*name, parameter("k"), parameter("filter")],
        requestBody=body("Query", asked, **{NPY: {"schema": binary()}, ARROW: {"schema": binary()}}),
    )  # fmt: skip
    query["responses"]["200"]["content"][ARROW] = {"schema": binary()}
    return {
        PATH: {"get": does("The collections", "Collections", 401, 404, 429, 500, 503, 504)},
        PATH + "/{name}": {
            "get": does("A collection: its model, metric and how many windows it holds", "Collection", parameters=name),
            "put": create,
            "delete": does("Deletes a collection with all its windows", "Dropped", parameters=name),
        },
        PATH + "/{name}/windows": {
            "post": does(
                "Adds windows, or replaces those of the same ids; all of them or none", "Added",
                parameters=name, requestBody=body("Entries", added, **{ARROW: {"schema": binary()}}),
            ),
            "delete": does("Deletes windows", "Deleted", parameters=name, requestBody=body("Ids", {"ids": ["b", "c"]})),
        },
        PATH + "/{name}/query": {"post": query},
    }  # fmt: skip


def _parameters(engine: Engine) -> dict[str, Any]:
    name = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}
    k = {"type": "integer", "minimum": 1, "maximum": engine.settings.max_neighbours}
    beside = "Beside a body of npy or Arrow; JSON says it in the body."
    return {
        "name": {
            "name": "name",
            "in": "path",
            "required": True,
            "schema": name,
            "description": "Of a collection.",
            "example": "walks",
        },
        "k": {
            "name": "k",
            "in": "query",
            "required": False,
            "schema": k,
            "description": f"How many neighbours. {beside}",
        },
        "filter": {
            "name": "filter",
            "in": "query",
            "required": False,
            "schema": TEXT,
            "description": f"JSON such as {LIKE}. {beside}",
        },
    }


def _schemas(engine: Engine) -> dict[str, Schema]:
    settings = engine.settings
    value: Schema = {"type": ["string", "number", "boolean", "null"]}
    keys: Schema = {"minLength": 1, "maxLength": LONGEST_KEY}
    metadata = {
        "type": ["object", "null"],
        "additionalProperties": value,
        "propertyNames": keys,
        "maxProperties": settings.max_metadata_keys,
    }
    ids = {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": settings.max_id}, "minItems": 1}
    windows = {"$ref": "#/components/schemas/Windows/properties/windows"}
    order: Schema = {"type": ["string", "number"]}
    operators: Schema = {
        "type": "object",
        "minProperties": 1,
        "properties": {
            "=": value,
            "in": {"type": "array", "items": value, "minItems": 1, "maxItems": MOST_TERMS},
            **dict.fromkeys(("<", "<=", ">", ">="), order),
        },
        "additionalProperties": False,
    }
    collection = {
        "name": TEXT,
        "model": TEXT,
        "identity": TEXT,
        "metric": {"enum": list(METRICS)},
        "features": COUNT,
        "description": TEXT,
        "count": COUNT,
    }
    neighbour = object_of(
        {"id": TEXT, "distance": NUMBER, "metadata": {"type": "object", "additionalProperties": value}}
    )
    new = {
        "model": {"type": ["string", "null"], "description": "The service's first where none is named."},
        "metric": {"enum": list(METRICS), "description": "euclidean by default; cosine: 1 − cosine similarity."},
        "description": {"type": "string", "maxLength": LONGEST_DESCRIPTION},
    }
    k = {"type": "integer", "minimum": 1, "maximum": settings.max_neighbours, "default": 10}
    wanted = {"type": ["object", "null"], "additionalProperties": {"anyOf": [value, operators]}, "propertyNames": keys}
    entries = {"ids": ids, "windows": windows, "metadata": {"type": "array", "items": metadata}}
    return {
        "NewCollection": object_of(new, optional=tuple(new)),
        "Collection": object_of(collection),
        "Collections": object_of({"collections": {"type": "array", "items": ref("Collection")}}),
        "Dropped": object_of({"collection": TEXT, "deleted": {"const": True}}),
        "Entries": object_of(entries, optional=("metadata",)),
        "Added": object_of({"collection": TEXT, "added": COUNT, "replaced": COUNT, "windows": COUNT}),
        "Ids": object_of({"ids": ids}),
        "Deleted": object_of({"collection": TEXT, "deleted": COUNT, "windows": COUNT}),
        "Query": object_of(
            {"windows": windows | {"maxItems": settings.max_query_windows}, "k": k, "filter": wanted},
            optional=("k", "filter"),
        ),
        "Neighbours": object_of(
            {
                "collection": TEXT,
                "model": TEXT,
                "metric": {"enum": list(METRICS)},
                "neighbours": {"type": "array", "items": {"type": "array", "items": neighbour}},
            }
        ),
    }
