"""Which names a server may be called by, and that each request calls it by one.

A web page may give its own name the address of this machine, and then calls the server as if it
came from there. Only the name in the request tells such a call from an honest one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import Request

from lorabay.api.problems import respond
from lorabay.errors import HostNotAllowed, InvalidRequest
from lorabay.loopback import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from lorabay.errors import LorabayError

ANY = "*"
OLD_HTTP = "1.0"
"""The version of HTTP whose requests need not name a host."""

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[^\s:\[\]]+?)\.?)(?::\d*)?")


class AllowedHosts:
    """Decides whether a request may call the server by the name that it uses.

    `names` are those that an operator allows beside the loopback ones; `*` allows any. Without
    names, `open_to_all` decides on all others.
    """

    def __init__(self, names: Collection[str], *, open_to_all: bool) -> None:
        self._names = frozenset(name.lower().strip("[]").rstrip(".") for name in names)
        self._any = ANY in self._names or (open_to_all and not self._names)

    def allow(self, host: str) -> bool:
        """Return whether `host`, the value of a Host header, is allowed.

        An empty one is: every web page names a host, and plain clients may have none to name.
        """
        if self._any or not host:
            return True

        match = _HOST.fullmatch(host.lower())
        if match is None:
            return False
        name = match["v6"] or match["name"]
        return is_loopback(name) or name in self._names


class HostCheck:
    """ASGI middleware that refuses a request that calls the server by a name of somebody else, by
    several names, or by none.
    """

    def __init__(self, app: ASGIApp, allowed: AllowedHosts) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            response = await respond(Request(scope), problem)
            await response(scope, receive, send)

    def _problem(self, scope: Scope) -> LorabayError | None:
        """Return what is wrong with the names in a request, or None."""
        hosts = Headers(scope=scope).getlist("host")
        if not hosts and scope["http_version"] == OLD_HTTP:
            return None
        # RFC 9112, section 3.2. Neither the parser nor uvicorn asks for it, and whoever stands in
        # front may have judged by the other one of two names.
        if len(hosts) != 1:
            return InvalidRequest(f"a request has one header Host, and this one has {len(hosts)}")

        host = hosts[0].strip()
        return None if self._allowed.allow(host) else HostNotAllowed(host)


def choose_hosts(names: Collection[str], *, with_key: bool) -> AllowedHosts:
    """Return what a server answers to: any name if a key keeps strangers out, unless names say
    otherwise; loopback names and `names` if there is no key.
    """
    return AllowedHosts(names, open_to_all=with_key)
