"""That a call comes from the console's own page, and not from a page of somebody else.

The session's cookie travels with whatever a browser sends here. A foreign page cannot set the
header of the console without asking first, and cannot hide where it is. Knows nothing of sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from lorabay.errors import PermissionDenied

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MARK = "x-lorabay-console"
SAFE = frozenset({"GET", "HEAD"})


class SameOrigin:
    """An application that answers calls of the console's page; raises PermissionDenied for others.

    A call carries the mark. One that may change something also says that it is of the same origin,
    as every browser does: in `Sec-Fetch-Site`, or in plain HTTP by an `Origin` that is the host.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        headers = Headers(scope=scope)
        if headers.get(MARK) != "1":
            raise PermissionDenied(f"calls of the console carry the header `{MARK}: 1`")
        if scope["method"] not in SAFE and not is_same_origin(headers):
            raise PermissionDenied("this call does not come from the console's own page")

        await self._app(scope, receive, send)


def is_same_origin(headers: Headers) -> bool:
    """Return whether a browser says that the page which calls comes from this server."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"

    origin = headers.get("origin", "")
    try:
        return bool(origin) and urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False
