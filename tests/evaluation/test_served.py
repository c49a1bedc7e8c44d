"""A served model is asked greedily, its loss is the server's, and refusals are told apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lorabay.errors import SetupError
from lorabay.evaluation.served import Endpoint, served_models
from lorabay.evaluation.sets import Question
from lorabay.training.dataset import EncodedExample, Example

MODELS = [{"id": "tiny-base"}, {"id": "finance", "parent": "tiny-base"}]
QUESTIONS = [
    Question(
        Example(f"question {place}", "", "answer", f"x:{place}"),
        EncodedExample((1, 2), (3, 4 + place)),
    )
    for place in range(5)
]

Reply = Callable[[str, dict[str, Any]], tuple[int, Any]]


class Server:
    """A server that answers by a function, and keeps what it was asked."""

    def __init__(self) -> None:
        self.reply: Reply = answer
        self.models: Any = {"data": MODELS}
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, outer.models)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append({**body, "key": self.headers.get("authorization")})
                self._send(*outer.reply(self.path, body))

            def _send(self, status: int, reply: Any) -> None:
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.send_header("retry-after", "0")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


def answer(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Repeat the question, and give each token of a prompt its own log-probability."""
    if path == "/v1/chat/completions":
        return 200, {"choices": [{"message": {"content": body["messages"][-1]["content"]}}]}
    logprobs = [None, *({str(token): {"logprob": -token / 10}} for token in body["prompt"][1:])]
    return 200, {"choices": [{"prompt_logprobs": logprobs}]}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = Thread(target=server.http.serve_forever)
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def _ignore(count: int) -> None: ...


def test_models_are_asked_by_their_names(server: Server) -> None:
    """The base by the name that it has there, greedily, with the key; answers in order."""
    done: list[int] = []
    with served_models(Endpoint(f"{server.url}/v1", "secret", 2), [Path("a/finance")]) as models:
        base, finance = models
        answers = finance.answers(QUESTIONS, 7, done.append)
        base.answers(QUESTIONS[:1], 7, done.append)

    assert [base.name, finance.name] == ["base", "finance"]
    assert answers == [f"question {place}" for place in range(5)]
    assert sum(done) == 6
    assert [one["model"] for one in server.asked] == ["finance"] * 5 + ["tiny-base"]
    assert {one["temperature"] for one in server.asked} == {0}
    assert {one["max_tokens"] for one in server.asked} == {7}
    assert {one["key"] for one in server.asked} == {"Bearer secret"}


def test_the_loss_is_of_the_answers_tokens(server: Server) -> None:
    """0.3 and 0.4 nats of the first; the prompt's do not count."""
    with served_models(Endpoint(server.url), []) as models:
        (base,) = models
        assert base.losses(QUESTIONS, _ignore) == pytest.approx([0.7, 0.8, 0.9, 1.0, 1.1])
    assert server.asked[0]["prompt"] == [1, 2, 3, 4]


def test_a_server_that_says_no_loss_has_none(server: Server) -> None:
    """As a GPU's engine does: one request shows it."""
    server.reply = lambda path, body: (400, {"error": {}})
    done: list[int] = []
    with served_models(Endpoint(server.url), []) as models:
        (base,) = models
        assert base.losses(QUESTIONS, done.append) is None
    assert (len(server.asked), sum(done)) == (1, 5)


def test_a_busy_server_is_asked_again(server: Server) -> None:
    """After the pause that it wants."""

    def busy_at_first(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return (503, {}) if len(server.asked) < 3 else answer(path, body)

    server.reply = busy_at_first
    with served_models(Endpoint(server.url), []) as models:
        (base,) = models
        assert base.answers(QUESTIONS[:1], 7, _ignore) == ["question 0"]
    assert len(server.asked) == 3


def test_what_a_server_lacks_is_named(server: Server) -> None:
    """Before anything is asked."""
    with (
        pytest.raises(SetupError, match="serves no shop, but tiny-base, finance"),
        served_models(Endpoint(server.url), [Path("shop")]),
    ):
        pass


def test_failures_are_one_line(server: Server) -> None:
    """A server that refuses, and one that is not there."""
    server.reply = lambda path, body: (401, {"error": {"message": "no such key"}})
    with served_models(Endpoint(server.url), []) as models:
        (base,) = models
        with pytest.raises(SetupError, match=r"answers 401.*no such key"):
            base.answers(QUESTIONS, 7, _ignore)
    with (
        pytest.raises(SetupError, match="does not answer"),
        served_models(Endpoint("http://127.0.0.1:9"), []),
    ):
        pass


def test_one_prompt_that_is_refused_is_named(server: Server) -> None:
    """A loss over the others would not be that of the set."""

    def refuse_one(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return (400, {"error": {}}) if body["prompt"][-1] == 6 else answer(path, body)

    server.reply = refuse_one
    with served_models(Endpoint(server.url), []) as models:
        (base,) = models
        with pytest.raises(SetupError, match=r"x:2: .* says no loss of this question"):
            base.losses(QUESTIONS, _ignore)


@pytest.mark.parametrize(
    "reply",
    [
        [],
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"message": None, "prompt_logprobs": 5}]},
        {"choices": [{"message": {}, "prompt_logprobs": [{}, {}, {}, {}]}]},
    ],
)
def test_an_answer_of_another_form_is_one_line(server: Server, reply: Any) -> None:
    """With the question that was asked."""
    server.reply = lambda path, body: (200, reply)
    with served_models(Endpoint(server.url), []) as models:
        (base,) = models
        for ask in (
            lambda: base.losses(QUESTIONS, _ignore),
            lambda: base.answers(QUESTIONS[:1], 7, _ignore),
        ):
            with pytest.raises(SetupError, match=r"x:0: .* what is not OpenAI's"):
                ask()


@pytest.mark.parametrize("models", [[], {"data": None}, {"data": [{}]}, {"data": ["base"]}])
def test_a_list_of_another_form_is_one_line(server: Server, models: Any) -> None:
    """A server of something else was named."""
    server.models = models
    with (
        pytest.raises(SetupError, match="what is not OpenAI's"),
        served_models(Endpoint(server.url), []),
    ):
        pass
