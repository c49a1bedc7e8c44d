"""The messages of a chat: what they leave out, and what of them no template would show.

Other servers and older clients say in a message what a chat here says elsewhere; passed over, it
would change the answer. Roles are left to the engine, whose template knows them. Knows nothing of
vLLM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lorabay.errors import InvalidRequest
from lorabay.serving.engine import CHAT, TOKENIZE

if TYPE_CHECKING:
    from lorabay.serving.engine import Body, Call

CHATS = (CHAT, TOKENIZE)
"""Calls that read messages as OpenAI's chats have them."""

SPEAKERS = frozenset({"system", "developer", "user", "tool"})
"""Roles whose messages are nothing without content; an assistant may have called a tool."""

CONTINUED = ("prefix", "partial")
"""How Mistral, DeepSeek and Kimi say in a message that the answer goes on from it."""


def check_conversation(call: Call, body: Body) -> None:
    """Raise InvalidRequest for a message that would not be read as it is meant."""
    messages = body.get("messages")
    if call not in CHATS or not isinstance(messages, list):
        return

    for number, message in enumerate(messages):
        if isinstance(message, dict):
            _check(f"messages.{number}", message, body)


def _check(where: str, message: Mapping[str, object], body: Body) -> None:
    role = message.get("role")
    if isinstance(role, str) and role in SPEAKERS and message.get("content") is None:
        raise InvalidRequest(f"`{where}.content` is missing", param="messages")

    if message.get("function_call"):
        raise InvalidRequest(
            f"`{where}.function_call` would be ignored: use `tool_calls`, "
            "and a message of the role `tool` for the result",
            param="messages",
        )

    for field in CONTINUED:
        if message.get(field) is True and not body.get("continue_final_message"):
            raise InvalidRequest(
                f"`{where}.{field}` would be ignored: send `continue_final_message` as true and "
                "`add_generation_prompt` as false, beside `messages`",
                param="messages",
            )
