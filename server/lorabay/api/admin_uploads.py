"""Adapters that operators send: `PUT /admin/adapters/{name}`, an archive as the body.

The body is passed on as it comes, and is never in memory as a whole. Knows nothing of what becomes
of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

# FastAPI reads the types of a route when it is made.
from fastapi import APIRouter, Depends, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from lorabay.api.administrators import administrator
from lorabay.api.description.admin_answers import UploadedAnswer, UploadsAnswer, answers
from lorabay.api.disconnects import ClientGone
from lorabay.api.request.body import declared_size
from lorabay.reconcile.events import Actor
from lorabay.serving.uploads import Upload, Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lorabay.api.auth import Gate

CLIENT_GONE = 499
"""The status of an answer that nobody reads, as the log of a proxy has it."""

ARCHIVE = {
    "requestBody": {
        "required": True,
        "description": "A zip, a tar, or a tar.gz of the adapter's folder.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

Seen = Annotated[
    str | None,
    Query(
        description="The version that is live, or nothing if none is: the archive then is a new "
        "version of this adapter. 409 if another one is live by now."
    ),
]


def uploads_router(uploads: Uploads, gate: Gate) -> APIRouter:
    """Return the routes; `gate` decides who may use them."""
    router = APIRouter(tags=["admin"])
    who = Depends(administrator(gate))

    @router.get(
        "/admin/uploads",
        summary="Whether adapters can be sent, and how large they may be",
        response_model=None,
        responses=answers(UploadsAnswer),
    )
    async def show(who: Actor = who) -> dict[str, Any]:
        return uploads.describe()

    @router.put(
        "/admin/adapters/{name}",
        summary="Add an adapter, or a new version of one: an archive of its folder",
        response_model=None,
        responses=answers(UploadedAnswer),
        openapi_extra=ARCHIVE,
    )
    async def add(name: str, request: Request, seen: Seen = None, who: Actor = who) -> Any:
        size = declared_size(request.headers)
        try:
            return await uploads.add(Upload(name, _pieces(request), size, seen), who)
        except ClientGone:
            return Response(status_code=CLIENT_GONE)

    return router


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield a body as it comes; raises ClientGone if the client leaves while it sends."""
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise ClientGone from None
