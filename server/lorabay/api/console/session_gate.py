"""The gate of the console's calls: a session in place of a key."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from lorabay.accounts.roles import Role
from lorabay.errors import InvalidApiKey, PermissionDenied

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from lorabay.accounts.callers import Caller
    from lorabay.api.auth import Gate
    from lorabay.api.console.sessions import Sessions

COOKIE = "lorabay-console"

NO_SESSION = "there is no session, or it has ended: log in"


class SessionGate:
    """Lets pass whoever has a session, as the administrator who began it; `gate` knows them."""

    def __init__(self, sessions: Sessions, gate: Gate) -> None:
        self._sessions = sessions
        self._gate = gate

    def identify(self, headers: Headers) -> Caller:
        """Return whose session it is; raises InvalidApiKey if there is none, or no longer."""
        if "authorization" in headers or "x-api-key" in headers:
            raise InvalidApiKey("the console's calls carry a session alone, and this one has a key")

        came_with = self._sessions.find(session_of(headers))
        if came_with is None:
            raise InvalidApiKey(NO_SESSION)
        return self._gate.identify(came_with)


class AskingGate:
    """Lets pass who may ask the models from the console: from operators on.

    Asking costs, and shows what adapters answer, which looking at them does not.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def identify(self, headers: Headers) -> Caller:
        """Return who asks; raises PermissionDenied for viewers."""
        caller = self._gate.identify(headers)
        if caller.role is None or caller.role < Role.OPERATOR:
            raise PermissionDenied(f"this needs the role `{Role.OPERATOR}`; yours is `viewer`")
        return caller


def session_of(headers: Headers) -> str:
    """Return the id of the session that a request carries; empty if it carries none."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    morsel = cookies.get(COOKIE)
    return "" if morsel is None else morsel.value
