"""Reads a request body: bounded in bytes and in values, JSON, an object that names a model."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from lorabay.api.disconnects import ClientGone
from lorabay.api.request.json_size import CONTAINER_WEIGHT, count_values
from lorabay.errors import InvalidRequest, RequestTooLarge

if TYPE_CHECKING:
    from starlette.requests import Request

    from lorabay.serving.engine import Body

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


async def read_body(request: Request, limit: int, max_values: int) -> Body:
    """Return the JSON object that a request carries in at most `limit` bytes.

    Raises RequestTooLarge as soon as the limit is passed, InvalidRequest for any other body, and
    ClientGone if the client leaves while it sends. A body of more than `max_values` JSON values is
    refused unparsed: parsed, each would take many times its bytes.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise InvalidRequest(
            f"content type {content_type or 'missing'!r}: send `application/json`", status=415
        )

    try:
        body = _parse(await _read(request, limit), max_values)
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"the body is not valid UTF-8: {error.reason} at byte {error.start}"
        ) from None
    except UnicodeEncodeError:
        raise InvalidRequest("the body holds half of a surrogate pair, which is no text") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None

    if not isinstance(body, dict):
        raise InvalidRequest(f"the body must be a JSON object, not {type(body).__name__}")
    return body


async def _read(request: Request, limit: int) -> bytearray:
    too_large = RequestTooLarge(f"the body is larger than {limit} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large

    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > limit:
                raise too_large
    except ClientDisconnect:
        raise ClientGone from None
    return content


def _parse(content: bytearray, max_values: int) -> object:
    """Parse strict JSON: no NaN or infinity, no strings that could not be written out again."""
    values = count_values(content, max_values)
    if values > max_values:
        raise InvalidRequest(
            f"the body holds at least {values} JSON values and names, where an object or a list "
            f"counts as {CONTAINER_WEIGHT}; at most {max_values} (setting `max_json_values`)"
        )

    text = content.decode()
    body = json.loads(text, parse_constant=_refuse_constant)

    # Half a surrogate pair can only come from an escape; encoding finds it.
    if _SURROGATE.search(text):
        json.dumps(body, ensure_ascii=False).encode()
    return body


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def asked_model(body: Body) -> str:
    """Return `model` as the client wrote it; raises InvalidRequest if it is absent or not text."""
    model = body.get("model")
    if model is None:
        raise InvalidRequest("you must provide a `model`", param="model")
    if not isinstance(model, str):
        raise InvalidRequest(f"`model` must be a string, not {type(model).__name__}", param="model")
    return model
