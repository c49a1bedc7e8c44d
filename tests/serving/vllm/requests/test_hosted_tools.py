"""Tools that nobody here would run."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from openai.types.responses.tool import Tool
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.tool_parsers.utils import get_function_tools

from lorabay.errors import InvalidRequest
from lorabay.serving.vllm.requests.hosted_tools import SHOWN, refuse_hosted_tools

FUNCTION = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
CUSTOM = {"type": "custom", "name": "notes"}
NAMESPACE = {"type": "namespace", "name": "days", "description": "", "tools": [FUNCTION]}
HOSTED: dict[str, dict[str, Any]] = {
    "a search": {"type": "web_search"},
    "a former search": {"type": "web_search_preview"},
    "an interpreter": {"type": "code_interpreter", "container": {"type": "auto"}},
    "files": {"type": "file_search", "vector_store_ids": ["vs_1"]},
    "a server of tools": {"type": "mcp", "server_label": "x", "server_url": "http://127.0.0.1:1"},
    "pictures": {"type": "image_generation"},
    "a shell": {"type": "local_shell"},
}


def response(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest(input="Hello", **fields)


@pytest.mark.parametrize("name", HOSTED)
def test_a_tool_that_nobody_runs_is_refused(name: str) -> None:
    """With its type, and what can be sent instead; one among functions, too."""
    for tools in ([HOSTED[name]], [FUNCTION, HOSTED[name]]):
        with pytest.raises(InvalidRequest, match=HOSTED[name]["type"]) as refused:
            refuse_hosted_tools(response(tools=tools))
        assert refused.value.param == "tools"


def test_a_choice_of_one_is_refused() -> None:
    """vLLM would answer as if nothing had been chosen."""
    for choice in ({"type": "file_search"}, {"type": "mcp", "server_label": "x"}):
        with pytest.raises(InvalidRequest, match=choice["type"]) as refused:
            refuse_hosted_tools(response(tools=[FUNCTION], tool_choice=choice))
        assert refused.value.param == "tool_choice"


@pytest.mark.parametrize(
    "request_",
    [
        response(),
        response(tools=[]),
        response(tools=[FUNCTION, CUSTOM, NAMESPACE], tool_choice="required"),
        response(tools=[FUNCTION], tool_choice={"type": "function", "name": "weather"}),
        response(tools=[CUSTOM], tool_choice={"type": "custom", "name": "notes"}),
        ChatCompletionRequest(
            messages=[{"role": "user", "content": "Hello"}],
            tools=[{"type": "function", "function": {"name": "weather"}}],
        ),
    ],
)
def test_tools_of_clients_pass(request_: Any) -> None:
    """In both APIs, chosen or not."""
    refuse_hosted_tools(request_)


def test_what_passes_is_what_vllm_shows_the_model() -> None:
    """Of the types that OpenAI's API knows, vLLM makes functions of those and of no other."""
    request = response(tools=[FUNCTION, CUSTOM, NAMESPACE])
    assert len(get_function_tools(request.tools)) == len(SHOWN) == 3
    union = get_args(get_args(Tool)[0])
    known = {kind for tool in union for kind in get_args(tool.model_fields["type"].annotation)}
    assert known > SHOWN
    hosted = response(tools=list(HOSTED.values()))
    assert get_function_tools(hosted.tools) == []
