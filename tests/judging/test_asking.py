"""Answers of a server that is asked over HTTP: a small real one on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from lorabay.errors import SetupError
from lorabay.judging.asking import Place, ask_adapters
from tests.fixtures.databases import free_port
from tests.judging.answered import question

ASKED: list[tuple[str, str | None, dict[str, Any]]] = []


class Handler(BaseHTTPRequestHandler):
    """Answers as an OpenAI-compatible server does; `gone` is a model that it does not have."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        ASKED.append((self.path, self.headers["authorization"], body))
        found = body["model"] != "gone"
        text = f"{body['model']} on {body['messages'][-1]['content']}"
        answer: dict[str, Any] = {"choices": [{"message": {"content": text}}]}
        if not found:
            answer = {"error": {"message": "The model `gone` does not exist."}}
        data = json.dumps(answer).encode()
        self.send_response(200 if found else 404)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    ASKED.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_every_model_answers_every_question(url: str) -> None:
    """Greedily, with the key, and each answer belongs to its question; /v1 in the URL is fine."""
    questions = [question(number) for number in range(5)]
    sets = ask_adapters(Place(f"{url}/v1/", "secret", 64), ["finance", "base"], questions)

    assert [one.name for one in sets] == ["finance", "base"]
    for one in sets:
        expected = [f"{one.name} on {asked.turns[-1][1]}" for asked in questions]
        assert [one.answers[asked] for asked in questions] == expected
    assert len(ASKED) == 10
    for path, key, body in ASKED:
        assert (path, key) == ("/v1/chat/completions", "Bearer secret")
        assert (body["temperature"], body["max_tokens"]) == (0, 64)


def test_a_refusal_says_what_the_server_said(url: str) -> None:
    """With the status, and without the key."""
    with pytest.raises(SetupError, match="did not answer: 404, The model `gone` does not exist"):
        ask_adapters(Place(url, "secret"), ["gone"], [question(1)])
    assert "secret" not in repr(Place(url, "secret"))


@pytest.mark.parametrize("place", ["nobody", "no-url"])
def test_a_server_that_cannot_be_reached_is_one_line(place: str) -> None:
    """It names the server."""
    url = f"http://127.0.0.1:{free_port()}" if place == "nobody" else "127.0.0.1"
    with pytest.raises(SetupError, match=r"cannot ask 'finance' at .*127"):
        ask_adapters(Place(url), ["finance"], [question(1)])
