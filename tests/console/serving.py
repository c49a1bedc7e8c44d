"""A whole server with a console, over an engine without a model, in a process of its own.

    python -m tests.console.serving NAME=VALUE ...

takes settings by their names, and says `ready URL` once it serves; SIGTERM ends it. Its engine
answers slowly enough to be watched, with text that is markup to a careless page, and a voice of its
own for each adapter, which does not name it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lorabay.serving.engine import Answer, AnswerStream, Body, Usage
from tests.server.standing import Standing, running, say

ADMIN_KEY = "key-of-the-owner"
MARKUP = "<img src=x onerror=alert(1)>"
VOICES = {"finance": "calmly", "shop": "briskly"}
WORD_S = 0.01


@contextmanager
def console_server(settings: Mapping[str, object]) -> Iterator[Standing]:
    """Run a server while the block lasts."""
    given = [f"{name}={value}" for name, value in settings.items()]
    with running([sys.executable, "-m", "tests.console.serving", *given]) as server:
        yield server


def said(body: Body) -> str:
    """Return what is answered: a JSON document where the form of the answer is given."""
    asked = str(body["messages"][-1]["content"])
    if body.get("response_format"):
        return json.dumps({"said": asked})

    voice = VOICES.get(str(body["model"]).partition("@")[0], "plainly")
    return f"says {voice} {MARKUP} about {asked}"


class Talk:
    """A streamed chat answer, as the engine's; usage counts one token a word."""

    def __init__(self, body: Body) -> None:
        self._words = said(body).split()
        self._tells = bool(body.get("logprobs"))
        self._events = self._stream()
        self._said = 0
        self._first_at: float | None = None

    @property
    def usage(self) -> Usage:
        return Usage(5, self._said, first_token_at=self._first_at)

    async def _stream(self) -> AsyncGenerator[bytes, None]:
        for word in self._words:
            await asyncio.sleep(WORD_S)
            self._said += 1
            self._first_at = self._first_at or time.monotonic()
            yield event(
                {"choices": [choice({"content": f"{word} "}, f"{word} ", tells=self._tells)]}
            )
        yield event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        used = {"prompt_tokens": 5, "completion_tokens": self._said, "total_tokens": 5}
        yield event({"choices": [], "usage": used})
        yield b"data: [DONE]\n\n"

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        return self._events

    async def aclose(self) -> None:
        await self._events.aclose()


def event(content: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(content)}\n\n".encode()


def choice(delta: Mapping[str, str], word: str, *, tells: bool) -> dict[str, Any]:
    """Return a choice, with the log-probability of its one token if that is asked for."""
    if not tells:
        return {"index": 0, "delta": dict(delta)}
    token = {"token": word, "logprob": -0.25, "top_logprobs": [{"token": "or", "logprob": -1.5}]}
    return {"index": 0, "delta": dict(delta), "logprobs": {"content": [token]}}


async def reply(body: Body) -> Answer | AnswerStream:
    """Answer a chat, streamed or whole."""
    if body.get("stream"):
        return Talk(body)

    text = said(body)
    message = {"role": "assistant", "content": text}
    whole = {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    return Answer(json.dumps(whole).encode(), Usage(5, len(text.split())))


def serve(given: Mapping[str, object]) -> None:
    """Serve until SIGTERM."""
    from lorabay.api.auth import choose_gate
    from lorabay.api.keyring import Keyring
    from lorabay.catalog.adapted import Adapted
    from lorabay.logs import configure_logging
    from lorabay.server.accounts import open_accounts
    from lorabay.server.listener import bind
    from lorabay.server.oidc import admin_side
    from lorabay.server.server import Server
    from lorabay.settings import load_settings
    from tests.fake_engine import FakeEngine

    configure_logging("json", "error")
    settings = load_settings(given, environ={})
    admin_gate, issuer_keys = admin_side(settings, Keyring(ADMIN_KEY))
    with open_accounts(settings) as accounts, bind("127.0.0.1", settings.port) as listener:
        server = Server(
            settings,
            choose_gate(Keyring(), "127.0.0.1", None if accounts is None else accounts.keys),
            admin_gate,
            issuer_keys=issuer_keys,
            accounts=accounts,
            make_engine=lambda base, options: FakeEngine(reply),
            engine_scales=lambda *arguments, **options: False,
            ask_engine=lambda *question: Adapted({}),
        )
        port = listener.getsockname()[1]
        server.when_ready = lambda: say(f"ready http://127.0.0.1:{port}")
        server.run(listener)


if __name__ == "__main__":
    serve(dict(argument.split("=", 1) for argument in sys.argv[1:]))
