"""Maps vLLM's failures to lorabay's errors, by type, status and parameter, never by message."""

from __future__ import annotations

from jinja2 import TemplateError
from pydantic import ValidationError
from vllm.entrypoints.serve import create_error_response
from vllm.entrypoints.serve.engine.protocol import ErrorInfo, ErrorResponse
from vllm.exceptions import VLLMError, VLLMValidationError
from vllm.v1.engine.exceptions import EngineDeadError

from lorabay.errors import (
    ContextLengthExceeded,
    EngineUnavailable,
    InvalidRequest,
    LorabayError,
    ModelNotFound,
)

RETRY_AFTER_S = 5.0

MOST_ERRORS = 1_000
"""Mistakes of a body among which the nearest miss is looked for; each takes a kilobyte."""

SHOWN_CHARS = 1_000
"""Characters of a message of vLLM's that clients get to see."""

PROMPT_LENGTH_PARAMETERS = frozenset({"input_text", "input_tokens"})
"""`parameter` of the VLLMValidationError that vLLM raises for a prompt over the context."""

EngineFailure = (
    VLLMError,
    ValueError,
    TypeError,
    OverflowError,
    NotImplementedError,
    TemplateError,
    RecursionError,
)
"""Exceptions that vLLM's serving classes raise for a request.

Besides vLLM's own they are the bare types that vLLM maps to 4xx, and RecursionError, which a body
ends in that is nested too deeply.
"""


def from_exception(error: Exception) -> LorabayError:
    """Return the lorabay error for an exception of `EngineFailure`."""
    if isinstance(error, EngineDeadError):
        return EngineUnavailable(
            "the engine stopped; it is being restarted", retry_after=RETRY_AFTER_S
        )
    if isinstance(error, RecursionError):
        return InvalidRequest("the request is nested too deeply")
    if isinstance(error, ValidationError):
        return _from_validation(error)
    if isinstance(error, VLLMValidationError) and error.parameter in PROMPT_LENGTH_PARAMETERS:
        return ContextLengthExceeded(_shown(error.args[0]), param=error.parameter)
    return from_response(create_error_response(error))


def from_response(response: ErrorResponse) -> LorabayError:
    """Return the lorabay error for an error that vLLM returned as a value."""
    return from_info(response.error)


def from_info(info: ErrorInfo) -> LorabayError:
    """Return the lorabay error for vLLM's status, message and parameter."""
    message = _shown(info.message)
    if info.param in PROMPT_LENGTH_PARAMETERS:
        return ContextLengthExceeded(message, param=info.param)
    if info.code == 404 and info.param == "model":
        return ModelNotFound("", message=message)
    if info.code in (501, 422):
        return InvalidRequest(message, param=info.param)
    if 400 <= info.code < 500:
        return InvalidRequest(message, param=info.param, status=info.code)
    if info.code == 503:
        return EngineUnavailable(message, retry_after=RETRY_AFTER_S)
    return LorabayError(message, param=info.param)


def _from_validation(error: ValidationError) -> InvalidRequest:
    """Return the error of the field that lies deepest.

    In a union every branch complains, and the nearest miss says most.
    """
    count = error.error_count()
    if count > MOST_ERRORS:
        return InvalidRequest(
            f"{count} values of the body have a wrong type; /docs shows the right ones"
        )

    items = error.errors(include_url=False, include_input=False, include_context=False)
    nearest = max(items, key=lambda item: len(item["loc"]))
    # A list that vLLM validates late reports its own errors in several lines.
    message = " ".join(_shown(nearest["msg"].removeprefix("Value error, ")).split())

    # pydantic puts the names of a union's branches between those of fields.
    where = [
        str(part) for part in nearest["loc"] if isinstance(part, int) or str(part).isidentifier()
    ]
    if not where:
        return InvalidRequest(message)

    # vLLM reads some lists late, where it no longer tells of which field they are.
    field = None if where[0].isdigit() else _shown(where[0])
    return InvalidRequest(_shown(f"{'.'.join(where)}: {message}"), param=field)


def _shown(message: str) -> str:
    """Return a message cut to a length that can be read: vLLM repeats what clients send."""
    if len(message) <= SHOWN_CHARS:
        return message
    return f"{message[:SHOWN_CHARS]}... ({len(message)} characters)"
