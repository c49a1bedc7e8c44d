"""Requests that ask for too much, or for odd things, on the real engine: each costs its sender.

Run with `-s`, the last test prints how long each kind took and what it did to the server's memory.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
import pytest

from tests.api.limits.test_limits import KINDS
from tests.e2e.conftest import BASE
from tests.e2e.server import Server, metric

CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
JSON = {"content-type": "application/json"}
MESSAGE = {"role": "user", "content": "Hello"}
MEGABYTE = 1_000_000
MOST_GROWTH_MB = 50

# The engine's context here is so short that 16 sequences may fill it.
TAKEN_HERE = {"tokens that are not asked for"}


def filled(piece: bytes, size: int = 3_900_000) -> bytes:
    """Return a body of megabytes that repeats one small JSON value."""
    start, end = b'{"model": "finance", "messages": [', b"]}"
    times = (size - len(start) - len(end)) // (len(piece) + 1)
    return start + b",".join([piece] * times) + end


RAW = {
    "megabytes of integers": filled(b"1"),
    "megabytes of long integers": filled(b"9" * 4000),
    "megabytes of numbers": filled(b"1.5"),
    "megabytes of nulls": filled(b"null"),
    "megabytes of objects": filled(b"{}"),
    "megabytes of lists": filled(b"[]"),
    "megabytes of empty texts": filled(b'""'),
    "megabytes of small texts": filled(b'"ab"'),
    "megabytes of named values": filled(b'{"":1}'),
    "megabytes of messages": filled(b'{"role":"user","content":"x"}'),
    "megabytes of open lists": b"[" * 3_900_000,
    "megabytes of quotes": b'{"model": "' + b'\\"' * 1_900_000,
    "deep lists": b'{"model": "finance", "messages": ' + b"[" * 900 + b"]" * 900 + b"}",
    "endless numbers": b'{"model": "finance", "prompt": "a", "temperature": 1e999}',
}

OVERSIZED = RAW | {
    name: json.dumps(kind.body).replace("Infinity", "1e999").encode()
    for name, kind in KINDS.items()
    # This base generates: it answers no call that pools, however large.
    if name not in TAKEN_HERE and not kind.call.pools
}


def path_of(name: str) -> str:
    return KINDS[name].call.path if name in KINDS else CHAT


def test_there_are_many_kinds() -> None:
    """Oversized in every field, and in the bytes alone."""
    assert len(OVERSIZED) >= 100


@pytest.mark.parametrize("name", OVERSIZED)
def test_an_oversized_request_is_a_400(http: httpx.Client, name: str) -> None:
    """Each kind is refused in the envelope with a short message."""
    answer = http.post(path_of(name), content=OVERSIZED[name], headers=JSON)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "invalid_request"
    assert len(error["message"]) < 4_000


def chat(**changes: Any) -> tuple[str, dict[str, Any]]:
    return CHAT, {"model": "finance", "messages": [MESSAGE], "max_tokens": 1} | changes


def message(**parts: Any) -> tuple[str, dict[str, Any]]:
    return chat(messages=[{"role": "user"} | parts])


def completion(**changes: Any) -> tuple[str, dict[str, Any]]:
    return COMPLETIONS, {"model": "finance", "prompt": "Hello", "max_tokens": 1} | changes


def response(**changes: Any) -> tuple[str, dict[str, Any]]:
    return RESPONSES, {"model": "finance", "input": "Hello", "max_output_tokens": 1} | changes


def structured(**kind: Any) -> tuple[str, dict[str, Any]]:
    return chat(structured_outputs=kind)


def tokenize(**changes: Any) -> tuple[str, dict[str, Any]]:
    return "/tokenize", {"model": "finance"} | changes


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALLED = {"role": "assistant", "content": None}


def calls(*tool_calls: Any) -> tuple[str, dict[str, Any]]:
    return chat(messages=[MESSAGE, CALLED | {"tool_calls": list(tool_calls)}])


ODD = {
    "min_tokens over max_tokens": chat(min_tokens=10**15),
    "top_k beyond 32 bits": chat(top_k=2**40, temperature=1),
    "top_k beyond 63 bits": chat(top_k=2**63 + 1, temperature=1),
    "top_k negative": chat(top_k=-7),
    "seed of 63 bits": chat(seed=2**63 - 1),
    "negative seed": chat(seed=-(2**63), temperature=1),
    "a thinking budget beyond 63 bits": chat(thinking_token_budget=2**63 + 1),
    "a thinking budget": chat(thinking_token_budget=5),
    "a priority": chat(priority=2**62),
    "a negative priority": chat(priority=-5),
    "a stream interval beyond 63 bits": chat(stream=True, stream_interval=2**63 + 1),
    "truncation to nothing": completion(truncate_prompt_tokens=0),
    "truncation beyond the context": completion(truncate_prompt_tokens=2**62),
    "truncation to the context": completion(truncate_prompt_tokens=-1),
    "truncation from a side that is none": completion(truncation_side="up"),
    "no message": chat(messages=[]),
    "an empty message": chat(messages=[{}]),
    "a message of nothing": message(),
    "a message with an empty list": message(content=[]),
    "a message with an unknown part": message(content=[{"type": "nothing"}]),
    "a message with an empty part": message(content=[{}]),
    "a message with a part of null": message(content=[{"type": "text", "text": None}]),
    "a role that is a list": chat(messages=[{"role": ["user"], "content": "x"}]),
    "an unknown role": chat(messages=[{"role": "nobody", "content": "x"}]),
    "only the assistant": chat(messages=[{"role": "assistant", "content": "x"}]),
    "a tool's answer to no call": chat(messages=[{"role": "tool", "content": "x"}]),
    "a picture": message(content=[{"type": "image_url", "image_url": {"url": "data:,x"}}]),
    "a picture from elsewhere": message(
        content=[{"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/"}}]
    ),
    "a picture that is a number": message(content=[{"type": "image_url", "image_url": 5}]),
    "sound": message(content=[{"type": "input_audio", "input_audio": {"data": "x"}}]),
    "embedded pictures": message(content=[{"type": "image_embeds", "image_embeds": "AAAA"}]),
    "tool calls of no function": calls({}),
    "tool calls of numbers": calls({"id": "1", "type": "function", "function": 5}),
    "tool calls with broken arguments": calls(
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{"}}
    ),
    "tool calls with arguments of a list": calls(
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "[1]"}}
    ),
    "tool calls with deep arguments": calls(
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "[" * 50_000}}
    ),
    "tool calls that are a number": chat(messages=[CALLED | {"tool_calls": 5}]),
    "tools of nothing": chat(tools=[{}]),
    "no tools": chat(tools=[]),
    "tools without names": chat(tools=[{"type": "function", "function": {}}]),
    "a choice of no tool": chat(tools=[TOOL], tool_choice={"function": {"name": "g"}}),
    "a choice among nothing": chat(tools=[{}], tool_choice={"function": {"name": "g"}}),
    "a choice that is a list": chat(tools=[TOOL], tool_choice=[1]),
    "a choice without tools": chat(tool_choice="required"),
    "tools with parameters that are text": chat(
        tools=[{"type": "function", "function": {"name": "f", "parameters": "x"}}]
    ),
    "tools with a bad schema": chat(
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "nothing"}}}],
        tool_choice="required",
    ),
    "a continued and generated message": chat(
        continue_final_message=True, add_generation_prompt=True
    ),
    "a continued message of the user": chat(
        continue_final_message=True, add_generation_prompt=False
    ),
    "a template": chat(chat_template="{{ 1 }}"),
    "a template among the arguments": chat(chat_template_kwargs={"chat_template": "{{ 1 }}"}),
    "template arguments that clash": chat(
        chat_template_kwargs={"tokenize": True, "messages": 1, "conversation": 2, "tools": 3}
    ),
    "template arguments that are odd": chat(
        chat_template_kwargs={"return_dict": True, "padding": True, "max_length": -1}
    ),
    "documents": chat(documents=[{"title": "x", "text": "y"}]),
    "documents of numbers": chat(documents=[{"title": 5}]),
    "media arguments": chat(media_io_kwargs={"video": {"num_frames": 10**6}}),
    "processor arguments": chat(mm_processor_kwargs={"size": 10**6}),
    "extra arguments": chat(vllm_xargs={"a": [1, "b"]}),
    "nested extra arguments": chat(vllm_xargs={"a": {"b": 1}}),
    "a bias of no token": chat(logit_bias={"x": 1}),
    "a bias of a token out of the vocabulary": chat(logit_bias={"999999999": 1}),
    "a bias of a negative token": chat(logit_bias={"-1": 1}),
    "a bias of 4000 digits": chat(logit_bias={"9" * 4_000: 1}),
    "a bias of 5000 digits": chat(logit_bias={"9" * 5_000: 1}),
    "a bias of text": chat(logit_bias={"5": "much"}),
    "allowed tokens out of the vocabulary": chat(allowed_token_ids=[10**9]),
    "no allowed tokens": chat(allowed_token_ids=[]),
    "negative stop tokens": chat(stop_token_ids=[-1]),
    "stop tokens beyond 63 bits": chat(stop_token_ids=[2**63 + 5]),
    "tokens with log probabilities, unasked": chat(logprob_token_ids=[5]),
    "tokens with log probabilities": chat(logprobs=True, logprob_token_ids=[5, -1]),
    "an empty stop string": chat(stop=[""]),
    "an empty bad word": chat(bad_words=[""]),
    "bad words of spaces": chat(bad_words=[" "]),
    "bad words": chat(bad_words=["x" * 250] * 128),
    "beams": chat(use_beam_search=True, n=2),
    "streamed beams": chat(use_beam_search=True, n=2, stream=True),
    "beams with an endless penalty": chat(use_beam_search=True, n=2, length_penalty=-(10**18)),
    "an echo": completion(echo=True, logprobs=1),
    "an echo of nothing": completion(echo=True, max_tokens=0),
    "a suffix": completion(suffix="x"),
    "an empty prompt": completion(prompt=""),
    "no prompts": completion(prompt=[]),
    "prompts of nothing": completion(prompt=[[]]),
    "one empty prompt among others": completion(prompt=["a", ""]),
    "tokens out of the vocabulary": completion(prompt=[10**9]),
    "tokens beyond 63 bits": completion(prompt=[2**63 + 1]),
    "negative tokens": completion(prompt=[-1]),
    "embedded prompts": completion(prompt_embeds="AAAA"),
    "embedded prompts of nothing": completion(prompt=None, prompt_embeds=[]),
    "a salt with a slash": chat(cache_salt="a/b"),
    "a request id": chat(request_id="a b\n\x00c"),
    "a request id of a response": response(request_id="resp_x"),
    "a broken repetition": chat(repetition_detection={"max_pattern_size": 5}),
    "a repetition": chat(repetition_detection={"max_pattern_size": 1000, "min_count": 2}),
    "a broken regex": structured(regex="("),
    "a regex that looks back": structured(regex=r"(a)\1"),
    "an empty regex": structured(regex=""),
    "a broken grammar": structured(grammar="root ::= "),
    "an empty grammar": structured(grammar=""),
    "no choices": structured(choice=[]),
    "an empty choice": structured(choice=[""]),
    "choices of numbers": structured(choice=[1]),
    "a broken schema in text": structured(json="{"),
    "a schema that refers to nothing": structured(json={"$ref": "#/$defs/x"}),
    "a schema that refers to itself": structured(json={"$ref": "#"}),
    "a schema of an unknown type": structured(json={"type": "nothing"}),
    "a schema with a broken pattern": structured(json={"type": "string", "pattern": "("}),
    "a schema of odd bounds": structured(json={"type": "integer", "minimum": 5, "maximum": 1}),
    "a broken structural tag": structured(structural_tag="{}"),
    "nothing structured": structured(),
    "two structures": structured(regex="a", choice=["b"]),
    "structured outputs that are a list": chat(structured_outputs=[1]),
    "a format without a schema": chat(response_format={"type": "json_schema"}),
    "a format of an empty schema": chat(
        response_format={"type": "json_schema", "json_schema": {"name": "x"}}
    ),
    "a format that is text": chat(response_format="json"),
    "an unknown format": chat(response_format={"type": "nothing"}),
    "a format of broken tags": chat(
        response_format={"type": "structural_tag", "structures": [], "triggers": []}
    ),
    "a format of odd tags": chat(response_format={"type": "structural_tag", "format": [1]}),
    "a reference to an item": response(input=[{"type": "item_reference", "id": "x"}]),
    "an item of nothing": response(input=[{}]),
    "an unknown item": response(input=[{"type": "nothing"}]),
    "an item of a call": response(input=[{"type": "function_call", "name": "f"}]),
    "an answer to no call": response(
        input=[{"type": "function_call_output", "call_id": "x", "output": "y"}]
    ),
    "an item of reasoning": response(input=[{"type": "reasoning", "summary": []}]),
    "an item of a search": response(
        input=[{"type": "web_search_call", "id": "x", "status": "completed", "action": {}}]
    ),
    "a picture among the items": response(
        input=[{"role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]}]
    ),
    "a file among the items": response(
        input=[{"role": "user", "content": [{"type": "input_file", "file_data": "x"}]}]
    ),
    "no items": response(input=[]),
    "former messages": response(previous_input_messages=[{"role": "user", "content": "x"}]),
    "odd former messages": response(previous_input_messages=[{"a": 1}]),
    "a server of tools": response(
        tools=[{"type": "mcp", "server_label": "x", "server_url": "http://127.0.0.1:1"}]
    ),
    "a search": response(tools=[{"type": "web_search_preview"}]),
    "an interpreter": response(tools=[{"type": "code_interpreter", "container": {"type": "auto"}}]),
    "a choice of a tool that is not there": response(
        tools=[], tool_choice={"type": "function", "name": "f"}
    ),
    "a prompt template": response(prompt={"id": "x"}),
    "a text format without a schema": response(
        text={"format": {"type": "json_schema", "name": "x"}}
    ),
    "odd metadata": response(metadata={"a": {"b": 1}}),
    "log probabilities of a response": response(
        include=["message.output_text.logprobs"], top_logprobs=20
    ),
    "no tokens asked for": response(max_output_tokens=0),
    "fewer tokens than none": response(max_output_tokens=-5),
    "a run in the background": response(background=True),
    "a former response": response(previous_response_id="resp_x"),
    "a cache from elsewhere": chat(
        kv_transfer_params={"do_remote_prefill": True, "remote_host": "127.0.0.1"}
    ),
    "an empty text to tokenize": tokenize(prompt=""),
    "odd messages to tokenize": tokenize(messages=[{}]),
    "a deep text to tokenize": tokenize(prompt="[" * 900_000),
    "no tokens": ("/detokenize", {"model": BASE, "tokens": []}),
    "tokens that do not exist": ("/detokenize", {"model": BASE, "tokens": [10**9]}),
    "tokens of 63 bits": ("/detokenize", {"model": BASE, "tokens": [2**63 - 1]}),
    "many tokens": ("/detokenize", {"model": BASE, "tokens": [5] * 200_000}),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_request_is_refused_or_answered(http: httpx.Client, name: str) -> None:
    """Never a 5xx: a value is harmless, or the client's mistake in an envelope."""
    path, body = ODD[name]
    answer = http.post(path, json=body)
    assert answer.status_code < 500, answer.text[:500]
    if answer.status_code >= 400:
        assert answer.json()["error"]["code"] in ("invalid_request", "context_length_exceeded")


