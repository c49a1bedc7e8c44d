"""The one place where a failure becomes an HTTP response: status, headers, OpenAI's envelope."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lorabay.errors import InvalidRequest, LorabayError, SetupError, StorageUnavailable

if TYPE_CHECKING:
    from starlette.requests import Request

logger = structlog.get_logger(__name__)

FRAMEWORK_CODES = {404: "not_found", 405: "method_not_allowed"}
"""Codes of the failures that Starlette's router raises, by status."""


def as_error(failure: Exception) -> LorabayError:
    """Return the expected failure for any exception; a bug becomes a bare internal error."""
    match failure:
        case SetupError():
            # Of a server that runs, this is not its setup, but a disk that may come back.
            return StorageUnavailable(
                "the store or a folder cannot be used now; the server's log has the details"
            )
        case LorabayError():
            return failure
        case HTTPException():
            error = InvalidRequest(failure.detail, status=failure.status_code)
            error.code = FRAMEWORK_CODES.get(failure.status_code, error.code)
            return error
        case RequestValidationError():
            return _from_validation(failure)
        case _:
            return LorabayError("internal error; the server's log has the details")


def _from_validation(failure: RequestValidationError) -> InvalidRequest:
    """Return the first complaint, with the field that it is about."""
    first = failure.errors()[0]
    where = [str(part) for part in first["loc"] if part != "body"]
    if not where:
        return InvalidRequest(first["msg"])
    return InvalidRequest(f"{'.'.join(where)}: {first['msg']}", param=where[0])


def envelope(error: LorabayError) -> dict[str, Any]:
    """Return the body of an error response, as OpenAI's clients read it."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        },
    }


async def respond(request: Request, failure: Exception) -> Response:
    """Return the response for any exception of a route; logs an unexpected one as a bug."""
    error = as_error(failure)
    if isinstance(failure, SetupError):
        logger.warning("not done", path=request.url.path, reason=failure.message)
    if error.status == 500:
        # A request that failed before its gate has no caller.
        caller = getattr(getattr(request.state, "caller", None), "id", None)
        logger.error("bug", path=request.url.path, caller=caller, exc_info=failure)

    return Response(
        # ASCII, so that a message may quote whatever a client sent.
        json.dumps(envelope(error)),
        error.status,
        _headers(request, failure, error),
        media_type="application/json",
    )


def _headers(request: Request, failure: Exception, error: LorabayError) -> dict[str, str]:
    headers = dict(getattr(failure, "headers", None) or {})

    # Starlette answers bugs outside of all middleware, so also of the one that sets this header.
    request_id = getattr(request.state, "request_id", None)
    if request_id is not None:
        headers["x-request-id"] = request_id

    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers
