"""The one place where a failure becomes an HTTP response: status, headers and the OpenAI error
envelope.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lorabay.errors import InvalidRequest, LorabayError

if TYPE_CHECKING:
    from starlette.requests import Request

logger = structlog.get_logger(__name__)


def envelope(error: LorabayError) -> dict[str, Any]:
    """Give the body of an error response, as OpenAI's clients read it."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        },
    }


def as_error(failure: Exception) -> LorabayError:
    """Give the expected failure that an exception stands for; a bug becomes a bare internal
    error.
    """
    if isinstance(failure, LorabayError):
        return failure
    if isinstance(failure, HTTPException):
        error = InvalidRequest(failure.detail, status=failure.status_code)
        error.code = {404: "not_found", 405: "method_not_allowed"}.get(
            failure.status_code, error.code
        )
        return error
    if isinstance(failure, RequestValidationError):
        first = failure.errors()[0]
        where = [str(part) for part in first["loc"] if part != "body"]
        return InvalidRequest(
            ": ".join((".".join(where), first["msg"])).strip(": "),
            param=where[0] if where else None,
        )
    return LorabayError("internal error; the server's log has the details")


async def respond(request: Request, failure: Exception) -> Response:
    """Turn any exception of a route into a response; an unexpected one is logged with its
    traceback.
    """
    error = as_error(failure)
    if error.status == 500:
        logger.error("bug", path=request.url.path, exc_info=failure)
    # ASCII, so that a message may quote whatever a client sent.
    content = json.dumps(envelope(error))
    return Response(
        content, error.status, _headers(request, failure, error), media_type="application/json"
    )


def _headers(request: Request, failure: Exception, error: LorabayError) -> dict[str, str]:
    headers = dict(getattr(failure, "headers", None) or {})
    # Starlette answers bugs outside of every middleware, so also outside of the one that sets this
    # header.
    if request_id := getattr(request.state, "request_id", None):
        headers["x-request-id"] = request_id
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers
