"""What a rollout wants to know of an exchange: whether it failed, how fast and how long it was, and
whether the model declined.

Knows nothing of what becomes of it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from lorabay.accounts.usage.records import Ending
from lorabay.errors import TemplateFailed
from lorabay.evaluation.rules.refusal import refusal
from lorabay.rollout.figures import Sample

if TYPE_CHECKING:
    from lorabay.accounts.usage.records import UsageRecord
    from lorabay.serving.engine import Call

READ_BYTES = 16_000
"""Bytes of an answer that are looked at: a model declines in its first sentences."""

SPEED_TOKENS = 8
"""Tokens of an answer from which on its speed says something."""

_PIECE = re.compile(rb'"(?:content|text|delta)"\s*:\s*("(?:[^"\\]|\\.)*")')
"""A piece of an answer in a JSON body or event of any call."""


class AnswerText:
    """The beginning of an answer, gathered from its body or its events."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._room = READ_BYTES

    def add(self, piece: bytes) -> None:
        """Keep a body or an event, if there is room."""
        if self._room > 0:
            self._pieces.append(piece[: self._room])
            self._room -= len(piece)

    def text(self) -> str:
        """Return the text in it."""
        found = [match for piece in self._pieces for match in _PIECE.findall(piece)]
        return "".join(_decoded(text) for text in found)


def _decoded(text: bytes) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return ""  # it was cut off


def sample_of(
    record: UsageRecord, call: Call, text: AnswerText, failure: BaseException | None = None
) -> Sample | None:
    """Return what an exchange says of its version; None if that had no part in how it ended.

    `failure` is what ended it, if anything did. A client that leaves before the first token may
    have found the version too slow.
    """
    left_early = record.ended == Ending.LEFT and record.first_token_ms is None
    if record.code >= 500 or left_early or isinstance(failure, TemplateFailed):
        return Sample(failed=True)
    if record.ended != Ending.DONE or not call.computes:
        return None
    if not call.generates:
        return Sample(failed=False)

    return Sample(
        failed=False,
        first_token_s=_first_token_s(record),
        tokens_per_s=_tokens_per_s(record),
        tokens=record.generated_tokens,
        declines=refusal(text.text()) is not None,
    )


def _first_token_s(record: UsageRecord) -> float | None:
    """Return how long the engine took to the first token; None if none came.

    Waits before that are those of a busy server, and longer for an adapter that is asked for less.
    """
    if record.first_token_ms is None or record.queue_ms is None:
        return None
    return max(0, record.first_token_ms - record.queue_ms) / 1000


def _tokens_per_s(record: UsageRecord) -> float | None:
    """Return how fast the tokens after the first came; None for too few to tell."""
    if record.first_token_ms is None or record.generated_tokens < SPEED_TOKENS:
        return None
    ms = record.total_ms - record.first_token_ms
    return (record.generated_tokens - 1) * 1000 / ms if ms > 0 else None
