"""What a person can do with a server that has just become ready: a command to paste, and addresses.

Text for a terminal. Knows nothing of how a server runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

NAMED = 5
"""Adapters that are named; more would push the command out of sight."""


def first_steps(
    url: str, *, base: str, adapters: Sequence[str], has_key: bool, generates: bool
) -> str:
    """Return lines that say what to try at a server's address.

    `adapters` are those that answer now. `has_key` says that requests need a key, and `generates`
    that the base writes text.
    """
    model = adapters[0] if adapters else base
    key = ' -H "Authorization: Bearer $LORABAY_API_KEY"' if has_key else ""
    lines = [
        "Try it, in another terminal:",
        "",
        f"    {_question(url, model, key) if generates else f'curl -s{key} {url}/v1/models'}",
        "",
        f"Models: {_names((*adapters, base))}",
        f"The API: {url}/docs",
    ]
    return "\n".join(lines) + "\n"


def _question(url: str, model: str, key: str) -> str:
    """Return a command that asks a model something."""
    body = {
        "model": model,
        "max_tokens": 60,
        "messages": [{"role": "user", "content": "My parcel has not arrived. What can I do?"}],
    }
    return (
        f'curl -s {url}/v1/chat/completions -H "Content-Type: application/json"{key} '
        f"-d '{json.dumps(body)}'"
    )


def _names(models: Sequence[str]) -> str:
    shown = ", ".join(models[:NAMED])
    more = len(models) - NAMED
    return f"{shown}, and {more} more (GET /v1/models)" if more > 0 else shown