class Peak:
    """The most memory that a process has held while a block ran, beyond that before it."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._ended = threading.Event()
        self.before = process.memory_info().rss
        self.most = self.before

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self.most = max(self.most, self._process.memory_info().rss)

    @contextmanager
    def watched(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    @property
    def megabytes(self) -> float:
        return (self.most - self.before) / MEGABYTE


@contextmanager
def neighbour(server: Server, key: str) -> Iterator[list[float]]:
    """Ask another adapter for a token again and again; collect the seconds that each took."""
    ended, seconds = threading.Event(), list[float]()

    def ask() -> None:
        body = {"model": "ecommerce", "prompt": "Hello", "max_tokens": 1}
        with httpx.Client(base_url=server.url, headers={"authorization": key}) as client:
            while not ended.is_set():
                began = time.monotonic()
                client.post(COMPLETIONS, json=body, timeout=120).raise_for_status()
                seconds.append(time.monotonic() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seconds
    finally:
        ended.set()
        thread.join()


def test_refusals_cost_the_server_no_memory_and_the_neighbour_is_answered(
    server: Server, http: httpx.Client
) -> None:
    """All kinds in a row add at most 50 MB, at any moment; times are printed, not judged."""
    peak = Peak(psutil.Process(server.process.pid))
    seconds: dict[str, float] = {}

    with neighbour(server, http.headers["authorization"]) as waits, peak.watched():
        for name, content in OVERSIZED.items():
            began = time.monotonic()
            assert http.post(path_of(name), content=content, headers=JSON).status_code == 400
            seconds[name] = time.monotonic() - began

    slowest = sorted(seconds, key=lambda name: -seconds[name])[:10]
    report = [f"{seconds[name] * 1000:7.0f} ms  {name}" for name in slowest]
    report.append(f"{len(seconds)} kinds; memory at most {peak.megabytes:+.1f} MB")
    report.append(f"neighbour: {len(waits)} tokens, the longest took {max(waits) * 1000:.0f} ms")
    sys.stdout.write("\n".join(["", *report, ""]))
    assert peak.megabytes <= MOST_GROWTH_MB


def test_nothing_above_was_a_bug(http: httpx.Client) -> None:
    """No request of this module counted as a server error."""
    assert metric(str(http.base_url), "lorabay_requests_total", code="500") == 0
