"""The OpenAPI document: FastAPI's own routes, and the calls with the engine's request schemas."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from lorabay.serving.engine import CALLS

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lorabay.serving.engine import Call

RESPONSES = {
    "200": {"description": "The answer, or its server-sent events"},
    "4XX": {"description": "The request is wrong"},
    "5XX": {"description": "The engine cannot answer now"},
}


def document_of(
    app: FastAPI, schemas: Callable[[], Mapping[str, Mapping[str, Any]]]
) -> Callable[[], dict[str, Any]]:
    """Return the function that builds the document of `app`, once.

    `schemas` returns the schema of each call's request body, by the call's name.
    """

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schema_of = schemas()
            for call in CALLS:
                # A copy, because describing a call takes the definitions out of its schema.
                schema = copy.deepcopy(dict(schema_of[call.name]))
                _describe(call, schema, document)
            app.openapi_schema = document
        return app.openapi_schema

    return build


def _describe(call: Call, schema: dict[str, Any], document: dict[str, Any]) -> None:
    """Add a call to the document; definitions in its schema move to the shared components."""
    components = document.setdefault("components", {}).setdefault("schemas", {})
    components |= schema.pop("$defs", {})

    document["paths"][call.path] = {
        "post": {
            "tags": ["inference"],
            "summary": call.summary,
            "operationId": call.name,
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": dict(RESPONSES),
        }
    }
