"""What an adapter says about its own use: template, end tokens, system prompt, sampling.

Values only. A part of a version: other defaults are another version, also with the same weights.
Knows nothing of the files that say it, or of the engine that follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.rollout.policy import Policy

Value = str | int | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that an adapter prefers: of requests that leave it open, or of all of them.

    A request that asks for another value than an enforced one gets the enforced one.
    """

    value: Value
    is_enforced: bool = False


@dataclass(frozen=True, slots=True)
class AdapterDefaults:
    """How an adapter wants to be used; what it leaves open is the base's.

    `chat_template` is the Jinja source. `end_tokens` are the texts of tokens that end an answer, in
    addition to the base's own. `sampling` has one choice a field of the OpenAI request
    (`temperature`, `top_p`, `top_k`, `min_p`, `presence_penalty`, `frequency_penalty`,
    `repetition_penalty`, `max_tokens`, `stop`, `seed`), sorted by that name. `rollout` is how a new
    version takes over from the one before; None for at once.
    """

    chat_template: str | None = None
    end_tokens: tuple[str, ...] = ()
    system_prompt: Choice | None = None
    sampling: tuple[tuple[str, Choice], ...] = ()
    description: str | None = None
    tags: tuple[str, ...] = ()
    rollout: Policy | None = None


NO_DEFAULTS = AdapterDefaults()
"""An adapter that says nothing about its use."""
