"""The OpenAPI document: FastAPI's own routes plus the POST endpoints with vLLM's real request
schemas.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from lorabay.api.inference import PATHS

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lorabay.serving.engine import Endpoint

SUMMARIES: Mapping[Endpoint, str] = {
    "chat": "Chat completion, whole or streamed",
    "completions": "Text completion, whole or streamed",
    "responses": "Response, whole or streamed",
    "tokenize": "Text or messages to token ids",
    "detokenize": "Token ids to text",
}
ERRORS = {
    "4XX": {"description": "The request is wrong"},
    "5XX": {"description": "The engine cannot answer now"},
}


def describe(
    app: FastAPI, schemas: Callable[[], Mapping[Endpoint, Mapping[str, Any]]]
) -> Callable[[], dict[str, Any]]:
    """Give the function that builds, once, the document of `app`; `schemas` come from the
    engine.
    """

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            for endpoint, schema in schemas().items():
                _add(document, endpoint, copy.deepcopy(dict(schema)))
            app.openapi_schema = document
        return app.openapi_schema

    return build


def _add(document: dict[str, Any], endpoint: Endpoint, schema: dict[str, Any]) -> None:
    components = document.setdefault("components", {}).setdefault("schemas", {})
    components |= schema.pop("$defs", {})
    document["paths"][PATHS[endpoint]] = {
        "post": {
            "tags": ["inference"],
            "summary": SUMMARIES[endpoint],
            "operationId": endpoint,
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": {"200": {"description": "The answer, or its server-sent events"}} | ERRORS,
        }
    }
