"""A server that does nothing but answer: what ours is held against.

    python -m tests.server.bare

says `ready URL` once it serves.
"""

from __future__ import annotations

import json

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from lorabay.server.listener import bind
from lorabay.serving.engine import CHAT, Answer
from tests.fake_engine import echo
from tests.server.standing import say


async def answer(request: Request) -> Response:
    """Answer as the engine without a model does."""
    answered = await echo(json.loads(await request.body()))
    if isinstance(answered, Answer):
        return Response(answered.content, media_type=answered.media_type)
    return StreamingResponse(aiter(answered), media_type="text/event-stream")


def main() -> None:
    """Serve until SIGTERM."""
    app = Starlette(routes=[Route(CHAT.path, answer, methods=["POST"])])
    with bind("127.0.0.1", 0) as listener:
        say(f"ready http://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(app, log_level="error", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
