"""The OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from lorabay.api.description.openapi import ERRORS, document_of
from lorabay.errors import (
    AdapterConflict,
    AdapterRejected,
    KeyConflict,
    LorabayError,
    SetupError,
    UsageError,
)
from lorabay.serving.engine import CALLS, Dialect
from tests.api.conftest import Api

NULL = {"type": "null"}


def references(document: object) -> Iterator[str]:
    """Return every `$ref` in a document."""
    match document:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for value in document.values():
                yield from references(value)
        case list():
            for value in document:
                yield from references(value)


def resolve(document: dict[str, Any], reference: str) -> object:
    """Return what a reference within the document points to."""
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


async def test_every_post_path_has_the_engines_schema(api: Api) -> None:
    """Each call is described by the schema that the engine validates."""
    document = (await api.http.get("/openapi.json")).json()
    for call in CALLS:
        operation = document["paths"][call.path]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert schema["title"] == call.name
        assert operation["summary"] == call.summary


async def test_all_references_resolve(api: Api) -> None:
    """Every reference points to something that is in the document."""
    document = (await api.http.get("/openapi.json")).json()
    found = list(references(document))
    assert "#/components/schemas/Word" in found
    for reference in found:
        assert resolve(document, reference)


async def test_the_document_does_not_change_the_engines_schemas(api: Api) -> None:
    """Building the document twice gives the same, and leaves the engine's schemas alone."""
    before = api.engine.schemas()
    first = (await api.http.get("/openapi.json")).json()
    api.app.openapi_schema = None
    assert (await api.http.get("/openapi.json")).json() == first
    assert api.engine.schemas() == before


async def test_the_page_for_people(api: Api) -> None:
    """`/docs` shows the document."""
    page = await api.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert 'href="openapi.json"' in page.text


@pytest.mark.parametrize("required", [[], ["model"]])
@pytest.mark.parametrize("choice", [False, True])
async def test_every_body_has_to_name_a_model(api: Api, choice: bool, required: list[str]) -> None:
    """Also where the engine takes one of several bodies, and would take none for the base; and once
    where the engine asks for it, too.
    """
    names = {"model": {"anyOf": [{"type": "string"}, NULL]}}
    body = {"type": "object", "properties": names, "required": required}
    chosen = {"anyOf": [{"$ref": "#/components/schemas/Body"}], "$defs": {"Body": body}}
    schema = chosen if choice else body
    build = document_of(api.app, lambda: {call.name: deepcopy(schema) for call in CALLS})
    document = build()
    sent = document["paths"][CALLS[0].path]["post"]["requestBody"]["content"]["application/json"]
    found = document["components"]["schemas"]["Body"] if choice else sent["schema"]
    assert found["required"] == ["model"]
    assert found["properties"]["model"] == {"type": "string"}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return path, method and operation of everything in a document."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


async def test_every_operation_tells_its_errors(api: Api) -> None:
    """In our envelope, or in Anthropic's on the paths of its API; FastAPI's own form of a 422,
    which is never sent, is not there.
    """
    document = (await api.http.get("/openapi.json")).json()
    anthropics = {call.path for call in CALLS if call.dialect is Dialect.ANTHROPIC}
    found = list(operations(document))
    assert len(found) >= 10
    for path, _, operation in found:
        errors = {status for status in operation["responses"] if not status.startswith("2")}
        assert {"500", "503"} <= errors
        for status in errors:
            content = operation["responses"][status]["content"]["application/json"]
            envelope = "MessagesError" if path in anthropics else "Error"
            assert content["schema"] == {"$ref": f"#/components/schemas/{envelope}"}, path
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_an_error_has_the_shape_that_the_document_tells(api: Api) -> None:
    """Each envelope has these fields and no others."""
    document = (await api.http.get("/openapi.json")).json()
    for call in CALLS:
        responses = document["paths"][call.path]["post"]["responses"]
        told = responses["400"]["content"]["application/json"]["schema"]["$ref"]
        envelope: Any = resolve(document, told)
        sent = (await api.http.post(call.path, json={})).json()
        assert sent.keys() == set(envelope["required"]) == envelope["properties"].keys()
        error = envelope["properties"]["error"]
        assert sent["error"].keys() == set(error["required"]) == error["properties"].keys()


def failures(kind: type[LorabayError] = LorabayError) -> Iterator[type[LorabayError]]:
    """Return every kind of expected failure."""
    for below in kind.__subclasses__():
        yield below
        yield from failures(below)


async def test_every_failure_of_a_call_is_told(api: Api) -> None:
    """A kind of error that is added has to be added to the document, too."""
    document = (await api.http.get("/openapi.json")).json()
    told = {int(status) for status in document["paths"][CALLS[0].path]["post"]["responses"]}
    # An admin call's, and those that end a start.
    elsewhere = {AdapterConflict, AdapterRejected, KeyConflict, SetupError, UsageError}
    of_calls = [kind for kind in failures() if kind not in elsewhere]
    assert len(of_calls) >= 6
    assert {kind.status for kind in of_calls} <= told
    assert {kind.status for kind in failures()} <= ERRORS.keys()


async def test_whoever_needs_a_key_is_told(api: Api) -> None:
    """The document names the scheme, and the operations that take a key."""
    document = (await api.http.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["components"]["securitySchemes"]["x-api-key"]["in"] == "header"
    security = {path: operation["security"] for path, _, operation in operations(document)}
    assert {"key": []} in security[CALLS[0].path]
    assert {"x-api-key": []} in security[CALLS[0].path]
    assert security["/health"] == []
