"""One streamed answer, from its raw reads to token times and usage, or to the reason why it failed.

Runs after the answer has ended, so that receiving stays cheap. Pure; knows the OpenAI event format
and no HTTP client.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `token_times` holds one clock reading for each event that carried output."""

    sent: float
    token_times: tuple[float, ...]
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a whole answer; equal causes have equal reasons."""

    reason: str


def read_transcript(
    sent: float, reads: Sequence[tuple[float, bytes]], output_tokens: int
) -> Answer | Failure:
    """Judge one stream, given as reads with their times.

    More or fewer than `output_tokens` tokens are a failure: that run would not do equal work.
    """
    events = list(_events(reads))
    if len(events) < 2 or events[-1][1] != DONE:
        return Failure("the stream ended early")

    last = _parse(events[-2][1])
    if "error" in last:
        return Failure(f"error in the stream: {error_message(last)}")
    usage = last.get("usage")
    if not usage:
        return Failure("no usage in the stream")
    if usage["completion_tokens"] != output_tokens:
        return Failure(f"{usage['completion_tokens']} output tokens instead of {output_tokens}")

    # A chat stream opens with an event that names the role: the first token comes after it.
    tokens = events[:-2]
    if tokens and _only_opens(tokens[0][1]):
        tokens = tokens[1:]
    times = tuple(at for at, _ in tokens)
    return Answer(sent, times, usage["prompt_tokens"], usage["completion_tokens"])


def error_message(payload: dict[str, Any]) -> str:
    """Return the message of an OpenAI error object, or of one like it, cut to one line."""
    error = payload.get("error", payload)
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:200]


def _events(reads: Sequence[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """Return each event's data with the time of the read that completed it."""
    pending = b""
    for at, data in reads:
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield at, line[len(b"data:") :].strip()


def _only_opens(event: bytes) -> bool:
    """Return whether an event names the role of a chat answer and carries no text yet."""
    choices = _parse(event).get("choices") or [{}]
    delta = choices[0].get("delta", {})
    return "role" in delta and not delta.get("content")


def _parse(event: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(event)
    except ValueError:
        return {"error": "an event is not JSON"}
    return payload if isinstance(payload, dict) else {"error": "an event is not a JSON object"}
