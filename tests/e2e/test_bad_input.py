"""What clients do wrong gets a 4xx in the envelope, and the next request works."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import BASE, CONTEXT

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello"}]
JSON = {"content-type": "application/json"}


def chat(**changes: Any) -> bytes:
    return json.dumps(
        {"model": "finance", "messages": MESSAGES, "max_tokens": 4} | changes
    ).encode()


def completion(**changes: Any) -> bytes:
    return json.dumps({"model": BASE, "prompt": "Hello", "max_tokens": 4} | changes).encode()


CASES = {
    "unknown model": (CHAT, chat(model="nobody"), 404, "model_not_found"),
    "unknown version": (CHAT, chat(model="finance@000000000000"), 404, "model_not_found"),
    "version prefix too short": (CHAT, chat(model="finance@00"), 404, "model_not_found"),
    "model is a path": (CHAT, chat(model="../finance"), 404, "model_not_found"),
    "no model": (CHAT, json.dumps({"messages": MESSAGES}).encode(), 400, "invalid_request"),
    "model is a number": (CHAT, chat(model=5), 400, "invalid_request"),
    "malformed JSON": (CHAT, b'{"model": "finance", ', 400, "invalid_request"),
    "empty body": (CHAT, b"", 400, "invalid_request"),
    "JSON array": (CHAT, b"[]", 400, "invalid_request"),
    "JSON nested 100,000 deep": (CHAT, b"[" * 100_000, 400, "invalid_request"),
    "invalid UTF-8": (CHAT, b'{"model": "\xff\xfe"}', 400, "invalid_request"),
    "messages is text": (CHAT, chat(messages="Hello"), 400, "invalid_request"),
    "messages is empty": (CHAT, chat(messages=[]), 400, "invalid_request"),
    "message without role": (CHAT, chat(messages=[{"content": "x"}]), 400, "invalid_request"),
    "content is a number": (
        CHAT,
        chat(messages=[{"role": "user", "content": 3}]),
        400,
        "invalid_request",
    ),
    "max_tokens negative": (CHAT, chat(max_tokens=-1), 400, "invalid_request"),
    "max_tokens zero": (CHAT, chat(max_tokens=0), 400, "invalid_request"),
    "max_tokens absurd": (CHAT, chat(max_tokens=10**15), 400, "invalid_request"),
    "max_tokens is text": (CHAT, chat(max_tokens="many"), 400, "invalid_request"),
    "temperature negative": (CHAT, chat(temperature=-1), 400, "invalid_request"),
    "temperature not finite": (
        CHAT,
        chat().replace(b"}]", b'}], "temperature": NaN', 1),
        400,
        "invalid_request",
    ),
    "top_p over one": (CHAT, chat(top_p=2), 400, "invalid_request"),
    "n is zero": (CHAT, chat(n=0), 400, "invalid_request"),
    "n is absurd": (CHAT, chat(n=10**9), 400, "invalid_request"),
    "logprobs absurd": (CHAT, chat(logprobs=True, top_logprobs=10**6), 400, "invalid_request"),
    "stop is a number": (CHAT, chat(stop=7), 400, "invalid_request"),
    "bad JSON schema": (
        CHAT,
        chat(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "nothing"}},
            }
        ),
        400,
        "invalid_request",
    ),
    "bad tools": (CHAT, chat(tools=[{"type": "function"}]), 400, "invalid_request"),
    "chat prompt over the context": (
        CHAT,
        chat(messages=[{"role": "user", "content": "word " * (CONTEXT + 100)}]),
        400,
        "context_length_exceeded",
    ),
    "prompt over the context": (
        "/v1/completions",
        completion(prompt="word " * 20_000),
        400,
        "context_length_exceeded",
    ),
    "prompt is empty": ("/v1/completions", completion(prompt=""), 400, "invalid_request"),
    "prompt is absent": (
        "/v1/completions",
        json.dumps({"model": BASE}).encode(),
        400,
        "invalid_request",
    ),
    "prompt has a token that does not exist": (
        "/v1/completions",
        completion(prompt=[10**9]),
        400,
        "invalid_request",
    ),
    "input is absent": (
        "/v1/responses",
        json.dumps({"model": BASE}).encode(),
        400,
        "invalid_request",
    ),
    "input is a number": (
        "/v1/responses",
        json.dumps({"model": BASE, "input": 5}).encode(),
        400,
        "invalid_request",
    ),
    "tokens are text": (
        "/detokenize",
        json.dumps({"model": BASE, "tokens": "x"}).encode(),
        400,
        "invalid_request",
    ),
    "nothing to tokenize": (
        "/tokenize",
        json.dumps({"model": BASE}).encode(),
        400,
        "invalid_request",
    ),
    "20 MB": (CHAT, chat(padding="x" * 20_000_000), 413, "request_too_large"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_request_is_the_clients_fault(http: httpx.Client, case: str) -> None:
    """Status and code say whose fault it is, the message says what is wrong, and the server goes
    on.
    """
    path, body, status, code = CASES[case]
    response = http.post(path, content=body, headers=JSON)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    assert "Traceback" not in error["message"]
    assert http.post(CHAT, content=chat(), headers=JSON).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", CHAT, {"content-type": "text/plain"}, 415),
        ("PUT", CHAT, JSON, 405),
        ("GET", CHAT, {}, 405),
        ("POST", "/v1/models", JSON, 405),
        ("POST", "/v1/nothing", JSON, 404),
        ("POST", "/invocations", JSON, 404),
        ("POST", "/pause", JSON, 404),
    ],
)
def test_a_wrong_door(
    http: httpx.Client, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Wrong content type, method or path: a 4xx in the envelope; vLLM's own admin paths are not
    mounted.
    """
    response = http.request(method, path, content=chat(), headers=headers)
    assert response.status_code == status
    assert response.json()["error"]["code"]


def test_nothing_above_was_logged_as_a_bug(http: httpx.Client) -> None:
    """No bad request so far counted as a server error."""
    from tests.e2e.server import metric

    assert metric(str(http.base_url), "lorabay_requests_total", code="500") == 0
