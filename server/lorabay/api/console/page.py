"""The console's page: built files of the package, each read once and sent whole.

They need no session, and hold nothing of the server. Knows nothing of the calls that they make.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

BUILT = Path(__file__).parent / "built"

FILES = {
    "/console": ("index.html", "text/html"),
    "/console/console.js": ("console.js", "text/javascript"),
    "/console/console.css": ("console.css", "text/css"),
    "/console/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Every file of the page, by its path."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # A new lorabay has new files under the same names.
    "cache-control": "no-cache",
    "vary": "accept-encoding",
}
"""Nothing from elsewhere runs in the page, and no text becomes markup."""


class File(NamedTuple):
    """One file, ready to be sent."""

    content: bytes
    packed: bytes
    etag: str
    media_type: str


def read_file(name: str, media_type: str) -> File:
    """Return a built file. Blocks."""
    content = (BUILT / name).read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return File(content, gzip.compress(content, 9, mtime=0), etag, media_type)


def page_routes() -> list[Route]:
    """Return a route for each file. Blocks."""
    return [
        Route(path, _answer(read_file(name, kind)), methods=["GET"], include_in_schema=False)
        for path, (name, kind) in FILES.items()
    ]


def _answer(file: File) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        headers = HEADERS | {"etag": file.etag}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(file.content, headers=headers, media_type=file.media_type)

        headers["content-encoding"] = "gzip"
        return Response(file.packed, headers=headers, media_type=file.media_type)

    return answer
