"""A small OpenAI-compatible server, run as a script: `fake_server.py --port N`.

Streams one event a token, then usage, then [DONE]. The model's name chooses how a request goes wrong. `GET /seen` tells
what it was asked. Prints its port once it accepts connections.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
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


async def models(request: Request) -> Response:
    """A base called `tiny` and the adapters."""
    cards: list[dict[str, Any]] = [{"id": "tiny", "parent": None}]
    cards += [{"id": name, "parent": "tiny"} for name in request.app.state.adapters]
    return JSONResponse({"object": "list", "data": cards})


async def seen(request: Request) -> Response:
    """What came since the last look, and how many streams were open at most."""
    answer = JSONResponse({"requests": SEEN, "most_open": OPEN["most"]})
    SEEN.clear()
    OPEN["most"] = 0
    return answer


async def generate(request: Request) -> Response:
    """Both generating endpoints."""
    body = await request.json()
    SEEN.append(body | {"path": request.url.path, "authorization": request.headers.get("authorization")})
    if body["model"] == "refused":
        return JSONResponse({"error": {"message": "The model `refused` does not exist."}}, status_code=404)
    if not body.get("stream"):
        return JSONResponse({"choices": [{"index": 0, "text": " Hi"}]})
    return StreamingResponse(events(body, chat="messages" in body), media_type="text/event-stream")


async def events(body: dict[str, Any], *, chat: bool) -> AsyncIterator[bytes]:
    """The stream of one answer, or what the model makes of it."""
    OPEN["now"] += 1
    OPEN["most"] = max(OPEN["most"], OPEN["now"])
    model = body["model"]
    tokens = body["max_tokens"] - (model == "short")
    if chat:
        yield event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    for _ in range(tokens):
        piece = {"delta": {"content": " data: x"}} if chat else {"text": " data: x"}
        yield event({"choices": [{"index": 0} | piece]})
    OPEN["now"] -= 1
    if model == "cut":
        return
    if model == "erring":
        yield event({"error": {"message": "EngineCore died"}})
    elif model == "garbled":
        yield b"data: {not json\n\n"
    elif model != "silent":
        prompt = len(body["prompt"]) if "prompt" in body else len(body["messages"][0]["content"].split())
        yield event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": tokens}})
    yield b"data: [DONE]\n\n"


def event(payload: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def main() -> None:
    """Bind, tell the port, serve until terminated."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--adapters", nargs="*", default=[*GOOD, *BAD])
    asked = parser.parse_args()
    app = Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/completions", generate, methods=["POST"]),
            Route("/v1/chat/completions", generate, methods=["POST"]),
            Route("/seen", seen),
        ]
    )
    app.state.adapters = asked.adapters
    with socket.create_server(("127.0.0.1", asked.port)) as listening:
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


if __name__ == "__main__":
    main()
