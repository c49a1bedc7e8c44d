"""The API as a web page."""

from __future__ import annotations

import re

from lorabay.api.description.docs_page import page_of
from lorabay.serving.engine import CALLS
from tests.api.conftest import Api


async def test_the_page_shows_every_path(api: Api) -> None:
    """It neither loads nor runs anything."""
    response = await api.http.get("/docs")
    for call in CALLS:
        assert f"POST {call.path}" in response.text
    assert "GET /v1/models/{model}" in response.text
    assert "<script" not in response.text
    assert re.findall(r'(?:src|href)="(?!#|openapi\.json")', response.text) == []


async def test_references_lead_to_schemas_on_the_page(api: Api) -> None:
    """Each link has its target."""
    text = (await api.http.get("/docs")).text
    links = set(re.findall(r'href="#([^"]+)"', text))
    assert links
    assert links <= set(re.findall(r'id="([^"]+)"', text))


def test_texts_of_a_document_are_text() -> None:
    """What looks like markup in a schema is shown, not run."""
    document = {
        "info": {"title": "<b>", "version": "1"},
        "paths": {"/<i>": {"get": {"summary": "<script>", "description": "</pre><script>"}}},
        "components": {"schemas": {"A": {"description": "<img onerror=x>"}}},
    }
    page = page_of(document)
    assert not re.search(r"<(b|i|img|script)[ >]", page)
    assert "&lt;script&gt;" in page
