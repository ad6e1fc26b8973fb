"""The OpenAPI document is valid, its examples run as they stand, and the service answers as it says."""

import jsonschema
import numpy as np
import openapi_spec_validator
import pytest
from tsrep_deploy.engine import Engine
from tsrep_deploy.page_files import FILES


def resolved(told: dict, schema: dict) -> dict:
    """A schema with the document's components beside it."""
    return {**schema, "components": told["components"]}


def test_the_document_is_valid(service):
    told = service().get("/v1/openapi.json").json()
    openapi_spec_validator.validate(told)
    told["paths"]["/v1/embed"]["post"].pop("responses")
    told["info"].pop("title")
    with pytest.raises(Exception, match="title"):
        openapi_spec_validator.validate(told)


def test_every_example_runs_and_is_answered_as_the_document_says(service):
    running = service(model="a=small,b=small")
    told, ran = running.get("/v1/openapi.json").json(), 0
    for path, item in told["paths"].items():
        body = item.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json")
        if body is None or path.startswith("/v1/collections/"):  # those run in test_collections.py, one after another
            continue
        for example in body["examples"].values():
            jsonschema.validate(example["value"], resolved(told, body["schema"]))
            answer = running.post(url=path, json=example["value"])
            assert answer.status_code == 200, answer.text
            schema = item["post"]["responses"]["200"]["content"]["application/json"]["schema"]
            jsonschema.validate(answer.json(), resolved(told, schema))
            bad = running.post(url=path, json={"windows": []})
            schema = item["post"]["responses"][str(bad.status_code)]["content"]["application/json"]["schema"]
            jsonschema.validate(bad.json(), resolved(told, schema))
            ran += 1
    assert ran >= 9


@pytest.mark.parametrize("path", ["/v1/info", "/v1/models", "/v1/models/small/info", "/page/examples", "/page/windows"])
def test_what_is_read_is_as_the_document_says(service, path):
    running = service()
    told = running.get("/v1/openapi.json").json()
    schema = told["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(running.get(path).json(), resolved(told, schema))


def test_every_route_is_in_the_document_and_nothing_else(service):
    running = service(model="a=small,b=small")
    told = running.get("/v1/openapi.json").json()
    served = {"/livez", "/readyz", "/metrics"}  # BentoML's
    assert set(told["paths"]) == {route.path for route in running.app.routes} - (set(FILES) - {"/"}) | served


def test_every_query_of_the_document_is_taken_and_its_values_are_all_there_are(service):
    running = service()
    told = running.get("/v1/openapi.json").json()
    for path in ("/v1/embed", "/v1/steps", "/v1/similarity"):
        post = told["paths"][path]["post"]
        example = post["requestBody"]["content"]["application/json"]["examples"]["windows"]["value"]
        for reference in post["parameters"]:
            query = told["components"]["parameters"][reference["$ref"].rsplit("/", 1)[-1]]
            for value in query["schema"].get("enum", [1]):
                assert running.post(url=path, json=example, params={query["name"]: value}).status_code == 200


def test_the_examples_are_made_up_and_the_document_is_written_once_for_an_engine(service, model, monkeypatch):
    from tsrep_deploy import app

    running, wrote = service(), []
    write = app.openapi.document
    monkeypatch.setattr(app.openapi, "document", lambda *given: wrote.append(1) or write(*given))
    told = [running.get("/v1/openapi.json").json() for _ in range(2)]
    assert running.get("/docs").status_code == 200 and told[0] == told[1] and len(wrote) == 1
    shown = told[0]["paths"]["/v1/embed"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    numbers = np.ravel(shown["windows"]["value"]["windows"])
    assert numbers.min() >= 0 and numbers.max() <= 1
    running.shelf.put("small", Engine(model, running.settings, "small", "1"))
    assert running.get("/v1/openapi.json").json() == told[0] and len(wrote) == 2


def test_a_path_with_a_slash_behind_it_is_another(service):
    assert service().get("/v1/info/").status_code == 404


def test_the_page_loads_nothing_from_elsewhere(service):
    page = service().get("/docs").text
    assert "POST /v1/embed" in page
    assert not [word for word in ("http:", "https:", "src=", "@import", "url(") if word in page]
