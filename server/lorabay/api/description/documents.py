"""`GET /openapi.json` and `GET /docs`: what the API is, for programs and for people.

Both are large, and whoever reaches the port may ask for them. So they are made once, beside the
event loop, and kept as bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from lorabay.api.description.docs_page import Document, page_of

PAGE_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
"""The page may load nothing, should a schema ever hold markup that is not escaped."""


@dataclass(frozen=True, slots=True)
class Documents:
    """The description of the API, ready to be sent."""

    openapi: bytes
    page: bytes

    @classmethod
    def of(cls, document: Document) -> Documents:
        """Return an OpenAPI document as JSON and as a page."""
        return cls(json.dumps(document).encode(), page_of(document).encode())


def documents_router(build: Callable[[], Document]) -> APIRouter:
    """Return the routes; `build` returns the OpenAPI document, and may take a while."""
    router = APIRouter()
    making = asyncio.Lock()
    made: list[Documents] = []

    async def documents() -> Documents:
        async with making:
            if not made:
                made.append(await asyncio.to_thread(lambda: Documents.of(build())))
        return made[0]

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response((await documents()).openapi, media_type="application/json")

    @router.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse((await documents()).page, headers=PAGE_HEADERS)

    return router
