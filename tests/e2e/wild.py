"""Requests as programs of other people send them, each with the answer that it should get.

    python -m tests.e2e.wild http://127.0.0.1:8000 [KEY]

prints what a running server makes of them, the wrong ones marked.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
COUNT, TOKENIZE = "/v1/messages/count_tokens", "/tokenize"
JSON = {"content-type": "application/json"}
HELLO = {"role": "user", "content": "Hello"}
NAMED = {"type": "function", "function": {"name": "f"}}
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {
            "type": "object",
            "properties": {"yes": {"type": "boolean"}},
            "required": ["yes"],
            "additionalProperties": False,
        },
    },
}
FLAT = {"type": "function", **TOOL["function"]}  # type: ignore[dict-item]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
LEAST: Mapping[str, Mapping[str, Any]] = {
    CHAT: {"messages": [HELLO], "max_tokens": 2, "return_prompt_text": True},
    TEXT: {"prompt": "Hello", "max_tokens": 2},
    RESPONSES: {"input": "Hello", "max_output_tokens": 2},
    MESSAGES: {"messages": [HELLO], "max_tokens": 2},
    COUNT: {"messages": [HELLO]},
    TOKENIZE: {"messages": [HELLO]},
}


@dataclass(frozen=True)
class Wild:
    """One request: what differs from the least body of its path, or raw content; and its answer.

    `says` must be in the answer's text.
    """

    path: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    says: str = ""
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"

    def send(self, http: httpx.Client) -> httpx.Response:
        """Send it; the model is the shop's adapter unless a case says otherwise."""
        content = self.content
        if content is None:
            body = {"model": "ecommerce", "temperature": 0, **LEAST.get(self.path, {})}
            if self.path in (COUNT, TOKENIZE):
                del body["temperature"]
            wanted = body | dict(self.changes)
            content = json.dumps(
                {name: value for name, value in wanted.items() if value != "ABSENT"}
            ).encode()
        headers = {**JSON, **self.headers}
        return http.request(self.method, self.path, content=content, headers=headers)

    def fault(self, answer: httpx.Response) -> str | None:
        """Return what is wrong with an answer, None if it is right."""
        if answer.status_code != self.status:
            return f"{answer.status_code}: {answer.text[:300]}"
        text = json.dumps(answer.json(), ensure_ascii=False) if _is_json(answer) else answer.text
        if self.says not in text:
            return f"lacks {self.says!r}: {text[:300]}"
        if self.status >= 400 and not answer.json()["error"]["message"]:
            return "says nothing"
        return None


def _is_json(answer: httpx.Response) -> bool:
    return answer.headers.get("content-type", "").startswith("application/json")


def chat(status: int = 200, says: str = "", **changes: Any) -> Wild:
    return Wild(CHAT, changes, status, says)


def talk(*messages: Any, status: int = 200, says: str = "", **changes: Any) -> Wild:
    return Wild(CHAT, {"messages": list(messages)} | changes, status, says)


def text(status: int = 200, says: str = "", **changes: Any) -> Wild:
    return Wild(TEXT, changes, status, says)


def response(status: int = 200, says: str = "", **changes: Any) -> Wild:
    return Wild(RESPONSES, changes, status, says)


def message(status: int = 200, says: str = "", **changes: Any) -> Wild:
    return Wild(MESSAGES, changes, status, says)


def raw(content: bytes, status: int = 200, says: str = "", **headers: str) -> Wild:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Wild(CHAT, {}, status, says, content, named)


def part(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


PLAIN = json.dumps({"model": "ecommerce", "messages": [HELLO], "max_tokens": 2}).encode()
NULLS = dict.fromkeys(
    (
        *("frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "n", "presence_penalty"),
        *("response_format", "seed", "stop", "stream", "stream_options", "top_p", "tools", "user"),
        *("tool_choice", "parallel_tool_calls", "functions", "function_call", "metadata", "store"),
        *("service_tier", "reasoning_effort", "modalities", "audio", "prediction", "verbosity"),
        *("top_k", "min_p", "repetition_penalty", "min_tokens", "ignore_eos", "length_penalty"),
        *("skip_special_tokens", "add_generation_prompt", "bad_words", "use_beam_search", "echo"),
        *("include_reasoning", "priority", "request_id", "chat_template", "web_search_options"),
    )
)

WILD: Mapping[str, Wild] = {
    # Messages.
    "content in parts": talk(
        {"role": "user", "content": [part("text", text="One"), part("text", text="Two")]},
        says="One\\nTwo",
    ),
    "content in parts of the Responses API": talk(
        {"role": "user", "content": [part("input_text", text="One")]}, says="user\\nOne"
    ),
    "a part of plain text": talk({"role": "user", "content": ["One"]}, says="user\\nOne"),
    "a developer": talk(
        {"role": "developer", "content": "Be brief."}, HELLO, says="system\\nBe brief."
    ),
    "a system prompt in parts": talk(
        {
            "role": "system",
            "content": [part("text", text="Be brief.", cache_control={"type": "ephemeral"})],
        },
        HELLO,
        says="system\\nBe brief.",
    ),
    "a system prompt at the end": talk(
        HELLO, {"role": "system", "content": "Be brief."}, says="Be brief."
    ),
    "empty content beside a call": talk(
        HELLO,
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        says="42",
    ),
    "null content beside a call": talk(
        HELLO,
        {"role": "assistant", "content": None, "tool_calls": [CALL], "name": None, "refusal": None},
        {"role": "tool", "tool_call_id": "call_1", "content": [part("text", text="42")]},
        says="42",
    ),
    "an empty list of calls": talk(
        HELLO, {"role": "assistant", "content": "Hi", "tool_calls": []}, HELLO, says="Hi"
    ),
    "a call with arguments that are no JSON": talk(
        HELLO,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [CALL | {"function": {"name": "f", "arguments": "{x"}}],
        },
        HELLO,
    ),
    "a result without a call": talk(
        {"role": "tool", "tool_call_id": "x", "content": "42"}, HELLO, says="42"
    ),
    "a result as text of JSON": talk(
        {"role": "tool", "tool_call_id": "x", "content": '{"a": "ü"}'}, HELLO, says="ü"
    ),
    "a name that is null": talk({"role": "user", "content": "Hello", "name": None}),
    "a name": talk({"role": "user", "content": "Hello", "name": "anna"}),
    "an assistant's empty message": talk(HELLO, {"role": "assistant", "content": ""}, HELLO),
    "extra fields of a message": talk(
        {"role": "user", "content": "Hello", "id": 7, "timestamp": "x"}
    ),
    "thoughts sent back": talk(
        HELLO, {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}, HELLO
    ),
    "an assistant's message at the end": talk(HELLO, {"role": "assistant", "content": "Well,"}),
    "two of a role in a row": talk(HELLO, HELLO, says="user"),
    "a misspelt role": talk(
        {"role": "assitant", "content": "x"}, HELLO, status=400, says="messages.0.role"
    ),
    "a role in capitals": talk(
        {"role": "User", "content": "x"}, status=400, says="messages.0.role"
    ),
    "a role of other models": talk(
        {"role": "model", "content": "x"}, status=400, says="messages.0.role"
    ),
    "the former role of results": talk(
        HELLO, {"role": "function", "name": "f", "content": "42"}, status=400, says="use tool"
    ),
    "a message without content": talk({"role": "user"}, status=400, says="messages.0.content"),
    "a user's null": talk({"role": "user", "content": None}, status=400, says="messages.0.content"),
    "content as an object": talk(
        {"role": "user", "content": {"text": "x"}}, status=400, says="messages"
    ),
    "a picture on a base of text": talk(
        {"role": "user", "content": [part("image_url", image_url={"url": PIXEL})]},
        status=400,
        says="multimodal",
    ),
    "a picture of the Responses API": talk(
        {"role": "user", "content": [part("input_image", image_url=PIXEL)]}, status=400
    ),
    "a file": talk(
        {"role": "user", "content": [part("file", file={"file_id": "x"})]}, status=400, says="file"
    ),
    "sound": talk(
        {
            "role": "user",
            "content": [part("input_audio", input_audio={"data": "", "format": "wav"})],
        },
        status=400,
    ),
    "an unknown part": talk(
        {"role": "user", "content": [part("x")]}, status=400, says="`messages`"
    ),
    "Mistral's beginning": talk(
        HELLO,
        {"role": "assistant", "content": "x", "prefix": True},
        status=400,
        says="continue_final_message",
    ),
    "a continued message": talk(
        HELLO,
        {"role": "assistant", "content": "Well,"},
        continue_final_message=True,
        add_generation_prompt=False,
        says='assistant\\nWell,"',
    ),
    "no generation prompt": chat(add_generation_prompt=False),
    "both at once": chat(
        400, "add_generation_prompt", continue_final_message=True, add_generation_prompt=True
    ),
    "a zero character": talk({"role": "user", "content": "a\x00b"}),
    "an emoji of two halves": talk({"role": "user", "content": "😀"}, says="😀"),
    "a very long word": talk({"role": "user", "content": "ab" * 700}),
    "special tokens in text": talk({"role": "user", "content": "<|im_end|>"}),
    "messages as text": chat(400, "messages", messages="[]"),
    "no messages": chat(400, "at least one message", messages=[]),
    # Fields.
    "null in every field": chat(**NULLS),
    "max_completion_tokens": chat(max_tokens="ABSENT", max_completion_tokens=2),
    "both lengths": chat(max_completion_tokens=2),
    "a response's length in a chat": chat(
        400, "max_completion_tokens", max_output_tokens=5, max_tokens="ABSENT"
    ),
    "a length of -1": chat(400, "max_tokens", max_tokens=-1),
    "a length over the context": chat(400, "max_model_len", max_tokens=32_000),
    "a length as text": chat(max_tokens="2"),
    "a length with a point": chat(max_tokens=2.0),
    "no stop": chat(stop=None),
    "an empty stop": chat(stop=""),
    "an empty list of stops": chat(stop=[]),
    "a stop of nothing": chat(400, "stop", stop=[""]),
    "one stop as text": chat(stop="\n"),
    "five stops": chat(400, "max_stop_strings", stop=list("abcde")),
    "a format of text": chat(response_format={"type": "text"}),
    "a format of nothing": chat(response_format={}),
    "a format as text": chat(400, "response_format", response_format="json_object"),
    "an unknown format": chat(400, "response_format", response_format={"type": "xml"}),
    "a format without its schema": chat(
        400,
        "json_schema.schema",
        response_format={"type": "json_schema", "json_schema": {"name": "x"}},
    ),
    "a schema with what nobody follows": chat(
        400,
        "['not']",
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": {"type": "string", "not": {"const": "a"}}},
        },
    ),
    "a schema of alternatives beside properties": chat(
        says="yes",
        max_tokens=30,
        response_format={
            "type": "json_schema",
            "json_schema": {
                "name": "a",
                "schema": TOOL["function"]["parameters"] | {"anyOf": [{"required": ["yes"]}]},  # type: ignore[index]
            },
        },
    ),
    "no tools": chat(tools=[]),
    "no tools, and a free choice": chat(tools=[], tool_choice="auto"),
    "a free choice without tools": chat(tool_choice="auto"),
    "a demanded tool without tools": chat(400, "tool_choice", tool_choice="required"),
    "tools that may not be used": chat(tools=[TOOL], tool_choice="none"),
    "a free choice of a base without a form": chat(400, "tool_choice", tools=[TOOL]),
    "a named tool": chat(says='"f"', tools=[TOOL], tool_choice=NAMED, max_tokens=40),
    "a required tool": chat(says='"f"', tools=[TOOL], tool_choice="required", max_tokens=60),
    "a tool that is not there": chat(
        400,
        "tool_choice",
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "g"}},
    ),
    "a tool of the Responses API": chat(400, "tools", tools=[FLAT], tool_choice="required"),
    "a custom tool": chat(400, "tools", tools=[{"type": "custom", "custom": {"name": "x"}}]),
    "a tool without parameters": chat(
        tools=[
            {
                "type": "function",
                "function": {"name": "f", "description": None, "parameters": None, "strict": None},
            }
        ],
        tool_choice="none",
    ),
    "one call at a time": chat(
        says='"f"', tools=[TOOL], tool_choice="required", parallel_tool_calls=False, max_tokens=60
    ),
    "calls one at a time without tools": chat(parallel_tool_calls=False),
    "stream options without a stream": chat(400, "stream", stream_options={"include_usage": True}),
    "a stream of several": Wild(CHAT, {"stream": True, "n": 2, "temperature": 1}, 200, '"index":1'),
    "a stream with usage": Wild(
        CHAT,
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        200,
        '"total_tokens"',
    ),
    "a stream as text": Wild(CHAT, {"stream": "true"}, 200, "data: [DONE]"),
    "harmless fields": chat(
        user="anna",
        metadata={"a": "b"},
        store=True,
        service_tier="flex",
        verbosity="low",
        safety_identifier="x",
        prompt_cache_key="x",
        prompt_cache_retention="24h",
        prediction={"type": "content", "content": "x"},
        keep_alive=-1,
        chat_id="x",
        session_id="x",
        transforms=[],
        route="fallback",
        provider={"order": ["x"]},
        reasoning_effort="low",
        modalities=["text"],
    ),
    "no effort": chat(reasoning_effort=""),
    "effort for a base without thoughts": chat(reasoning_effort="minimal"),
    "an unknown effort": chat(400, "reasoning_effort", reasoning_effort="huge"),
    "a large seed": chat(seed=2**63 - 1),
    "a seed of 64 bits": chat(400, "seed", seed=2**64 - 1),
    "a negative seed": chat(seed=-1),
    "a temperature as text": chat(temperature="0.5"),
    "a temperature over 2": chat(400, "temperature", temperature=5),
    "a bias by text": chat(logit_bias={"5": -100}),
    "a bias of a word": chat(400, "logit_bias", logit_bias={"word": 1}),
    "a bias beyond the vocabulary": chat(400, "logit_bias", logit_bias={"99999999": 1}),
    "several of one certain answer": chat(400, "n", n=2),
    "log probabilities as a number": chat(400, "logprobs", logprobs=3),
    "the best log probabilities alone": chat(400, "logprobs", top_logprobs=3),
    "an answer in sound": chat(
        400, "modalities", modalities=["text", "audio"], audio={"voice": "x"}
    ),
    "a search": chat(400, "web_search_options", web_search_options={}),
    "another server's search": chat(400, "enable_search", enable_search=True),
    "a template of one's own": chat(400, "template", chat_template="{{ messages }}"),
    # Names.
    "a provider in front": chat(404, "openai/ecommerce", model="openai/ecommerce"),
    "capitals": chat(404, "model", model="ECOMMERCE"),
    "a tag of Ollama's": chat(404, "model", model="ecommerce:latest"),
    "an empty name": chat(404, "model", model=""),
    "several names": chat(400, "model", model="ABSENT", models=["ecommerce"]),
    # Text completions.
    "token ids": text(says='"prompt_tokens": 3', prompt=[19556, 28, 638]),
    "lists of token ids": text(says='"index": 1', prompt=[[19556], [28]]),
    "several prompts": text(says='"index": 1', prompt=["a", "b"]),
    "an empty suffix": text(suffix=""),
    "a suffix": text(400, "suffix", suffix="x"),
    "an echo": text(says="Hello", echo=True),
    "an echo alone": text(says="Hello", echo=True, max_tokens=0),
    "an echo with log probabilities": text(says="token_logprobs", echo=True, logprobs=1),
    "the best of one": text(best_of=1),
    "the best of several": text(400, "best_of", best_of=3),
    "a number that is null": text(n=None, logprobs=None, echo=None, suffix=None, max_tokens=None),
    "a chat's form": text(400, "logprobs", top_logprobs=3),
    "an empty prompt": text(400, "prompt", prompt=""),
    "an empty list of prompts": text(400, "prompt", prompt=[]),
    "messages in a completion": text(400, "prompt", prompt="ABSENT", messages=[HELLO]),
    # Responses.
    "a former answer": response(
        input=[
            HELLO,
            part(
                "message",
                id="m",
                status="completed",
                role="assistant",
                content=[part("output_text", text="Hi", annotations=[])],
            ),
            HELLO,
        ]
    ),
    "a former answer without a type": response(
        input=[
            HELLO,
            {"role": "assistant", "id": "m", "content": [part("output_text", text="Hi")]},
            HELLO,
        ]
    ),
    "a former refusal": response(
        input=[
            HELLO,
            part("message", role="assistant", content=[part("refusal", refusal="No")]),
            HELLO,
        ]
    ),
    "a call and its result": response(
        input=[
            HELLO,
            part("function_call", call_id="c", name="f", arguments="{}", id=None, status=None),
            part("function_call_output", call_id="c", output="42"),
        ]
    ),
    "a result in parts": response(
        input=[
            HELLO,
            part("function_call", call_id="c", name="f", arguments="{}"),
            part("function_call_output", call_id="c", output=[part("input_text", text="42")]),
        ]
    ),
    "former thoughts": response(
        input=[HELLO, part("reasoning", summary=[], content=None, encrypted_content=None), HELLO]
    ),
    "thoughts that are sealed": response(
        400,
        "ncrypted",
        input=[HELLO, part("reasoning", id="r", summary=[], encrypted_content="x"), HELLO],
    ),
    "a reference": response(400, "item_reference", input=[HELLO, part("item_reference", id="m")]),
    "a developer's item": response(
        input=[
            part("message", role="developer", content=[part("input_text", text="Be brief.")]),
            HELLO,
        ]
    ),
    "a picture in a response": response(
        400,
        "",
        input=[{"role": "user", "content": [part("input_image", image_url=PIXEL, detail="auto")]}],
    ),
    "a file in a response": response(
        400, "", input=[{"role": "user", "content": [part("input_file", file_id="x")]}]
    ),
    "an empty input": response(400, "at least one message", input=[]),
    "messages in a response": response(400, "input", input="ABSENT", messages=[HELLO]),
    "Codex's fields": response(
        instructions="Be brief.",
        include=["reasoning.encrypted_content"],
        store=False,
        stream=False,
        parallel_tool_calls=False,
        prompt_cache_key="x",
        client_metadata={"a": "b"},
        reasoning={"effort": "low", "summary": "auto"},
        tools=[FLAT],
        tool_choice="none",
        text={"verbosity": "low"},
    ),
    "a search of the server's": response(400, "web_search", tools=[{"type": "web_search"}]),
    "a search that is demanded": response(
        400,
        "web_search_preview",
        tools=[FLAT, {"type": "web_search_preview"}],
        tool_choice={"type": "web_search_preview"},
    ),
    "a chat's tool in a response": response(400, "tools", tools=[TOOL], tool_choice="required"),
    "some allowed tools": response(
        says='"function_call"',
        tools=[FLAT],
        tool_choice={
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "f"}],
        },
        max_output_tokens=60,
    ),
    "no tools in a response": response(tools=[], tool_choice="auto"),
    "nulls in a response": response(
        **dict.fromkeys(
            (
                *("instructions", "metadata", "tools", "tool_choice", "service_tier", "text"),
                *("truncation", "reasoning", "include", "top_logprobs", "user", "stream", "store"),
                *("previous_response_id", "conversation", "prompt", "background", "max_tool_calls"),
            )
        )
    ),
    "the former response": response(400, "previous_response_id", previous_response_id="resp_1"),
    "a kept conversation": response(400, "conversation", conversation="conv_1"),
    "work in the background": response(400, "background", background=True),
    "a kept prompt": response(400, "prompt", prompt={"id": "pmpt_1"}),
    "cut to the context": response(truncation="auto"),
    "an unknown include": response(400, "include", include=["x"]),
    "log probabilities of a response": response(
        says='"logprobs": [{', include=["message.output_text.logprobs"], top_logprobs=1
    ),
    # Anthropic's messages.
    "a system prompt as a list": message(
        system=[part("text", text="Be brief.", cache_control={"type": "ephemeral"})]
    ),
    "blocks to be cached": message(
        messages=[
            {
                "role": "user",
                "content": [part("text", text="Hi", cache_control={"type": "ephemeral"})],
            }
        ]
    ),
    "a beginning": message(
        says='"input_tokens": 33', messages=[HELLO, {"role": "assistant", "content": "Well,"}]
    ),
    "a call and its result in blocks": message(
        messages=[
            HELLO,
            {"role": "assistant", "content": [part("tool_use", id="t", name="f", input={})]},
            {
                "role": "user",
                "content": [
                    part("tool_result", tool_use_id="t", content=[part("text", text="42")])
                ],
            },
        ],
        tools=[
            {
                "name": "f",
                "input_schema": {"type": "object"},
                "cache_control": {"type": "ephemeral"},
            }
        ],
        tool_choice={"type": "none"},
    ),
    "a document as a result": message(
        400,
        "document",
        messages=[
            {
                "role": "user",
                "content": [part("tool_result", tool_use_id="t", content=[part("document")])],
            }
        ],
    ),
    "a document": message(
        400, "messages", messages=[{"role": "user", "content": [part("document", source={})]}]
    ),
    "a picture in a message": message(
        400,
        "",
        messages=[
            {
                "role": "user",
                "content": [
                    part(
                        "image",
                        source={"type": "base64", "media_type": "image/png", "data": PIXEL[22:]},
                    )
                ],
            }
        ],
    ),
    "nothing in a message": message(400, "content", messages=[{"role": "user", "content": []}]),
    "no messages of Anthropic's": message(400, "content", messages=[]),
    "a search of Anthropic's": message(
        400, "tools", tools=[{"type": "web_search_20250305", "name": "web_search"}]
    ),
    "any tool without tools": message(400, "tool_choice", tool_choice={"type": "any"}),
    "a form by its older name": message(
        400,
        "output_config.format",
        output_format={"type": "json_schema", "schema": {"type": "object"}},
    ),
    "servers of tools": message(
        400, "mcp_servers", mcp_servers=[{"type": "url", "url": "https://x"}]
    ),
    "no length": message(400, "max_tokens", max_tokens="ABSENT"),
    "Claude Code's fields": message(
        metadata={"user_id": "x"},
        thinking={"type": "disabled"},
        context_management={"edits": []},
        service_tier="auto",
        tools=[],
        stop_sequences=[],
        system=[part("text", text="x-anthropic-billing-header: x"), part("text", text="Be brief.")],
    ),
    "counted tokens": Wild(COUNT, {}, 200, '"input_tokens"'),
    "counted tools": Wild(
        COUNT,
        {
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "none"},
        },
        200,
        '"input_tokens"',
    ),
    # Bytes and headers.
    "a byte order mark": raw(b"\xef\xbb\xbf" + PLAIN),
    "a charset": raw(PLAIN, content_type="application/json; charset=utf-8"),
    "another charset": raw(
        PLAIN.replace(b"Hello", "Grüße".encode("latin-1")),
        415,
        "iso-8859-1",
        content_type="application/json; charset=iso-8859-1",
    ),
    "Latin-1 undeclared": raw(PLAIN.replace(b"Hello", "Grüße".encode("latin-1")), 400, "UTF-8"),
    "UTF-16": raw(PLAIN.decode().encode("utf-16"), 400, "UTF-8"),
    "plain text": raw(PLAIN, 415, "application/json", content_type="text/plain"),
    "a form's type": raw(
        PLAIN, 415, "application/json", content_type="application/x-www-form-urlencoded"
    ),
    "gzip": raw(gzip.compress(PLAIN), 415, "gzip", content_encoding="gzip"),
    "quotes of a Windows shell": raw(b"'{model: ecommerce}'", 400, "'{model"),
    "JSON in a string": raw(json.dumps(PLAIN.decode()).encode(), 400, "JSON object"),
    "a comma too many": raw(PLAIN.replace(b"}", b",}", 1), 400, "JSON"),
    "half of an emoji": raw(PLAIN.replace(b"Hello", rb"\ud83d"), 400, "surrogate"),
    "a key twice": raw(PLAIN.replace(b"{", b'{"model": "x", ', 1)),
    "a wish to be told to go on": raw(PLAIN, expect="100-continue"),
    "a wish for events": raw(PLAIN, accept="text/event-stream"),
    "a wish for another protocol": raw(
        PLAIN,
        connection="Upgrade, HTTP2-Settings",
        upgrade="h2c",
        http2_settings="AAMAAABkAAQAoAAAAAIAAAAA",
    ),
    "a key of Azure's": raw(PLAIN, 401, "Authorization: Bearer", authorization="", api_key="x"),
    "a key without its scheme": raw(PLAIN, 401, "Authorization: Bearer", authorization="key"),
    # Paths.
    "two slashes": Wild("//v1/chat/completions", {}, 404, "/v1/chat/completions`?", PLAIN),
    "a slash at the end": Wild("/v1/chat/completions/", {}, 404, "did you mean", PLAIN),
    "no v1": Wild("/chat/completions", {}, 404, "did you mean `/v1/chat/completions`", PLAIN),
    "v1 twice": Wild("/v1/v1/chat/completions", {}, 404, "did you mean", PLAIN),
    "a path of Azure's": Wild(
        "/openai/deployments/x/chat/completions?api-version=1", {}, 404, "did you mean", PLAIN
    ),
    "a path of Ollama's": Wild("/api/chat", {}, 404, "did you mean", PLAIN),
    "a probe of Ollama's": Wild("/api/tags", {}, 404, "/v1/models", b"", method="GET"),
    "a path of nobody's": Wild("/v1/assistants", {}, 404, "/docs", PLAIN),
    "a chat by GET": Wild(CHAT, {}, 405, "takes POST", b"", method="GET"),
    "a query": Wild(f"{CHAT}?beta=true", {}, 200, "", PLAIN),
    "a question before": Wild(CHAT, {}, 405, "", b"", method="OPTIONS"),
    "a list of models": Wild("/v1/models", {}, 200, "ecommerce", b"", method="GET"),
}


def outcomes(
    http: httpx.Client, names: Iterable[str] = WILD
) -> Iterator[tuple[str, httpx.Response, str | None]]:
    """Send the cases, eight at a time; yield of each its name, its answer and what is wrong."""

    def outcome(name: str) -> tuple[str, httpx.Response, str | None]:
        answer = WILD[name].send(http)
        return name, answer, WILD[name].fault(answer)

    with ThreadPoolExecutor(8) as pool:
        yield from pool.map(outcome, names)


def main(url: str, key: str = "none", *names: str) -> None:
    """Print every case, or those that are named, with its outcome."""
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=300) as http:
        for name, answer, fault in outcomes(http, names or WILD):
            shown = (fault or answer.text)[:400]
            mark = "WRONG" if fault else "right"
            sys.stdout.write(f"{mark}\t{name}\t{answer.status_code}\t{shown!r}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
