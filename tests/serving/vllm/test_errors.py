"""vLLM's failures as lorabay's errors."""

from __future__ import annotations

import pytest
from jinja2 import TemplateError
from vllm.entrypoints.serve import create_error_response
from vllm.entrypoints.serve.engine.protocol import ErrorInfo
from vllm.exceptions import (
    GenerationError,
    QueueOverflowError,
    RetryableRequestError,
    VLLMNotFoundError,
    VLLMUnprocessableEntityError,
    VLLMValidationError,
)
from vllm.v1.engine.exceptions import EngineDeadError

from lorabay.errors import ModelNotFound
from lorabay.serving.vllm.errors import (
    EngineFailure,
    first_line,
    from_exception,
    from_info,
    from_response,
)

FAILURES: tuple[tuple[Exception, int, str], ...] = (
    (
        VLLMValidationError("too long", parameter="input_tokens", value=9),
        400,
        "context_length_exceeded",
    ),
    (VLLMValidationError("too long", parameter="input_text"), 400, "context_length_exceeded"),
    (VLLMValidationError("bad top_p", parameter="top_p", value=2), 400, "invalid_request"),
    (VLLMUnprocessableEntityError("bad image"), 400, "invalid_request"),
    (VLLMNotFoundError("no such response"), 404, "invalid_request"),
    (ValueError("max_tokens must be at least 1"), 400, "invalid_request"),
    (TypeError("wrong"), 400, "invalid_request"),
    (OverflowError("int too big"), 400, "invalid_request"),
    (NotImplementedError("no beam search"), 400, "invalid_request"),
    (TemplateError("roles must alternate"), 400, "invalid_request"),
    (RecursionError("maximum recursion depth exceeded"), 400, "invalid_request"),
    (GenerationError(), 500, "internal_error"),
    (RetryableRequestError(), 503, "engine_unavailable"),
    (QueueOverflowError(), 503, "engine_unavailable"),
    (EngineDeadError(), 503, "engine_unavailable"),
)


@pytest.mark.parametrize(
    ("failure", "status", "code"), FAILURES, ids=lambda value: type(value).__name__
)
def test_each_failure_has_its_status_and_code(failure: Exception, status: int, code: str) -> None:
    """A client's mistake is 4xx, a passing failure 503 with Retry-After, by type alone."""
    assert isinstance(failure, EngineFailure)
    error = from_exception(failure)
    assert (error.status, error.code) == (status, code)
    assert error.message
    assert (error.retry_after is not None) == (status == 503)


def test_the_message_and_parameter_are_vllms() -> None:
    """Clients read what was wrong, without the rejected value repeated at its end."""
    error = from_exception(
        VLLMValidationError("The prompt has 9000 tokens.", parameter="input_tokens", value=9000)
    )
    assert error.message == "prompt is too long: The prompt has 9000 tokens."
    assert error.param == "input_tokens"
    assert from_exception(VLLMValidationError("bad", parameter="top_p")).param == "top_p"


def test_an_unknown_model_is_model_not_found_with_vllms_sentence() -> None:
    """vLLM's sentence is kept, not wrapped in another that says the same."""
    error = from_info(
        ErrorInfo(
            message="The model `x` does not exist.", type="NotFoundError", param="model", code=404
        )
    )
    assert isinstance(error, ModelNotFound)
    assert (error.message, error.code, error.param) == (
        "The model `x` does not exist.",
        "model_not_found",
        "model",
    )


@pytest.mark.parametrize("code", [400, 401, 404, 422, 429, 500, 501, 502, 503])
def test_every_status_becomes_an_error(code: int) -> None:
    """Errors that vLLM returns as values are mapped like those that it raises."""
    error = from_response(create_error_response("what is wrong"))
    assert (error.status, error.message) == (400, "what is wrong")
    error = from_info(ErrorInfo(message="what is wrong", type="x", param="p", code=code))
    assert error.status == {422: 400, 501: 400, 502: 500}.get(code, code)
    assert error.message == "what is wrong"


@pytest.mark.parametrize(
    "failure",
    [
        ValueError("x" * 100_000),
        VLLMValidationError("x" * 100_000, parameter="input_text"),
        VLLMValidationError("x" * 100_000, parameter="top_p"),
    ],
)
def test_a_message_that_repeats_what_was_sent_is_cut(failure: Exception) -> None:
    """vLLM quotes values in its sentences, and a client may send megabytes."""
    assert len(from_exception(failure).message) < 1_100


@pytest.mark.parametrize(
    ("message", "line"), [("\n  too large\nat line 7", "too large"), ("", "ValueError")]
)
def test_the_first_line_that_says_something_is_told(message: str, line: str) -> None:
    """An error without words has the name of its type."""
    assert first_line(ValueError(message)) == line
