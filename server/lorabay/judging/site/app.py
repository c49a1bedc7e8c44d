"""The site's HTTP: five files, the state of a judge's sheet, and votes.

Both answers travel together and without their aliases: what a browser gets is two texts, a left and
a right one. Knows nothing of who gave them, and neither does any file that it opens.
"""

from __future__ import annotations

from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ValidationError

from lorabay.errors import (
    InvalidApiKey,
    InvalidRequest,
    LorabayError,
    RequestTooLarge,
    StorageUnavailable,
)
from lorabay.judging.site.headers import WithHeaders
from lorabay.judging.site.state import next_place, state_of
from lorabay.judging.votes import Choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.judging.blind_set import BlindSet
    from lorabay.judging.sheets import Sheet
    from lorabay.judging.votes import VoteBook

WEB = Path(__file__).parent / "web"

FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/words.js": ("words.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Every file that the site has, by its path."""

BODY_BYTES = 1000


class Cast(BaseModel):
    """A vote: the place on the sheet, and what the judge says."""

    place: int
    choice: Choice


def create_app(blind_set: BlindSet, book: VoteBook) -> FastAPI:
    """Return the application; run it on one event loop, because the book is not safe for more."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(WithHeaders)
    app.add_exception_handler(LorabayError, _failed)

    for path, (name, media_type) in FILES.items():
        _add_file(app, path, WEB / name, media_type)

    @app.get("/state")
    async def state(request: Request) -> dict[str, Any]:
        return state_of(blind_set, book, _sheet(request, blind_set))

    @app.post("/votes")
    async def vote(request: Request) -> JSONResponse:
        sheet = _sheet(request, blind_set)
        cast = await _cast(request)

        if cast.place == next_place(sheet, book):
            _on_disk(lambda: book.cast(sheet.judge, cast.place, cast.choice))
            return JSONResponse(state_of(blind_set, book, sheet))

        # The same vote once more is a client that missed the answer. Another one comes from a page
        # that is open twice: it gets what the judge is asked now.
        again = book.of(sheet.judge).get(cast.place) == cast.choice
        return JSONResponse(state_of(blind_set, book, sheet), 200 if again else 409)

    @app.post("/undo")
    async def undo(request: Request) -> dict[str, Any]:
        sheet = _sheet(request, blind_set)
        _on_disk(lambda: book.take_back(sheet.judge))
        return state_of(blind_set, book, sheet)

    return app


def _add_file(app: FastAPI, path: str, file: Path, media_type: str) -> None:
    @app.get(path)
    async def answer() -> FileResponse:
        return FileResponse(file, media_type=media_type)


def _sheet(request: Request, blind_set: BlindSet) -> Sheet:
    """Return the sheet of the judge who asks; raise InvalidApiKey for anybody else."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    for sheet in blind_set.sheets:
        if compare_digest(sheet.token.encode(), given):
            return sheet
    raise InvalidApiKey("this link leads to no judge")


async def _cast(request: Request) -> Cast:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise RequestTooLarge(f"a vote has at most {BODY_BYTES} bytes")

    try:
        return Cast.model_validate_json(body)
    except ValidationError as error:
        raise InvalidRequest("a vote is a place and a choice: left, right or tie") from error


def _on_disk(write: Callable[[], object]) -> None:
    """Call `write`; raise StorageUnavailable if the disk does not keep it."""
    try:
        write()
    except OSError as error:
        told = error.strerror or str(error)
        raise StorageUnavailable(f"the vote was not kept: {told}") from error


async def _failed(request: Request, error: Exception) -> JSONResponse:
    """Return a failure in the form that all of lorabay has; the request does not matter."""
    if not isinstance(error, LorabayError):
        raise error
    told = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return JSONResponse({"error": told}, error.status)
