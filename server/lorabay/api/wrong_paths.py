"""What is said of a path that does not exist, or that takes another method.

Clients put a path behind an address that ends in a slash, or already has `/v1`, or lacks it; others
ask for the paths of another server first. The answer names the path that was meant. Nothing is
redirected: a body would be lost on the way. Knows nothing of requests but their path and method.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lorabay.serving.engine import CALLS, CHAT, COMPLETIONS

SHOWN_CHARS = 100
"""Characters of a path that an answer repeats."""

MODELS = "/v1/models"
KNOWN = (*(call.path for call in CALLS), MODELS, "/health", "/ready", "/version", "/metrics")
"""Paths that clients mean, the longer of two that end alike first."""

OTHER_SERVERS: Mapping[str, str] = {
    "/api/chat": CHAT.path,
    "/api/generate": COMPLETIONS.path,
    "/api/tags": MODELS,
    "/api/version": "/version",
    "/chat": CHAT.path,
    "/completion": COMPLETIONS.path,
    "/generate": COMPLETIONS.path,
    "/generate_stream": COMPLETIONS.path,
    "/infill": COMPLETIONS.path,
    "/invocations": CHAT.path,
    "/healthz": "/health",
    "/livez": "/health",
    "/readyz": "/ready",
    "/v1/complete": "/v1/messages",
}
"""Paths of Ollama, llama.cpp, TGI and others, with the one that does here what they do there."""

_SLASHES = re.compile(r"/{2,}")


def meant(path: str) -> str | None:
    """Return the path that a client has probably meant by one that does not exist."""
    plain = _SLASHES.sub("/", path).rstrip("/") or "/"
    if plain in OTHER_SERVERS:
        return OTHER_SERVERS[plain]

    # `/openai/deployments/finance/chat/completions` ends as `/v1/chat/completions` does.
    ends = (known.removeprefix("/v1") for known in KNOWN)
    for known, end in zip(KNOWN, ends, strict=True):
        if plain.endswith(end):
            return known
    return None


def no_such_path(path: str) -> str:
    """Return the message for a path that does not exist."""
    shown = path if len(path) <= SHOWN_CHARS else f"{path[:SHOWN_CHARS]}..."
    there = meant(path)
    if there is None:
        return f"there is no path `{shown}`; `/docs` lists those that there are"
    return f"there is no path `{shown}`; did you mean `{there}`?"


def wrong_method(path: str, method: str, allowed: str) -> str:
    """Return the message for a path that exists, but not for `method`."""
    return f"`{path[:SHOWN_CHARS]}` takes {allowed}, not {method[:SHOWN_CHARS]}"
