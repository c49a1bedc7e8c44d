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
    from starlette.datastructures import Headers
    from starlette.requests import Request

    from lorabay.serving.engine import Body

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)

BOM = b"\xef\xbb\xbf"
"""What Windows programs put in front of UTF-8; RFC 8259 lets a reader pass over it."""

UTF8_NAMES = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
"""Declared encodings whose text is UTF-8 in any case."""

SIZE_DIGITS = 18
"""Digits of a declared size that are read."""

SHOWN_CHARS = 30
"""Characters of a body that an answer repeats, to show where it is no JSON."""


async def read_body(request: Request, limit: int, max_values: int) -> Body:
    """Return the JSON object that a request carries in at most `limit` bytes.

    Raises RequestTooLarge as soon as the limit is passed, InvalidRequest for any other body, and
    ClientGone if the client leaves while it sends. A body of more than `max_values` JSON values is
    refused unparsed: parsed, each would take many times its bytes.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InvalidRequest(
            f"content type {kind or 'missing'!r}: send `application/json`", status=415
        )
    _refuse_packed(request.headers.get("content-encoding", ""))

    content = await _read(request, limit)
    _refuse_charset(content_type, content)
    try:
        body = _parse(content, max_values)
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"the body is not valid UTF-8: {error.reason} at byte {error.start}; send it as UTF-8"
        ) from None
    except UnicodeEncodeError:
        raise InvalidRequest("the body holds half of a surrogate pair, which is no text") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}{_shown(error)}") from None
    except ValueError:
        # Nothing else is left that JSON allows and Python does not read.
        raise InvalidRequest("the body holds a whole number of more than 4,000 digits") from None

    if not isinstance(body, dict):
        raise InvalidRequest(f"the body must be a JSON object, not {type(body).__name__}")
    return body


def _refuse_packed(encoding: str) -> None:
    """Raise InvalidRequest for a body that is compressed: its size would not be known."""
    if encoding.strip().lower() not in ("", "identity"):
        raise InvalidRequest(
            f"content encoding {encoding[:SHOWN_CHARS]!r}: send the body uncompressed", status=415
        )


def _refuse_charset(content_type: str, content: bytearray) -> None:
    """Raise InvalidRequest for text in another encoding than UTF-8, which would be misread.

    ASCII is the same in all that clients declare.
    """
    declared = _CHARSET.search(content_type)
    if declared is None or declared[1].lower() in UTF8_NAMES or content.isascii():
        return

    raise InvalidRequest(
        f"charset {declared[1][:SHOWN_CHARS]!r}: send the body as UTF-8", status=415
    )


def _shown(error: json.JSONDecodeError) -> str:
    """Return what stands where a body is no JSON, so that a shell's quoting shows."""
    found = error.doc[error.pos : error.pos + SHOWN_CHARS]
    return f", which is {found!r}" if found else ""


def declared_size(headers: Headers) -> int | None:
    """Return the size of a body as its client declares it, if it does.

    Of a number that is longer than any size only its beginning counts: Python refuses to read it.
    """
    digits = headers.get("content-length", "")
    if not digits.isdecimal():
        return None
    return int(digits.lstrip("0")[:SIZE_DIGITS] or "0")


async def _read(request: Request, limit: int) -> bytearray:
    too_large = RequestTooLarge(f"the body is larger than {limit} bytes")
    declared = declared_size(request.headers)
    if declared is not None and declared > limit:
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
    content = content.removeprefix(BOM)
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
    raise InvalidRequest(f"the body is not valid JSON: {name} is not JSON")


def asked_model(body: Body) -> str:
    """Return `model` as the client wrote it; raises InvalidRequest if it is absent or not text."""
    model = body.get("model")
    if model is None:
        raise InvalidRequest("you must provide a `model`", param="model")
    if not isinstance(model, str):
        raise InvalidRequest(f"`model` must be a string, not {type(model).__name__}", param="model")
    return model
