"""The OpenAPI document: FastAPI's own routes, and the calls with the engine's request schemas.

Every operation tells every status that it may answer with, and all errors have one envelope, or
Anthropic's on the paths of its API.
Knows nothing of how requests are answered.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from lorabay.api.description.schema_names import drop_shared_titles, share_body
from lorabay.api.problems import DIALECTS
from lorabay.serving.engine import CALLS, Dialect

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lorabay.serving.engine import Call

Document = dict[str, Any]

ERRORS: Mapping[int, str] = {
    400: "The request is wrong; `param` names the field",
    401: "No API key, or one that this server does not know",
    403: "The caller may not do this",
    404: "There is no such model, adapter, version, key or path",
    408: "The request did not come as a whole in time",
    409: "It does not fit the present state of the adapter or the key",
    413: "The body is too large",
    415: "The body is not `application/json`",
    421: "The header `host` names a host that is not this server",
    422: "The engine died more than once while it answered this very request",
    429: "Too many requests; the header `retry-after` says when to try again",
    431: "The head of the request is too large",
    500: "A bug in the server, whose log has the details",
    503: "Not possible now; the header `retry-after` says when to try again",
}
"""Every status of an error, with what it means."""

ANYWHERE = (408, 421, 431, 500, 503)
"""What any request may meet. A server that is still starting answers 503 on every path but
`/health`.
"""

BY_TAG: Mapping[str, tuple[int, ...]] = {
    "inference": (400, 401, 403, 404, 413, 415, 422, 429),
    "models": (401, 404),
    "admin": (400, 401, 403, 404, 409, 413, 415),
    "server": (),
}
"""Further statuses of the operations with a tag."""

ERROR: Document = {
    "type": "object",
    "required": ["message", "type", "param", "code"],
    "properties": {
        "message": {"type": "string", "description": "What is wrong, and what to do"},
        "type": {"type": "string", "description": "Kind of error, as the API's clients know it"},
        "param": {"type": ["string", "null"], "description": "The field that is wrong"},
        "code": {"type": "string", "description": "Stable name of the error"},
    },
}

ENVELOPES: Mapping[Dialect, Document] = {
    Dialect.OPENAI: {
        "title": "Error",
        "type": "object",
        "required": ["error"],
        "properties": {"error": ERROR},
    },
    Dialect.ANTHROPIC: {
        "title": "MessagesError",
        "type": "object",
        "required": ["type", "error"],
        "properties": {"type": {"const": "error"}, "error": ERROR},
    },
}
"""The body of an error in each dialect; the title is its name among the components."""

KEYS: Document = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key; on the paths of administrators the admin key or a token",
    },
    "x-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same key, as Anthropic's clients send it",
    },
}

WITH_KEY: list[dict[str, list[str]]] = [{name: []} for name in KEYS]

SECURITY: Mapping[str, list[dict[str, list[str]]]] = {
    # A server that only its own machine can reach may have no key.
    "inference": [*WITH_KEY, {}],
    "models": [*WITH_KEY, {}],
    "admin": WITH_KEY,
    "server": [],
}

HEADERS: Document = {
    "x-adapter": {
        "description": "The adapter that answered; `__base__` for the base",
        "schema": {"type": "string"},
    },
    "x-adapter-version": {
        "description": "Its version; absent for the base",
        "schema": {"type": "string"},
    },
}


def document_of(
    app: FastAPI, schemas: Callable[[], Mapping[str, Mapping[str, Any]]]
) -> Callable[[], Document]:
    """Return the function that builds the document of `app`, once.

    `schemas` returns the schema of each call's request body, by the call's name.
    """

    def build() -> Document:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            schema_of = schemas()
            for call in CALLS:
                # A copy, because describing a call takes the definitions out of its schema.
                schema = copy.deepcopy(dict(schema_of[call.name]))
                _describe(call, schema, document)
            _tell_errors(document)
            _name_schemas(document)
            app.openapi_schema = document
        return app.openapi_schema

    return build


def _describe(call: Call, schema: Document, document: Document) -> None:
    """Add a call to the document; definitions in its schema move to the shared components."""
    definitions = schema.pop("$defs", {})
    for body in _bodies(schema, definitions):
        _ask_for_model(body)

    components = document.setdefault("components", {}).setdefault("schemas", {})
    components |= definitions
    operation: Document = {
        "tags": ["inference"],
        "summary": call.summary,
        "operationId": call.name,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"200": _answer(call)},
    }
    if call.aliases:
        operation["description"] = f"Also at {', '.join(call.aliases)}."
    document["paths"][call.path] = {"post": operation}


def _bodies(schema: Document, definitions: Document) -> list[Document]:
    """Return the schemas of the bodies that a call takes: one, or some to choose from."""
    choices = [str(choice.get("$ref", "")) for choice in schema.get("anyOf", ())]
    names = [reference.rpartition("/")[2] for reference in choices]
    return [definitions[name] for name in names if name in definitions] or [schema]


def _ask_for_model(body: Document) -> None:
    """Say that a body has to name a model, which the engine alone would not ask for."""
    required = body.get("required", ())
    body["required"] = [*(name for name in required if name != "model"), "model"]

    # The engine takes null for the base.
    model = body.get("properties", {}).get("model", {})
    if "anyOf" in model:
        del model["anyOf"]
        model["type"] = "string"


def _answer(call: Call) -> Document:
    """Return what a call answers with; what generates can also be streamed."""
    content: Document = {"application/json": {"schema": {"type": "object"}}}
    if not call.generates:
        return {"description": "The answer", "content": content, "headers": HEADERS}

    # Without a schema: some readers take it for that of the stream, others for that of an event.
    content["text/event-stream"] = {}
    description = "The answer, or with `stream` its server-sent events"
    return {"description": description, "content": content, "headers": HEADERS}


def _tell_errors(document: Document) -> None:
    """Add to every operation the errors that it may answer with, and who may call it."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas |= {envelope["title"]: envelope for envelope in ENVELOPES.values()}
    components["securitySchemes"] = KEYS

    # FastAPI's own: parameters that are wrong are answered 400, in our envelope.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)

    for path, operation in _operations(document):
        tag = operation.get("tags", ["server"])[0]
        dialect = DIALECTS.get(path, Dialect.OPENAI)
        responses = operation["responses"]
        responses.pop("422", None)  # FastAPI's own, which is never sent
        responses |= _errors((*BY_TAG[tag], *ANYWHERE), ENVELOPES[dialect]["title"])
        operation["security"] = SECURITY[tag]


def _name_schemas(document: Document) -> None:
    """Give every schema that a client would have as a class a name of its own."""
    schemas = document["components"]["schemas"]
    for _, operation in _operations(document):
        if operation.get("tags") == ["admin"]:
            share_body(operation, schemas)
    drop_shared_titles(schemas)


def _operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _errors(statuses: Iterable[int], envelope: str) -> Document:
    schema = {"$ref": f"#/components/schemas/{envelope}"}
    return {
        str(status): {
            "description": ERRORS[status],
            "content": {"application/json": {"schema": schema}},
        }
        for status in sorted(statuses)
    }
