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
from lorabay.serving.vllm.requests.invalid_bodies import from_validation, shown

RETRY_AFTER_S = 5.0

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
        return from_validation(error)
    if isinstance(error, VLLMValidationError) and error.parameter in PROMPT_LENGTH_PARAMETERS:
        return ContextLengthExceeded(shown(error.args[0]), param=error.parameter)
    return from_response(create_error_response(error))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that says something, or its type's name."""
    for line in str(error).splitlines():
        if line.strip():
            return line.strip()
    return type(error).__name__


def from_response(response: ErrorResponse) -> LorabayError:
    """Return the lorabay error for an error that vLLM returned as a value."""
    return from_info(response.error)


def from_info(info: ErrorInfo) -> LorabayError:
    """Return the lorabay error for vLLM's status, message and parameter."""
    message = shown(info.message)
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
