"""The one place where a failure becomes an HTTP response: status, headers, envelope.

The envelope is OpenAI's, but on the paths of Anthropic's API, whose clients read another one.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lorabay.api.wrong_paths import no_such_path, wrong_method
from lorabay.errors import (
    AdapterRejected,
    InvalidRequest,
    LorabayError,
    SetupError,
    StorageUnavailable,
)
from lorabay.serving.engine import CALLS, Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

logger = structlog.get_logger(__name__)

FRAMEWORK_CODES = {404: "not_found", 405: "method_not_allowed"}
"""Codes of the failures that Starlette's router raises, by status."""

DIALECTS: Mapping[str, Dialect] = {path: call.dialect for call in CALLS for path in call.paths}
"""The dialect of each path of a call; all other paths speak OpenAI's."""

ANTHROPIC_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""Types of errors in Anthropic's API, by status; the others follow from the class of the status."""


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


def envelope(error: LorabayError, dialect: Dialect = Dialect.OPENAI) -> dict[str, Any]:
    """Return the body of an error response, as the clients of `dialect` read it.

    Anthropic's has our code and parameter, too, which its clients pass over.
    """
    if dialect is Dialect.OPENAI:
        return {"error": _told(error, error.type)}

    kind = "invalid_request_error" if error.status < 500 else "api_error"
    return {"type": "error", "error": _told(error, ANTHROPIC_TYPES.get(error.status, kind))}


def _told(error: LorabayError, kind: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "message": error.message,
        "type": kind,
        "param": error.param,
        "code": error.code,
    }
    if isinstance(error, AdapterRejected):
        # One by one, for whoever shows them to people.
        told |= {"reasons": error.reasons, "reason_codes": error.codes}
    return told


async def respond(request: Request, failure: Exception) -> Response:
    """Return the response for any exception of a route; logs an unexpected one as a bug."""
    error = as_error(failure)
    if isinstance(failure, HTTPException):
        error.message = _of_the_path(request, failure) or error.message
    if isinstance(failure, SetupError):
        logger.warning("not done", path=request.url.path, reason=failure.message)
    if error.status == 500:
        # A request that failed before its gate has no caller.
        caller = getattr(getattr(request.state, "caller", None), "id", None)
        logger.error("bug", path=request.url.path, caller=caller, exc_info=failure)

    return Response(
        # ASCII, so that a message may quote whatever a client sent.
        json.dumps(envelope(error, DIALECTS.get(request.url.path, Dialect.OPENAI))),
        error.status,
        _headers(request, failure, error),
        media_type="application/json",
    )


def _of_the_path(request: Request, failure: HTTPException) -> str | None:
    """Return what is said where the router found no path, or not the method."""
    path = str(request.scope["path"])
    if failure.status_code == 404:
        return no_such_path(path)

    allowed = (failure.headers or {}).get("Allow")
    if failure.status_code == 405 and allowed:
        return wrong_method(path, request.method, allowed)
    return None


def _headers(request: Request, failure: Exception, error: LorabayError) -> dict[str, str]:
    headers = dict(getattr(request.state, "limit_headers", {}))
    headers |= getattr(failure, "headers", None) or {}

    # Starlette answers bugs outside of all middleware, so also of the one that sets this header.
    request_id = getattr(request.state, "request_id", None)
    if request_id is not None:
        headers["x-request-id"] = request_id

    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers
