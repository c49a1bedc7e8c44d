"""Tools of a base whose own form of calls is not known."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.exceptions import VLLMValidationError
from vllm.parser.parser_manager import ParserManager

from lorabay.serving.vllm.requests.constrained_tools import (
    CONSTRAINED,
    ConstrainedToolParser,
    register_constrained,
)

MESSAGE = {"role": "user", "content": "Hello"}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMED = {"type": "function", "function": {"name": "weather"}}


class Tokenizer:
    """As much of a tokenizer as the parser asks for: nothing."""


def chat(**changes: Any) -> ChatCompletionRequest:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
    return ChatCompletionRequest(messages=[MESSAGE], tools=tools, **changes)


def response(**changes: Any) -> ResponsesRequest:
    tools = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}]
    return ResponsesRequest(input="Hello", tools=tools, **changes)


def parser(request: Any) -> Any:
    """Return the parser of a request, as vLLM's serving classes make it."""
    register_constrained()
    composed: Any = ParserManager.get_parser(CONSTRAINED, None, enable_auto_tools=True)
    return composed(Tokenizer(), request.tools)


@pytest.mark.parametrize("make", [chat, response])
def test_a_call_that_the_model_may_make_is_refused(make: Any) -> None:
    """Also where it is not said, which means the same; the message tells the ways out."""
    for changes in ({}, {"tool_choice": "auto"}):
        request = make(**changes)
        with pytest.raises(VLLMValidationError, match="tool_call_parser=NAME") as refused:
            parser(request).adjust_request(request)
        assert refused.value.parameter == "tool_choice"


def test_a_demanded_call_is_bound_to_its_schema() -> None:
    """A named tool's arguments are the answer; of several tools the answer is a list of calls."""
    named = parser(chat()).adjust_request(chat(tool_choice=NAMED))
    assert named.structured_outputs.json["properties"] == PARAMETERS["properties"]
    required = parser(chat()).adjust_request(chat(tool_choice="required"))
    assert required.structured_outputs.json["type"] == "array"
    named_response = response(tool_choice={"type": "function", "name": "weather"})
    assert parser(named_response).adjust_request(named_response).text.format.schema_


def test_demanded_calls_are_read() -> None:
    """From a whole answer, as vLLM reads them for every parser."""
    request = chat(tool_choice="required")
    answer = json.dumps([{"name": "weather", "parameters": {"city": "Rome"}}])
    _, content, [call] = parser(request).parse(answer, request, enable_auto_tools=True)
    assert (content, call.name, json.loads(call.arguments)) == (None, "weather", {"city": "Rome"})
    request = chat(tool_choice=NAMED)
    _, content, [call] = parser(request).parse('{"city": "Rome"}', request, enable_auto_tools=True)
    assert (call.name, call.arguments) == ("weather", '{"city": "Rome"}')


@pytest.mark.parametrize("choice", ["none", None])
def test_an_answer_without_tools_is_its_text(choice: str | None) -> None:
    """Whole and streamed, whatever it looks like."""
    request = ChatCompletionRequest(messages=[MESSAGE], tool_choice=choice)
    text = '<tool_call>{"name": "weather"}</tool_call>'
    made = parser(request)
    assert made.adjust_request(request) is request
    reasoning, content, calls = made.parse(text, request, enable_auto_tools=True)
    assert (reasoning, content, calls or []) == (None, text, [])
    pieces = [
        parser(request).parse_delta(piece, [1], request, prompt_token_ids=[1], finished=False)
        for piece in ("Good", " day")
    ]
    assert [piece.content for piece in pieces] == ["Good", " day"]


def test_it_is_vllms_kind_of_parser() -> None:
    """So that JSON is what a demanded call is made of."""
    assert ConstrainedToolParser.supports_required_and_named
