"""A console that somebody has left open: it follows the stream, and asks what the page asks.

    python -m tests.e2e.idle_console URL KEY

until it is ended, and says `follows` once it does. Without a browser, which would take the
processor that the engine computes on and that no user's browser takes.
"""

from __future__ import annotations

import sys
import threading

import httpx

from tests.server.standing import say

SPAN_S = 10.0
"""How often the page asks for the figures of the hour: with each span."""


def follow(url: str, key: str) -> None:
    """Read the stream, and let go of what comes."""
    headers = {"authorization": f"Bearer {key}"}
    with (
        httpx.Client(base_url=url, headers=headers, timeout=None) as client,  # noqa: S113
        client.stream("GET", "/admin/live") as stream,
    ):
        asking = threading.Thread(target=_ask, args=(url, headers), daemon=True)
        asking.start()
        pieces = stream.iter_bytes()
        next(pieces)
        say("follows")
        for _ in pieces:
            pass


def _ask(url: str, headers: dict[str, str]) -> None:
    pause = threading.Event()
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        while not pause.wait(SPAN_S):
            client.get("/admin/figures", params={"by": "adapter", "seconds": 3600})


if __name__ == "__main__":
    follow(*sys.argv[1:])
