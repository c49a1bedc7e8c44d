"""What the API says of itself, made once."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from fastapi import FastAPI

from lorabay.api.description.documents import Documents, documents_router
from tests.api.conftest import Api, client_of


async def test_the_page_needs_no_other_host(api: Api) -> None:
    """Neither a script nor a style of somebody else's is loaded, whatever a schema holds."""
    response = await api.http.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "/v1/chat/completions" in response.text


async def test_both_show_the_same_document(api: Api) -> None:
    """Every path of the one is on the other."""
    document = (await api.http.get("/openapi.json")).json()
    page = (await api.http.get("/docs")).text
    assert len(document["paths"]) >= 10
    assert all(path in page for path in document["paths"])


async def test_the_document_is_made_once_beside_the_loop() -> None:
    """Many who ask at once wait for one making, which holds nobody up."""
    made: list[int] = []

    def build() -> dict[str, Any]:
        made.append(threading.get_ident())
        return {"info": {"title": "t", "version": "1"}, "paths": {}}

    app = FastAPI(openapi_url=None, docs_url=None)
    app.include_router(documents_router(build))
    async with client_of(app) as http:
        asked = [http.get(path) for path in ("/docs", "/openapi.json") * 5]
        answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert len(made) == 1
    assert made[0] != threading.get_ident()


def test_a_document_is_sent_as_json() -> None:
    """Programs read it back as it was."""
    document = {"info": {"title": "ü", "version": "1"}, "paths": {}}
    assert json.loads(Documents.of(document).openapi) == document
