"""Structured outputs of every kind, and those that would take the engine from everybody else."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import httpx
import psutil
import pytest
from openai import OpenAI

from tests.e2e.conftest import API_KEY, BASE
from tests.e2e.server import Server, metric
from tests.processes import descendants

CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "Describe a colour."}]
COLOUR = {
    "type": "object",
    "properties": {"name": {"enum": ["red", "blue"]}, "warm": {"type": "boolean"}},
    "required": ["name", "warm"],
    "additionalProperties": False,
}
OF_OUTLINES = {
    "type": "object",
    "properties": {"warm": {"enum": ["yes", "no"]}},
    "required": ["warm"],
    "patternProperties": {"^x": {"type": "string"}},
}
TAG = {
    "type": "structural_tag",
    "structures": [{"begin": "<colour>", "schema": COLOUR, "end": "</colour>"}],
    "triggers": ["<colour>"],
}
STREAM_TOKENS = 60


def text_of(client: OpenAI, **asked: Any) -> str:
    answer = client.chat.completions.create(
        model="finance", messages=QUESTION, max_tokens=40, temperature=0, **asked
    )
    return answer.choices[0].message.content or ""


def structured(**grammar: Any) -> dict[str, Any]:
    return {"extra_body": {"structured_outputs": grammar}}


def test_a_json_schema_is_followed(client: OpenAI) -> None:
    """In both ways to ask for it, and again when the schema is known."""
    schema = {"name": "colour", "schema": COLOUR}
    form = {"type": "json_schema", "json_schema": schema}
    for asked in ({"response_format": form}, structured(json=COLOUR), structured(json=COLOUR)):
        assert set(json.loads(text_of(client, **asked))) == {"name", "warm"}


def test_a_regex_is_followed(client: OpenAI) -> None:
    """The answer matches as a whole."""
    assert re.fullmatch(
        "[a-f]{3}-[0-9]{2}", text_of(client, **structured(regex="[a-f]{3}-[0-9]{2}"))
    )


def test_a_choice_is_followed(client: OpenAI) -> None:
    """The answer is one of them."""
    assert text_of(client, **structured(choice=["crimson", "teal"])) in ("crimson", "teal")


def test_a_grammar_is_followed(client: OpenAI) -> None:
    """In EBNF and in Lark."""
    for grammar in ('root ::= "warm" | "cold"', 'start: "warm" | "cold"'):
        assert text_of(client, **structured(grammar=grammar)) in ("warm", "cold")


def test_a_structural_tag_is_taken(client: OpenAI) -> None:
    """Plain text is allowed outside the tags; what is inside one follows its schema."""
    text = text_of(client, response_format=TAG)
    for inside in re.findall("<colour>(.*?)</colour>", text):
        assert set(json.loads(inside)) == {"name", "warm"}


def test_a_schema_that_another_backend_takes_is_followed_beside_the_others(
    client: OpenAI,
) -> None:
    """The first grammar of the engine's life does not decide for the rest."""
    of_guidance = {"type": "integer", "multipleOf": 5, "minimum": 10, "maximum": 90}
    for _ in range(2):
        assert int(text_of(client, **structured(json=of_guidance))) % 5 == 0
        assert "warm" in json.loads(text_of(client, **structured(json=OF_OUTLINES)))
        assert text_of(client, **structured(choice=["crimson", "teal"])) in ("crimson", "teal")


def test_a_response_follows_its_format(client: OpenAI) -> None:
    """The Responses endpoint has the same grammars under another name."""
    form = {"type": "json_schema", "name": "colour", "schema": COLOUR}
    answer = client.responses.create(
        model="finance",
        input="Describe a colour.",
        max_output_tokens=40,
        text={"format": form},  # type: ignore[arg-type]
    )
    assert set(json.loads(answer.output_text)) == {"name", "warm"}


def test_a_required_tool_call_follows_its_schema(client: OpenAI) -> None:
    """What vLLM makes of a tool passes the gate on its way to the engine."""
    function = {"name": "paint", "parameters": COLOUR, "strict": True}
    tool = {"type": "function", "function": function}
    answer = client.chat.completions.create(
        model="finance",
        messages=QUESTION,  # type: ignore[arg-type]
        max_tokens=80,
        temperature=0,
        tools=[tool],  # type: ignore[list-item]
        tool_choice="required",
    )
    for call in answer.choices[0].message.tool_calls or ():
        assert set(json.loads(call.function.arguments)) == {"name", "warm"}


HOSTILE: dict[str, dict[str, Any]] = {
    "200 choices of 100 characters": {
        "choice": [f"{n:03d}" + "abcdefghij"[n % 10] * 97 for n in range(200)]
    },
    "2,000 choices of 1,000 characters": {
        "choice": [f"{n:04d}" + "abcdefghij"[n % 10] * 996 for n in range(2000)]
    },
    "alternatives repeated": {"regex": "(a|b|c){1,400}(d|e|f){1,400}"},
    "anything, repeated": {"regex": "(.*a){20}"},
    "optional repetitions": {"regex": "(.{0,5000}x){0,50}"},
    "repetitions of repetitions": {"regex": "(a{1,1000}){1,1000}{1,1000}"},
    "a grammar of repetitions": {"grammar": 'root ::= (([a-z]{0,5000} "x"){0,500} "y"){0,500}'},
    "a schema of repetitions": {
        "json": {"type": "string", "pattern": "^((a|b|c){1,400}(d|e|f){1,400}){1,400}$"}
    },
    "a schema of repetitions for another backend": {
        "json": OF_OUTLINES
        | {"properties": {"a": {"type": "string", "pattern": "(.{0,5000}x){0,50}"}}}
    },
    "a tag of repetitions": {
        "structural_tag": json.dumps(
            {
                "type": "structural_tag",
                "format": {"type": "regex", "pattern": "(.{0,5000}x){0,50}"},
            }
        )
    },
}
"""The same rows as were measured before there was a gate, and their neighbours."""


