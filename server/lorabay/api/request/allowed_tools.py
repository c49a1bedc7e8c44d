"""`allowed_tools` of a request, written out as the tools that count and whether one must be called.

A `tool_choice` of that type names some of a request's tools, so that a client may send the same
list with every request. Engines read no such choice. Written out, an answer of the Responses API
repeats the tools that counted. Knows nothing of an engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from lorabay.errors import InvalidRequest
from lorabay.serving.engine import CHAT, RESPONSES

if TYPE_CHECKING:
    from lorabay.serving.engine import Body, Call

ALLOWED = "allowed_tools"
MODES = ("auto", "required")


def with_allowed_tools(call: Call, body: Body) -> Body:
    """Return `body` with the tools that its `tool_choice` allows, or as it is if that names none.

    Raises InvalidRequest for a choice that allows what is not there.
    """
    choice = body.get("tool_choice")
    if call not in (CHAT, RESPONSES) or not isinstance(choice, Mapping):
        return body
    if choice.get("type") != ALLOWED:
        return body

    # A chat's choice holds the rule one level deeper than a response's.
    rule = choice.get(ALLOWED, choice)
    allowed = _allowed(rule)
    given = body.get("tools")
    tools = [tool for tool in given if isinstance(tool, dict)] if isinstance(given, list) else []

    unknown = allowed - set(map(_identity, tools))
    if unknown:
        shown = ", ".join(sorted(map(repr, unknown)))[:200]
        raise _refusal(f"`tools` does not hold {shown}")

    kept = [tool for tool in tools if _identity(tool) in allowed]
    return body | {"tools": kept, "tool_choice": rule["mode"]}


def _allowed(rule: object) -> set[str]:
    """Return the names that a rule allows; raises InvalidRequest for one of another form."""
    if not isinstance(rule, Mapping) or rule.get("mode") not in MODES:
        raise _refusal("its `mode` must be `auto` or `required`")

    allowed = rule.get("tools")
    if not isinstance(allowed, list) or not allowed or not _are_objects(allowed):
        raise _refusal("its `tools` must be a list of tools")
    return set(map(_identity, allowed))


def _are_objects(values: Iterable[object]) -> bool:
    return all(isinstance(value, Mapping) for value in values)


def _identity(tool: Mapping[str, object]) -> str:
    """Return what a tool is known by: its name, or its type where it has none."""
    function = tool.get("function")
    holder = function if isinstance(function, Mapping) else tool
    return str(holder.get("name") or holder.get("type"))


def _refusal(why: str) -> InvalidRequest:
    return InvalidRequest(f"a `tool_choice` of the type `{ALLOWED}`: {why}", param="tool_choice")
