"""Reads a request body: bounded, JSON, an object that names a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lorabay.errors import InvalidRequest, RequestTooLarge

if TYPE_CHECKING:
    from starlette.requests import Request

    from lorabay.serving.engine import Body


async def read_body(request: Request, limit: int) -> Body:
    """Read the JSON object that a request carries, at most `limit` bytes of it.

    Raises RequestTooLarge or InvalidRequest; a body over the limit is refused before it is read whole.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise InvalidRequest(f"content type {content_type or 'missing'!r}: send `application/json`", status=415)
    try:
        body = json.loads(await _read(request, limit))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not valid UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequest(f"the body must be a JSON object, not {type(body).__name__}")
    return body


async def _read(request: Request, limit: int) -> bytes:
    too_large = RequestTooLarge(f"the body is larger than {limit} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise too_large
    return bytes(content)


def asked_model(body: Body) -> str:
    """Give `model` as the client wrote it; raises InvalidRequest when it is absent or not text."""
    model = body.get("model")
    if model is None:
        raise InvalidRequest("you must provide a `model`", param="model")
    if not isinstance(model, str):
        raise InvalidRequest(f"`model` must be a string, not {type(model).__name__}", param="model")
    return model
