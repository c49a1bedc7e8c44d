"""Who a request comes from, as far as it says so: what a rollout keeps with one version.

A user is named by `user` or `safety_identifier`, as OpenAI's clients do, or by `metadata.user_id`,
as Anthropic's do; a session by a header. None of it is believed for anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorabay.rollout.assignment import Client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.accounts.callers import Caller

SESSION_HEADER = "x-session-id"
MOST_CHARS = 512
"""Characters of a name that count; the rest of a longer one tells nobody apart."""


def client_of(caller: Caller, body: Mapping[str, Any], session: str | None) -> Client:
    """Return who sends a body; names that are no texts count as none."""
    return Client(caller.id, caller.tenant, _user(body), session[:MOST_CHARS] if session else None)


def _user(body: Mapping[str, Any]) -> str | None:
    metadata = body.get("metadata")
    from_metadata = metadata.get("user_id") if isinstance(metadata, dict) else None
    for name in (body.get("user"), body.get("safety_identifier"), from_metadata):
        if isinstance(name, str) and name:
            return name[:MOST_CHARS]
    return None
