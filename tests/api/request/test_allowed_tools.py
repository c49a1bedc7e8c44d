"""`allowed_tools`, written out before an engine sees it."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletionAllowedToolChoiceParam
from openai.types.responses import ToolChoiceAllowedParam
from pydantic import TypeAdapter

from lorabay.api.request.allowed_tools import with_allowed_tools
from lorabay.errors import InvalidRequest
from lorabay.serving.engine import CALLS, CHAT, MESSAGES, RESPONSES, Call
from tests.api.conftest import Api

NAMES = ("weather", "forecast", "clock")


def tool(call: Call, name: str) -> dict[str, Any]:
    if call is CHAT:
        return {"type": "function", "function": {"name": name}}
    return {"type": "function", "name": name}


def choice(call: Call, *names: str, mode: str = "required") -> dict[str, Any]:
    """Return a choice as the types of the openai package have it."""
    rule = {"mode": mode, "tools": [tool(call, name) for name in names]}
    if call is CHAT:
        chosen = {"type": "allowed_tools", "allowed_tools": rule}
        TypeAdapter(ChatCompletionAllowedToolChoiceParam).validate_python(chosen)
    else:
        chosen = {"type": "allowed_tools", **rule}
        TypeAdapter(ToolChoiceAllowedParam).validate_python(chosen)
    return chosen


def body(call: Call, wanted: object) -> dict[str, Any]:
    return {
        "model": "finance",
        "tools": [tool(call, name) for name in NAMES],
        "tool_choice": wanted,
    }


@pytest.mark.parametrize("call", [CHAT, RESPONSES])
@pytest.mark.parametrize("mode", ["auto", "required"])
def test_the_allowed_tools_are_left(call: Call, mode: str) -> None:
    """In the order of `tools`, with the mode as the choice; the client's own body stays."""
    asked = body(call, choice(call, "clock", "weather", mode=mode))
    written = with_allowed_tools(call, asked)
    assert written["tools"] == [tool(call, "weather"), tool(call, "clock")]
    assert written["tool_choice"] == mode
    assert len(asked["tools"]) == 3


@pytest.mark.parametrize(
    "wanted", [None, "auto", "required", {"type": "function", "name": "clock"}, ["allowed_tools"]]
)
@pytest.mark.parametrize("call", CALLS)
def test_other_choices_are_left_alone(call: Call, wanted: object) -> None:
    """As is every choice of a call that knows no such type."""
    asked = body(call, wanted)
    assert with_allowed_tools(call, asked) is asked


def test_a_call_of_another_api_is_left_alone() -> None:
    """Its engine refuses a type that it does not know."""
    asked = body(MESSAGES, choice(RESPONSES, "clock"))
    assert with_allowed_tools(MESSAGES, asked) is asked


def test_a_tool_without_a_name_is_known_by_its_type() -> None:
    """Such as one that the server would have to run, which is refused later."""
    asked = {
        "tools": [{"type": "web_search"}, tool(RESPONSES, "clock")],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
    }
    assert with_allowed_tools(RESPONSES, asked)["tools"] == [{"type": "web_search"}]


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "allowed_tools"},
        {"type": "allowed_tools", "allowed_tools": 5},
        {"type": "allowed_tools", "mode": "none", "tools": [tool(RESPONSES, "clock")]},
        {"type": "allowed_tools", "mode": "auto", "tools": []},
        {"type": "allowed_tools", "mode": "auto", "tools": "clock"},
        {"type": "allowed_tools", "mode": "auto", "tools": ["clock"]},
        {"type": "allowed_tools", "mode": "auto", "tools": [tool(RESPONSES, "x" * 1000)]},
        {"type": "allowed_tools", "mode": "auto", "tools": [{}]},
    ],
)
@pytest.mark.parametrize("tools", [[tool(RESPONSES, "clock")], [], None, "clock", [5]])
def test_a_choice_of_another_form_is_refused(wanted: Any, tools: Any) -> None:
    """With what is wrong about it, in a message of a readable length."""
    with pytest.raises(InvalidRequest, match="allowed_tools") as refused:
        with_allowed_tools(RESPONSES, {"tools": tools, "tool_choice": wanted})
    assert refused.value.param == "tool_choice"
    assert len(refused.value.message) < 400


async def test_an_engine_sees_what_is_written_out(api: Api) -> None:
    """The body that it is given has the tools that count."""
    asked = body(CHAT, choice(CHAT, "clock")) | {"messages": [{"role": "user", "content": "Hi"}]}
    assert (await api.http.post(CHAT.path, json=asked)).status_code == 200
    [(_, given, *_)] = api.engine.asked
    assert (given["tools"], given["tool_choice"]) == ([tool(CHAT, "clock")], "required")
