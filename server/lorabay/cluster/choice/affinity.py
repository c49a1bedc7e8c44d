"""What makes two requests of one adapter belong together: a session, else how their prompts begin.

An engine keeps the prompts that it has read. A request that begins like an earlier one is answered
sooner where that was answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

OPENING = 256
"""Characters of a prompt that count: about the first 64 tokens, four blocks of vLLM's cache."""


def affinity(key: str, session: str | None, body: Mapping[str, Any]) -> str | None:
    """Return what binds a request of the adapter with this key, or None where nothing does.

    A session beats the prompt: its turns stay together however their prompts begin.
    """
    if session:
        return _hashed(key, "session", session)

    text = opening(body)
    return _hashed(key, "prompt", text) if text else None


def opening(body: Mapping[str, Any], length: int = OPENING) -> str:
    """Return the first characters of what a request asks, of any call; empty if it cannot be read.

    The body is a client's: nothing is expected of its shape.
    """
    text = ""
    for part in _parts(body):
        text += part[: length - len(text)]
        if len(text) >= length:
            break
    return text


def _parts(body: Mapping[str, Any]) -> Iterator[str]:
    for field in ("system", "instructions", "prompt", "messages", "input"):
        yield from _texts(body.get(field))


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a prompt, of messages, or of their parts; token ids as numbers."""
    match value:
        case str():
            yield value
        case int():
            yield f"{value} "
        case list():
            for one in value:
                yield from _texts(one)
        case dict():
            yield from _texts(value.get("role"))
            yield from _texts(value.get("content", value.get("text")))


def _hashed(key: str, kind: str, text: str) -> str:
    content = f"{key}\0{kind}\0{text}".encode(errors="surrogatepass")
    return blake2b(content, digest_size=16).hexdigest()
