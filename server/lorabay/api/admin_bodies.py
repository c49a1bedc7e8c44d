"""Bodies of the admin side: read once the caller is identified, within limits, and described."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from lorabay.api.request.body import read_body
from lorabay.reconcile.events import Actor

MAX_BODY_BYTES = 100_000
MAX_BODY_VALUES = 1_000


def body_of(model: type[BaseModel], who: Any) -> Any:
    """Return a dependency that reads a body once the caller is identified.

    FastAPI reads its own body parameters before any dependency runs, and without a limit.
    """

    async def read(request: Request, who: Actor = who) -> BaseModel:
        if _has_no_body(request):
            return _validate(model, {})
        return _validate(model, await read_body(request, MAX_BODY_BYTES, MAX_BODY_VALUES))

    return Depends(read)


def _has_no_body(request: Request) -> bool:
    chunked = "transfer-encoding" in request.headers
    return not chunked and request.headers.get("content-length", "0") == "0"


def _validate(model: type[BaseModel], content: dict[str, Any]) -> BaseModel:
    """Return the body as `model`, or fail as FastAPI does for a body that it reads itself."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def documented(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Return the part of the OpenAPI document for a body that FastAPI does not see."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}
