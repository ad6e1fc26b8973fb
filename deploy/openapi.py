"""The OpenAPI 3.1 document of the service, written by hand, with examples that run as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

import tsrep

from .engine import Engine
from .numbers import DTYPES
from .refusal import STATUS
from .schemas import COUNT, FEW, NUMBER, TEXT, Schema, binary, json_of, object_of, parameter, ref, refusals
from .wire import ARROW, JSON, NPY

STEPS_SHOWN = 6
"""Time steps of an example."""


def document(engine: Engine, models: Sequence[str]) -> dict[str, Any]:
    """The document of a service of these models; examples and widths are those of `engine`, the default one."""
    paths: dict[str, Any] = {}
    for name, operation in _operations(engine, models).items():
        what, verb = name.split()
        paths[f"/v1/{what}"] = {verb: operation}
        paths |= {f"/v1/models/{model}/{what}": {verb: _of_model(operation, model)} for model in models}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tsrep embedding service",
            "version": tsrep.__version__,
            "description": "Windows of time series in, embeddings out. Every request may bring an X-Request-Id, which its answer "
            "and its line of the log carry; every answer has Server-Timing (queue, inference, total, in milliseconds).",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{"bearer": []}, {"header": []}, {}],
        "paths": paths | _plain_paths(models),
        "components": {
            "schemas": _schemas(engine),
            "parameters": _parameters(engine, models),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of `tsrep keys add`; where the service has none, nobody needs one.",
                },
                "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    }


def page(told: dict[str, Any]) -> str:
    """The document for people to read, as one page that loads nothing."""
    rows = []
    for path, item in told["paths"].items():
        for verb, operation in item.items():
            if not path.startswith("/v1/models/"):
                queries = ", ".join(escape(one["$ref"].rsplit("/", 1)[-1]) for one in operation.get("parameters", []))
                route, what = f"{verb.upper()} {escape(path)}", escape(operation["summary"])
                rows.append(f"<tr><td><code>{route}</code></td><td>{what}</td><td>{queries}</td></tr>")
    style = (
        ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "td,th{text-align:left;padding:.3rem 1rem .3rem 0;vertical-align:top}code{font-size:.95em}"
    )
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>tsrep service</title><style>{style}</style>"
    return (
        f"{head}<h1>{escape(told['info']['title'])}</h1><p>{escape(told['info']['description'])}</p>"
        f"<table><thead><tr><th>Route<th>What it does<th>Query</thead><tbody>{''.join(rows)}</tbody></table>"
        "<p>The whole document, with schemas and examples: <a href='/v1/openapi.json'>/v1/openapi.json</a>, "
        "which asks for a key where the service has keys.</p></html>"
    )


def example(engine: Engine, windows: int) -> list[list[list[float]]]:
    """Made-up windows of numbers from 0 to 1, always the same: a document is passed on, what a model was trained on is not."""
    drawn = np.random.default_rng(0).random((windows, len(engine.model.data.channels), STEPS_SHOWN))
    return [[[round(float(x), 2) for x in channel] for channel in one] for one in drawn]


def _operations(engine: Engine, models: Sequence[str]) -> dict[str, Any]:
    forms_of = {NPY: {"schema": binary()}, ARROW: {"schema": binary()}}

    def asked(windows: int) -> dict[str, Any]:
        shown = {"schema": ref("Windows"), "examples": {"windows": {"value": {"windows": example(engine, windows)}}}}
        return {"required": True, "content": {JSON: shown, **forms_of}}

    def post(summary: str, queries: Sequence[str], answer: str, windows: int = 2, forms: bool = True) -> dict[str, Any]:
        content = {JSON: {"schema": ref(answer)}} | (forms_of if forms else {})
        return {
            "summary": summary,
            "parameters": [parameter("model"), *map(parameter, queries)],
            "requestBody": asked(windows),
            "responses": {"200": {"description": "As asked by Accept.", "content": content}, **refusals(*_STATUSES)},
        }

    info = {
        "summary": "The model: card, channels, rate, forms, limits, versions",
        "parameters": [parameter("model")],
        "responses": {
            "200": json_of("What a client must know to ask well.", "Info"),
            **refusals(401, 404, 422, 429, 503),
        },
    }
    return {
        "embed post": post("An embedding of each window", ("pool", "dtype", "dimensions", "counted"), "Embeddings"),
        "steps post": post("An embedding of every time step of each window", ("dtype_of_steps", "dimensions"), "Steps"),
        "similarity post": post(
            "How near the embeddings of two windows are", ("pool", "counted"), "Similarity", forms=False
        ),
        "classify post": post("The class of each window, of a model that carries a head", ("counted",), "Classes"),
        "forecast post": post(
            "The steps after each window, of a model that carries a forecasting head", ("counted",), "Forecasts"
        ),
        "info get": info,
    }


_STATUSES = (401, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504)


def _plain_paths(models: Sequence[str]) -> dict[str, Any]:
    open_: dict[str, Any] = {"security": [{}]}
    ready = {"200": {"description": "Yes."}, "503": {"description": "Not yet, or no longer."}}
    return {
        "/v1/models": {
            "get": {
                "summary": "The names of the models; the first is the default",
                "responses": {"200": json_of("The names.", "Models"), **refusals(401, 429)},
            }
        },
        "/v1/drift": {
            "get": {
                "summary": "Whether the recent windows are like those that each model was trained on",
                "responses": {
                    "200": json_of("A comparison for each model.", "Drifts"),
                    **refusals(401, 429, 500, 503, 504),
                },
            }
        },
        "/v1/openapi.json": {
            "get": {
                "summary": "This document",
                "responses": {"200": {"description": "It."}, **refusals(401, 429, 503)},
            }
        },
        "/docs": {
            "get": {
                "summary": "A page that lists the routes",
                "responses": {"200": {"description": "HTML."}, **refusals(503)},
                **open_,
            }
        },
        "/": {
            "get": {
                "summary": "A page to look at windows and their embeddings",
                "responses": {"200": {"description": "HTML."}, "304": {"description": "As it was."}},
                **open_,
            }
        },
        "/page/examples": {
            "get": {
                "summary": "Which built-in sets have the channels of a model",
                "parameters": [parameter("model")],
                "responses": {"200": json_of("Their names.", "Sets"), **refusals(401, 404, 422, 429, 503)},
            }
        },
        "/page/windows": {
            "get": {
                "summary": "A few windows of a built-in set, or those that the model keeps itself",
                "parameters": [parameter("model"), parameter("set")],
                "responses": {"200": json_of("Windows.", "Shown"), **refusals(401, 404, 422, 429, 503)},
            }
        },
        "/livez": {
            "get": {"summary": "Whether the process answers", "responses": {"200": {"description": "Yes."}}, **open_}
        },
        "/readyz": {
            "get": {
                "summary": "Whether every model is loaded and embeds its own stored inputs as it should",
                "responses": ready,
                **open_,
            }
        },
        "/metrics": {
            "get": {"summary": "Numbers for Prometheus", "responses": {"200": {"description": "Text."}}, **open_}
        },
    }


def _parameters(engine: Engine, models: Sequence[str]) -> dict[str, Any]:
    def query(name: str, schema: Schema, description: str) -> dict[str, Any]:
        return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}

    return {
        "model": query("model", {"enum": list(models)}, f"Which model; '{models[0]}' where none is named."),
        "set": query("set", TEXT, "Which set, as /page/examples lists them; without one the model's own windows."),
        "pool": query("pool", {"enum": list(filter(None, engine.model.pools))}, "How steps become one; by default the encoder's way."),
        "dtype": query(
            "dtype", {"enum": list(DTYPES)},
            "Numbers of the answer. int8: q = round(x / scale) with a scale of each vector, which is sent along; x is about scale * q.",
        ),
        "dtype_of_steps": query("dtype", {"enum": list(DTYPES[:2])}, "Numbers of the answer."),
        "dimensions": query(
            "dimensions", {"type": "integer", "minimum": 1, "maximum": max(map(engine.model.width, engine.model.pools))},
            "Only the first so many numbers of each embedding. None was trained to be more important: measure what is lost.",
        ),
        "counted": query("counted", {"enum": ["yes", "no"]}, "Whether /v1/drift is measured by these windows; by default they are."),
    }  # fmt: skip


def _schemas(engine: Engine) -> dict[str, Any]:
    settings = engine.settings
    steps = {"type": "array", "items": FEW, "minItems": 1, "maxItems": settings.max_samples}
    window = {
        "type": "array",
        "items": steps,
        "minItems": len(engine.model.data.channels),
        "maxItems": len(engine.model.data.channels),
        "description": f"channel by channel, all of one length: {', '.join(engine.model.data.channels[:20])}; null is missing",
    }
    head = {"model": TEXT, "pool": {"type": ["string", "null"]}, "dtype": {"enum": list(DTYPES)}, "features": COUNT}
    error = {"reason": {"enum": list(STATUS)}, "message": TEXT, "expected": {}, "got": {}}
    drift = {
        "statistic": {"const": "mmd", "description": "squared maximum mean discrepancy, unbiased; see tsrep/drift.py"},
        "value": FEW,
        "threshold": {**FEW, "description": "what the value exceeds once in a hundred without drift"},
        "recent": COUNT,
        "reference": COUNT,
        "drifted": {"type": ["boolean", "null"]},
        "says": TEXT,
    }
    told = engine.info() | {"models": []}
    return {
        "Windows": object_of(
            {"windows": {"type": "array", "items": window, "minItems": 1, "maxItems": settings.max_windows}}
        ),
        "Embeddings": object_of(
            {
                **head,
                "scale": {"type": "array", "items": NUMBER},
                "embeddings": {"type": "array", "items": {"type": "array", "items": NUMBER}},
            },
            optional=("scale",),
        ),
        "Steps": object_of(
            {
                **head,
                "embeddings": {"type": "array", "items": {"type": "array", "items": {"type": "array", "items": FEW}}},
            }
        ),
        "Similarity": object_of(
            {
                "model": TEXT,
                "pool": {"type": ["string", "null"]},
                "cosine": FEW,
                "euclidean": {"type": "number", "minimum": 0},
            }
        ),
        "Classes": object_of(
            {
                "model": TEXT,
                "classes": {"type": "array", "items": TEXT},
                "label": {"type": "array", "items": TEXT},
                "probability": {"type": "array", "items": {"type": "array", "items": NUMBER}},
            }
        ),
        "Forecasts": object_of(
            {
                "model": TEXT,
                "channels": {"type": "array", "items": TEXT},
                "horizon": COUNT,
                "forecasts": {
                    "type": "array",
                    "items": {"type": "array", "items": {"type": "array", "items": NUMBER}},
                    "description": "of each window, of each channel, the steps ahead, in the units of the data",
                },
            }
        ),
        "Drifts": object_of({"models": {"type": "object", "additionalProperties": object_of(drift)}}),
        "Models": object_of({"models": {"type": "array", "items": TEXT, "minItems": 1}}),
        "Sets": object_of(
            {
                "model": TEXT,
                "sets": {
                    "type": "array",
                    "items": object_of({"name": TEXT, "shape": TEXT, "classes": {"type": "array", "items": TEXT}}),
                },
                "own": COUNT,
                "says": TEXT,
            }
        ),
        "Shown": object_of(
            {
                "model": TEXT,
                "name": {"type": ["string", "null"]},
                "channels": {"type": "array", "items": TEXT},
                "windows": {"type": "array", "items": window},
                "label": {"type": ["array", "null"], "items": TEXT},
            }
        ),
        "Info": {"type": "object", "required": sorted(told)},
        "Error": object_of({"error": object_of(error, optional=("expected", "got"))}),
    }


def _of_model(operation: dict[str, Any], model: str) -> dict[str, Any]:
    queries = [one for one in operation["parameters"] if one != parameter("model")]
    return {**operation, "summary": f"{operation['summary']} (model {model})", "parameters": queries}
