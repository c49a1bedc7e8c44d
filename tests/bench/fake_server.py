"""A small OpenAI-compatible server, run as a script: `fake_server.py --port N`.

Streams one event a token, then usage, then [DONE]. The model's name chooses how a request goes
wrong. `GET /seen` returns the requests. Prints its port once it accepts connections. With
`--follow DIR --base FOLDER` its adapters are the folders in DIR and its answers name their version;
it takes its time to notice a new one, and between two tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

GOOD = ("finance", "ecommerce")
BAD = ("refused", "short", "cut", "erring", "silent", "garbled")
SEEN: list[dict[str, Any]] = []
OPEN = {"now": 0, "most": 0}
PASSES = {"count": 0}
PAGE = "# TYPE lorabay_reconcile_seconds histogram\nlorabay_reconcile_seconds_{0} {1}\n"
LAG = 10
TOKEN_S = 0.002


class Followed:
    """The adapters in a folder. A new version answers only after LAG more answers of the former."""

    def __init__(self, folder: Path, base: Path) -> None:
        # Imported here: a server without a folder starts faster.
        from lorabay.base.shapes import BaseShapes
        from lorabay.catalog.admission import Checks, validate

        checks = Checks(BaseShapes.read(base), 512)
        self._version_in = lambda name: validate(folder / name, checks).digest[:12]
        self._folder = folder
        # Inode of the folder that is served, and the version in it, by name.
        self._served: dict[str, tuple[int, str]] = {}
        self._late_answers = 0

    def names(self) -> list[str]:
        return sorted(path.name for path in self._folder.iterdir())

    def version(self, name: str) -> str:
        """Return the version that answers now."""
        try:
            inode = (self._folder / name).stat().st_ino
        except FileNotFoundError:
            # Between two renames the former version goes on.
            return self._served[name][1]

        served, version = self._served.get(name, (None, ""))
        if served == inode:
            return version
        if served is not None:
            self._late_answers += 1
            if self._late_answers <= LAG:
                return version

        self._late_answers = 0
        version = self._version_in(name)
        self._served[name] = (inode, version)
        return version


async def models(request: Request) -> Response:
    """List a base called `tiny` and the adapters."""
    cards: list[dict[str, Any]] = [{"id": "tiny", "parent": None}]
    followed = request.app.state.followed
    names = followed.names() if followed else request.app.state.adapters
    cards += [{"id": name, "parent": "tiny"} for name in names]
    return JSONResponse({"object": "list", "data": cards})


async def seen(request: Request) -> Response:
    """Return the requests since the last look, and how many streams were open at most."""
    answer = JSONResponse({"requests": SEEN, "most_open": OPEN["most"]})
    SEEN.clear()
    OPEN["most"] = 0
    return answer


async def metrics(request: Request) -> Response:
    """Show a page that counts one more pass of a quarter of a second each time."""
    PASSES["count"] += 1
    page = (
        PAGE.format("count", PASSES["count"])
        + PAGE.format("sum", PASSES["count"] / 4).split("\n", 1)[1]
    )
    return Response(page, media_type="text/plain")


async def generate(request: Request) -> Response:
    """Answer both generating endpoints."""
    body = await request.json()
    SEEN.append(
        body | {"path": request.url.path, "authorization": request.headers.get("authorization")}
    )
    if body["model"] == "refused":
        return JSONResponse(
            {"error": {"message": "The model `refused` does not exist."}}, status_code=404
        )
    followed = request.app.state.followed
    headers = (
        {"x-adapter-version": followed.version(body["model"])}
        if followed and body["model"] != "tiny"
        else None
    )
    if not body.get("stream"):
        return JSONResponse({"choices": [{"index": 0, "text": " Hi"}]}, headers=headers)
    stream = events(body, chat="messages" in body, wait_s=TOKEN_S if followed else 0)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def events(body: dict[str, Any], *, chat: bool, wait_s: float) -> AsyncIterator[bytes]:
    """Stream one answer, or the failure that the model is named for."""
    OPEN["now"] += 1
    OPEN["most"] = max(OPEN["most"], OPEN["now"])
    model = body["model"]
    tokens = body["max_tokens"] - (model == "short")
    if chat:
        yield event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    for _ in range(tokens):
        piece = {"delta": {"content": " data: x"}} if chat else {"text": " data: x"}
        yield event({"choices": [{"index": 0} | piece]})
        if wait_s:
            await asyncio.sleep(wait_s)
    OPEN["now"] -= 1
    if model == "cut":
        return
    if model == "erring":
        yield event({"error": {"message": "EngineCore died"}})
    elif model == "garbled":
        yield b"data: {not json\n\n"
    elif model != "silent":
        prompt = (
            len(body["prompt"]) if "prompt" in body else len(body["messages"][0]["content"].split())
        )
        yield event(
            {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": tokens}}
        )
    yield b"data: [DONE]\n\n"


def event(payload: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def main() -> None:
    """Bind, print the port, serve until terminated."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--adapters", nargs="*", default=[*GOOD, *BAD])
    parser.add_argument("--follow", type=Path)
    parser.add_argument("--base", type=Path)
    asked = parser.parse_args()
    app = Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/completions", generate, methods=["POST"]),
            Route("/v1/chat/completions", generate, methods=["POST"]),
            Route("/metrics", metrics),
            Route("/seen", seen),
        ]
    )
    app.state.adapters = asked.adapters
    app.state.followed = Followed(asked.follow, asked.base) if asked.follow else None
    with socket.create_server(("127.0.0.1", asked.port)) as listening:
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


if __name__ == "__main__":
    main()