def ask(http: httpx.Client, grammar: dict[str, Any], **changes: Any) -> httpx.Response:
    body = {"model": BASE, "messages": QUESTION, "max_tokens": 5, "structured_outputs": grammar}
    return http.post(CHAT, json=body | changes)


class Honest:
    """Somebody else's stream, and when its tokens came."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.arrivals: list[float] = []
        self.done = False

    def run(self) -> None:
        body = {
            "model": "finance",
            "messages": QUESTION,
            "max_tokens": STREAM_TOKENS,
            "ignore_eos": True,
            "stream": True,
        }
        headers = {"authorization": f"Bearer {API_KEY}"}
        path = f"{self._url}{CHAT}"
        with httpx.stream("POST", path, json=body, headers=headers, timeout=120) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    self.arrivals.append(time.monotonic())
                self.done = line == "data: [DONE]" or self.done

    def longest_gap(self, since: float = 0.0) -> float:
        times = [moment for moment in self.arrivals if moment >= since]
        return max(later - earlier for earlier, later in pairwise(times))


@contextmanager
def honest_stream(url: str) -> Iterator[Honest]:
    """Somebody else's stream, begun before the block and complete after it."""
    honest = Honest(url)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(honest.run)
        while len(honest.arrivals) < 5 and not running.done():
            time.sleep(0.02)
        yield honest
        running.result()
    assert honest.done


@pytest.fixture(scope="module")
def alone(server: Server) -> float:
    """The longest gap of a stream that has the engine for itself, in seconds."""
    with honest_stream(server.url) as warm_up:
        pass
    with honest_stream(server.url) as honest:
        pass
    return min(warm_up.longest_gap(), honest.longest_gap())


def tries_grammars(process: psutil.Process) -> bool:
    """Whether a process is the helper, or a trial that it forked; one that has ended is not."""
    try:
        return "lorabay.serving.grammar_trials" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def compiling(server: Server) -> bool:
    """Whether a grammar is being tried at this moment: the helper is not alone."""
    return sum(map(tries_grammars, descendants(server.process.pid))) > 1


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_grammar_costs_its_sender_alone(
    server: Server, http: httpx.Client, alone: float, figures: list[str], kind: str
) -> None:
    """It is a 400 that says why, or an answer; a stream beside it goes on, and nothing is left."""
    with honest_stream(server.url) as honest:
        begun = time.monotonic()
        response = ask(http, HOSTILE[kind])
        ended = time.monotonic()
    assert response.status_code in (200, 400), response.text
    if response.status_code == 400:
        assert response.json()["error"]["code"] == "invalid_request"
        assert len(response.json()["error"]["message"]) < 1000
    assert not compiling(server)
    figures.append(
        f"{kind}: {response.status_code} after {ended - begun:.1f} s; longest gap beside it "
        f"{honest.longest_gap():.3f} s, alone {alone:.3f} s"
    )

    assert ask(http, HOSTILE[kind]).status_code == response.status_code


def test_repetitions_of_repetitions_are_the_clients_mistake(http: httpx.Client) -> None:
    """Streamed or not, on every endpoint: a 400, never a 500 with a traceback."""
    grammar = HOSTILE["repetitions of repetitions"]
    for stream in (False, True):
        assert ask(http, grammar, stream=stream).status_code == 400
        body = {"model": "finance", "stream": stream, "structured_outputs": grammar}
        assert http.post("/v1/completions", json=body | {"prompt": "a"}).status_code == 400
        assert http.post("/v1/responses", json=body | {"input": "a"}).status_code == 400


def test_what_a_client_abandons_is_not_compiled_to_its_end(server: Server) -> None:
    """Soon after the clients have left, nothing is compiled."""
    headers = {"authorization": f"Bearer {API_KEY}"}

    def leave(number: int) -> None:
        with (
            httpx.Client(
                base_url=server.url, headers=headers, timeout=httpx.Timeout(30, read=0.5)
            ) as http,
            pytest.raises(httpx.ReadTimeout),
        ):
            ask(http, {"regex": f"(.{{0,500{number}}}x){{0,50}}((a|b){{1,400}}){{1,400}}"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(leave, range(4)))

    waiting = threading.Event()
    for _ in range(100):
        if not compiling(server) and metric(server.url, "lorabay_requests_running") == 0:
            break
        waiting.wait(0.1)
    assert not compiling(server)


def test_wrong_grammars_are_told_why(http: httpx.Client) -> None:
    """A mistake of each kind is a 400 whose message helps, and the engine goes on."""
    wrong: list[dict[str, Any]] = [
        {"json": {"type": "nothing"}},
        {"json": {"$ref": "#/$defs/missing"}},
        {"regex": "(a"},
        {"grammar": "root ::= missing"},
        {"grammar": 'root ::= ("a"'},
        {"grammar": "start: missing"},
        {"structural_tag": "<call>"},
        {"choice": []},
    ]
    for grammar in wrong:
        for stream in (False, True):
            response = ask(http, grammar, stream=stream)
            assert response.status_code == 400, (grammar, response.text)
            assert ".cc:" not in response.json()["error"]["message"]
    assert http.get("/ready").status_code == 200
