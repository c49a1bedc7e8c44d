"""Maps vLLM's failures to lorabay's errors: by exception type, status and parameter, never by
message text.
"""

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
"""What vLLM's serving classes raise for a request: besides its own, the bare types that it maps to
4xx, and what a body that is nested too deeply ends in."""


def from_exception(error: Exception) -> LorabayError:
    """Give the lorabay error for an exception of `EngineFailure`."""
    if isinstance(error, EngineDeadError):
        return EngineUnavailable(
            "the engine stopped; it is being restarted", retry_after=RETRY_AFTER_S
        )
    if isinstance(error, RecursionError):
        return InvalidRequest("the request is nested too deeply")
    if isinstance(error, ValidationError):
        return _from_validation(error)
    if isinstance(error, VLLMValidationError) and error.parameter in PROMPT_LENGTH_PARAMETERS:
        return ContextLengthExceeded(error.args[0], param=error.parameter)
    return from_response(create_error_response(error))


def from_response(response: ErrorResponse) -> LorabayError:
    """Give the lorabay error for an error that vLLM returned as a value."""
    return from_info(response.error)


def from_info(info: ErrorInfo) -> LorabayError:
    """Give the lorabay error for vLLM's status, message and parameter."""
    if info.param in PROMPT_LENGTH_PARAMETERS:
        return ContextLengthExceeded(info.message, param=info.param)
    if info.code == 404 and info.param == "model":
        return ModelNotFound("", message=info.message)
    if info.code in (501, 422):
        return InvalidRequest(info.message, param=info.param)
    if 400 <= info.code < 500:
        return InvalidRequest(info.message, param=info.param, status=info.code)
    if info.code == 503:
        return EngineUnavailable(info.message, retry_after=RETRY_AFTER_S)
    return LorabayError(info.message, param=info.param)


def _from_validation(error: ValidationError) -> InvalidRequest:
    """Name the field that went deepest: in a union every branch complains, and the nearest miss
    says most.
    """
    items = error.errors(include_url=False, include_input=False, include_context=False)
    nearest = max(items, key=lambda item: len(item["loc"]))
    where = [
        str(part) for part in nearest["loc"] if isinstance(part, int) or str(part).isidentifier()
    ]
    message = nearest["msg"].removeprefix("Value error, ")
    return InvalidRequest(
        f"{'.'.join(where)}: {message}" if where else message, param=where[0] if where else None
    )
