"""Tools that a server would run itself, refused where nobody would run them.

OpenAI's Responses API names searches, interpreters and others by their types. vLLM takes them,
shows the model only those that a client runs, and drops the rest in silence: a client would get an
answer without the search that it asked for.
"""

from __future__ import annotations

from typing import Any

from vllm.entrypoints.openai.responses.protocol import ResponsesRequest

from lorabay.errors import InvalidRequest

SHOWN = frozenset({"function", "custom", "namespace"})
"""Types of tools that vLLM shows the model (`get_function_tools`), and that clients run."""

CHOSEN = frozenset({"function", "custom"})
"""Types of tools that a choice may name."""


def refuse_hosted_tools(request: Any) -> None:
    """Raise InvalidRequest if a request, as vLLM parsed it, asks for a tool that nobody runs."""
    if not isinstance(request, ResponsesRequest):
        return

    for tool in request.tools:
        if tool.type not in SHOWN:
            raise InvalidRequest(
                f"this server runs no tools itself, so it has none of the type `{tool.type}`: "
                "send tools of the type `function`, and run what the answer calls",
                param="tools",
            )

    choice = request.tool_choice
    if not isinstance(choice, str) and choice.type not in CHOSEN:
        raise InvalidRequest(
            f"`tool_choice` names no tool that is there to be called: its type is `{choice.type}`, "
            "and only a `function` can be called",
            param="tool_choice",
        )
