"""Failures as HTTP responses."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from lorabay import errors
from lorabay.api.problems import as_error, envelope, respond
from lorabay.errors import (
    AdapterRejected,
    EngineUnavailable,
    InvalidRequest,
    LorabayError,
    RateLimited,
    SetupError,
)
from lorabay.serving.engine import CALLS, Dialect
from tests.api.conftest import Api

PUBLIC_CODES = {
    "InvalidRequest": (400, "invalid_request"),
    "ContextLengthExceeded": (400, "context_length_exceeded"),
    "InvalidApiKey": (401, "invalid_api_key"),
    "PermissionDenied": (403, "permission_denied"),
    "ModelNotFound": (404, "model_not_found"),
    "AdapterConflict": (409, "adapter_conflict"),
    "AdapterRejected": (409, "adapter_rejected"),
    "KeyNotFound": (404, "key_not_found"),
    "KeyConflict": (409, "key_conflict"),
    "RequestTooLarge": (413, "request_too_large"),
    "RateLimited": (429, "rate_limit_exceeded"),
    "QuotaExceeded": (429, "insufficient_quota"),
    "RequestRefused": (422, "request_refused"),
    "EngineUnavailable": (503, "engine_unavailable"),
    "StorageUnavailable": (503, "storage_unavailable"),
}


def examples() -> Iterator[tuple[str, LorabayError]]:
    for name, kind in vars(errors).items():
        if (
            isinstance(kind, type)
            and issubclass(kind, LorabayError)
            and kind is not AdapterRejected
        ):
            yield name, kind("what is wrong")
    yield "AdapterRejected", AdapterRejected("finance", ("bad rank",))


def request(path: str = "/") -> Request:
    return Request(
        {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    )


ANTHROPIC = [call.path for call in CALLS if call.dialect is Dialect.ANTHROPIC]
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}


@pytest.mark.parametrize("path", ANTHROPIC)
@pytest.mark.parametrize("name", PUBLIC_CODES)
async def test_anthropics_paths_have_anthropics_envelope(name: str, path: str) -> None:
    """The status is the same; the type is one that Anthropic's clients know, the code is ours."""
    error = dict(examples())[name]
    response = await respond(request(path), error)
    body = json.loads(bytes(response.body))
    assert response.status_code == error.status
    assert body["type"] == "error"
    assert body["error"]["type"] == ANTHROPIC_TYPES[error.status]
    assert body["error"]["message"] == error.message
    assert body["error"]["code"] == PUBLIC_CODES[name][1]


@pytest.mark.parametrize("name", PUBLIC_CODES)
async def test_the_contracts_codes(name: str) -> None:
    """Each documented error has the documented status and code, in OpenAI's form."""
    error = dict(examples())[name]
    response = await respond(request(), error)
    body = json.loads(bytes(response.body))
    assert (response.status_code, body["error"]["code"]) == PUBLIC_CODES[name]
    assert list(body["error"])[:4] == ["message", "type", "param", "code"]
    assert body["error"]["message"] == error.message


async def test_what_a_start_would_fail_of_passes_on_a_server_that_runs() -> None:
    """A folder that is away may come back: a 503 with a time, and no path of the server."""
    response = await respond(request(), SetupError("the store /var/store cannot be used"))
    error = json.loads(bytes(response.body))["error"]
    assert (response.status_code, error["code"]) == (503, "storage_unavailable")
    assert "/var/store" not in error["message"]
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize(("after", "header"), [(0.2, "1"), (3, "3"), (4.01, "5"), (None, None)])
async def test_retry_after_is_rounded_up_to_seconds(
    after: float | None, header: str | None
) -> None:
    """A client that waits as long as it is told does not come too early."""
    response = await respond(request(), EngineUnavailable("slower", retry_after=after))
    assert response.headers.get("retry-after") == header


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (HTTPException(404), 404, "not_found"),
        (HTTPException(405, headers={"allow": "POST"}), 405, "method_not_allowed"),
        (HTTPException(418), 418, "invalid_request"),
        (
            RequestValidationError([{"loc": ("body", "lora_name"), "msg": "too short"}]),
            400,
            "invalid_request",
        ),
        (RequestValidationError([{"loc": ("body",), "msg": "not JSON"}]), 400, "invalid_request"),
    ],
)
async def test_the_frameworks_failures_come_in_the_same_envelope(
    failure: Exception, status: int, code: str
) -> None:
    """Failures of FastAPI and Starlette look like our own, and keep their headers."""
    response = await respond(request(), failure)
    assert (response.status_code, json.loads(bytes(response.body))["error"]["code"]) == (
        status,
        code,
    )
    assert response.headers.get("allow") == ("POST" if status == 405 else None)


def test_a_wrong_field_is_named() -> None:
    """The message says where, and `param` which field."""
    failure = RequestValidationError([{"loc": ("body", "lora_name"), "msg": "too short"}])
    assert as_error(failure).message == "lora_name: too short"
    assert as_error(failure).param == "lora_name"
    assert (
        as_error(RequestValidationError([{"loc": ("body",), "msg": "not JSON"}])).message
        == "not JSON"
    )


async def test_a_bug_tells_the_client_nothing_and_the_log_everything(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug is a bare 500 in the envelope; the log holds its traceback and the caller."""

    async def reply(body: object) -> None:
        raise ZeroDivisionError("secret detail")

    api.engine.reply = reply  # type: ignore[assignment]
    response = await api.http.post("/tokenize", json={"model": "tiny"})
    assert response.status_code == 500
    assert response.json()["error"] == {
        "message": "internal error; the server's log has the details",
        "type": "server_error",
        "param": None,
        "code": "internal_error",
    }
    captured = capsys.readouterr()
    log = captured.out + captured.err
    assert "ZeroDivisionError: secret detail" in log
    assert "anonymous" in log


async def test_any_text_can_be_in_a_message() -> None:
    """A message that quotes half a surrogate pair is still a valid JSON response."""
    response = await respond(request(), InvalidRequest("no \ud800 here"))
    assert json.loads(bytes(response.body))["error"]["message"] == "no \ud800 here"


@pytest.mark.parametrize(("name", "error"), list(examples()))
def test_every_error_fills_the_envelope(name: str, error: LorabayError) -> None:
    """Every error has a message, a type and a code as text."""
    problem = envelope(error)["error"]
    assert all(
        isinstance(problem[part], str) and problem[part] for part in ("message", "type", "code")
    )


async def test_an_answer_of_a_limited_caller_tells_what_is_left() -> None:
    """Whatever it failed of; what the failure itself knows is newer."""
    asked = request()
    asked.state.limit_headers = {"x-ratelimit-remaining-tokens": "7"}
    response = await respond(asked, InvalidRequest("no"))
    assert response.headers["x-ratelimit-remaining-tokens"] == "7"

    told = {"x-ratelimit-remaining-tokens": "0", "retry-after-ms": "1500"}
    response = await respond(asked, RateLimited("wait", retry_after=1.5, headers=told))
    assert response.headers["x-ratelimit-remaining-tokens"] == "0"
    assert response.headers["retry-after"] == "2"
    assert response.headers["retry-after-ms"] == "1500"
