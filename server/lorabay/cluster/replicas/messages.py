"""What a front and a replica say to each other about one request: values that can be pickled.

Times of a usage are those of a machine's own clock. A message carries the time at which it was sent
by that clock, and the receiver moves them to its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.catalog.versions import Digest, Version
    from lorabay.cluster.choice.choice import Wish
    from lorabay.errors import LorabayError
    from lorabay.serving.engine import Answer, Body, Compiled, StepTokens, Usage


@dataclass(frozen=True, slots=True)
class Question:
    """One request, as a front hands it to the replica that its `wish` chooses."""

    wish: Wish
    call: str
    body: Body
    version: Version | None
    request_id: str
    headers: Mapping[str, str]
    goes_first: bool


@dataclass(frozen=True, slots=True)
class Errand:
    """A version that one replica, chosen by the `wish`, shall load."""

    wish: Wish
    version: Version


@dataclass(frozen=True, slots=True)
class Counted:
    """The engine has counted the prompts' tokens, and has computed nothing yet."""

    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class PromptRead:
    """The engine has read the prompts."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The answer is this; nothing follows."""

    answer: Answer
    sent_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Begun:
    """The answer is a stream, and its events follow."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the stream."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Spent:
    """What the request has cost until now."""

    usage: Usage
    sent_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Failed:
    """The request has failed; nothing follows."""

    error: LorabayError


@dataclass(frozen=True, slots=True)
class Died:
    """The engine, or its whole replica, has died under the request; nothing follows.

    `replica` is a number that the front gives to each replica that it hears.
    """

    error: LorabayError
    replica: int = 0


Message = Counted | PromptRead | Whole | Begun | Event | Spent | Failed | Died


@dataclass(frozen=True, slots=True)
class Facts:
    """What a replica tells of its engine, again and again."""

    max_model_len: int | None
    max_sequences: int | None
    reads_at_once: StepTokens | None
    compiled: Compiled | None
    calls: frozenset[str]
    held: frozenset[Digest]
    places: int
    slots: int


def received(usage: Usage, sent_at: float, now: float) -> Usage:
    """Return a usage with times of this machine's clock, which says `now`.

    The way of the message counts to what came before it.
    """
    moved = now - sent_at
    return replace(
        usage,
        begun_at=None if usage.begun_at is None else usage.begun_at + moved,
        first_token_at=None if usage.first_token_at is None else usage.first_token_at + moved,
    )
