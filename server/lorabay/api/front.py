"""What every request passes on its way to a path: the name it calls, its origin, its method."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from lorabay.api.cut_off import CutOff
from lorabay.api.head_requests import HeadRequests
from lorabay.api.hosts import HostCheck

if TYPE_CHECKING:
    from lorabay.api.hosts import AllowedHosts

LIMIT_HEADERS = tuple(
    f"x-ratelimit-{fact}-{unit}"
    for unit in ("requests", "tokens")
    for fact in ("limit", "remaining", "reset")
)

SHOWN_HEADERS = (
    "retry-after",
    "retry-after-ms",
    "x-adapter",
    "x-adapter-version",
    "x-request-id",
    *LIMIT_HEADERS,
)
"""Headers of an answer that a web page of an allowed origin may read."""


def front_of(hosts: AllowedHosts, *, cors_origins: Collection[str] = ()) -> list[Middleware]:
    """Return the middleware of a server, the outermost first.

    `cors_origins` are the origins whose web pages may call it; `*` stands for any.
    """
    chain = [Middleware(CutOff), Middleware(HostCheck, hosts)]
    if cors_origins:
        # Without credentials: a key travels in a header that the page sets, never in a cookie.
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["*"],
            expose_headers=list(SHOWN_HEADERS),
        )
        chain.append(cors)
    return [*chain, Middleware(HeadRequests)]
