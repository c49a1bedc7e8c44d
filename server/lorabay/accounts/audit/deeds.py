"""What somebody did, as the audit keeps it: values, bounded, and without what is secret.

Texts come from clients, so one may hold a key that was pasted into the wrong place. Knows nothing
of statements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_CHARS = 500
"""Characters that are kept of any text."""

MOST_VALUES = 100
"""Values that are kept of any list or mapping."""

HIDDEN = "[hidden]"

READ_CHARS = 20_000
"""Characters of a text that are looked through: no header, and no message, has more."""

_SECRETS = re.compile(
    # A key of ours, of which the id may stay; a token of an issuer; a password in a URL. Each is
    # found in a time that grows with the text alone, whatever a client has written.
    r"(?P<id>lb_[0-9a-z]{8}_)[0-9A-Za-z_]+"
    r"|eyJ[\w-]{8,}(?:\.[\w-]*){0,2}"
    r"|(?P<scheme>[a-z][a-z0-9+.-]{0,19}://)[^/\s@]{0,200}@",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that was done, or tried.

    `who` is chosen by the server or the command: `admin`, `oidc:SUBJECT`, `cli:USER`, `folder`,
    `engine`. `action` is a thing and a verb, such as `key.create`; `target` is what it was done to,
    such as the id of a key. `result` is `ok`, or says what went wrong.
    """

    who: str
    action: str
    target: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    result: str = "ok"
    request_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the deed as plain values that are fit to be kept for years."""
        return {
            "who": without_secrets(self.who),
            "action": self.action,
            "target": without_secrets(self.target),
            "detail": without_secrets(dict(self.detail)),
            "result": without_secrets(self.result),
            "request_id": without_secrets(self.request_id),
        }


def without_secrets(value: Any) -> Any:
    """Return a plain value whose texts hold no key, no token and no password, and are not long."""
    match value:
        case str():
            hidden = _SECRETS.sub(_hidden, value[:READ_CHARS])[:MOST_CHARS]
            # Half of a surrogate pair is no text that an answer could hold.
            return hidden.encode(errors="replace").decode()
        case Mapping():
            pairs = list(value.items())[:MOST_VALUES]
            return {without_secrets(str(name)): without_secrets(one) for name, one in pairs}
        case list() | tuple():
            return [without_secrets(one) for one in value[:MOST_VALUES]]
        case _:
            return value


def _hidden(match: re.Match[str]) -> str:
    if match["scheme"] is not None:
        return f"{match['scheme']}{HIDDEN}@"
    return f"{match['id'] or ''}{HIDDEN}"
