"""The OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lorabay.serving.engine import CALLS
from tests.api.conftest import Api


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
    assert "/openapi.json" in page.text
