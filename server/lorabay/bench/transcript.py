"""From the raw reads of one streamed answer to what it cost: token times and usage, or why it
failed.

Runs after the answer has ended, so that receiving stays cheap. Pure; knows the OpenAI event format,
no HTTP client.
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
    """Judge one stream. Fewer or more tokens than asked for is a failure: that run would not do
    equal work.
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
    body = events[:-2]
    times = tuple(at for at, _ in (body[1:] if body and _only_opens(body[0][1]) else body))
    return Answer(sent, times, usage["prompt_tokens"], usage["completion_tokens"])


def error_message(payload: dict[str, Any]) -> str:
    """The message of an OpenAI error object, or of something like it, cut to a line."""
    error = payload.get("error", payload)
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:200]


def _events(reads: Sequence[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """Each event's data with the time of the read that completed it."""
    pending = b""
    for at, data in reads:
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield at, line[len(b"data:") :].strip()


def _only_opens(event: bytes) -> bool:
    """Whether a chat stream's first event names the role and carries no text yet."""
    choices = _parse(event).get("choices") or [{}]
    delta = choices[0].get("delta", {})
    return "role" in delta and not delta.get("content")


def _parse(event: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(event)
    except ValueError:
        return {"error": "an event is not JSON"}
    return payload if isinstance(payload, dict) else {"error": "an event is not a JSON object"}
