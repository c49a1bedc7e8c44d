"""Roles of a chat's messages: those that every template has, and those that one itself names.

A template that knows no other role renders one all the same, as the model has never seen it, or
leaves the message out. Knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lorabay.errors import InvalidRequest

ROLES = ("system", "developer", "user", "assistant", "tool")
"""Roles of OpenAI's chats; vLLM makes a developer's messages those of the system."""

SHOWN_CHARS = 40


def check_roles(messages: Iterable[object], template: Callable[[], str | None]) -> None:
    """Raise InvalidRequest for a message of a role that the chat template does not name.

    `template` is called for roles other than the usual ones.
    """
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role in ROLES or _names(template(), role):
            continue

        advice = ROLES[-1] if role == "function" else f"{', '.join(ROLES[:-1])} or {ROLES[-1]}"
        raise InvalidRequest(
            f"`messages.{number}.role`: the chat template knows no role {role[:SHOWN_CHARS]!r}; "
            f"use {advice}",
            param="messages",
        )


def _names(template: str | None, role: str) -> bool:
    if template is None or not role:
        return False
    return f"'{role}'" in template or f'"{role}"' in template
