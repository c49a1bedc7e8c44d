"""How many tokens a request will take, told from its body before anybody has read it.

The output is what the client asks for, in all sequences together; without a word of it, what such
answers usually take. The prompt is guessed from its characters: the engine counts it before it
computes anything, and corrects the guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.api.limits.cost_limits import COMPLETION_TOKENS, OUTPUT_TOKENS, SEQUENCES
from lorabay.api.request.json_values import as_number
from lorabay.api.request.pooled_inputs import longest_list
from lorabay.serving.engine import COMPLETIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.serving.engine import Body, Call

CHARS_A_TOKEN = 4
"""Characters of English that make a token."""

MEDIUM_TOKENS = 512
"""Tokens of a picture, a sound or a film that comes with a request."""

OVERHEAD_TOKENS = 8
"""Tokens that a template puts around each message."""

NOT_READ = frozenset({"model", "user", "metadata", "response_format", "structured_outputs"})
"""Fields of a body that no model reads."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens of a request: a guess of its prompts, and its output, if the client asked for it."""

    prompt: int
    output: int
    is_asked: bool

    likely: int = 0
    """Tokens that it will probably generate: clients ask for more than most answers take."""

    sequences: int = 1
    """Sequences that are computed side by side: answers, or inputs that are pooled."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.prompt + self.output

    @property
    def at_least(self) -> int:
        """What the request is sure to want."""
        return self.output if self.is_asked else 0


NOTHING = Estimate(0, 0, is_asked=True)


def estimate(call: Call, body: Body, *, context: int | None, usual_output: int) -> Estimate:
    """Return the tokens of a request on a base with so long a `context`.

    `usual_output` is taken for each sequence where the client does not say how long it may be.
    """
    if not call.computes:
        return NOTHING

    prompt = _prompt_tokens(body)
    if not call.generates:
        _, inputs = longest_list(body)
        return Estimate(prompt, 0, is_asked=True, sequences=max(1, inputs))

    fields = (as_number(body.get(name)) for name in OUTPUT_TOKENS[call])
    asked = next((number for number in fields if number is not None), None)
    if asked is None and call == COMPLETIONS:
        asked = COMPLETION_TOKENS

    each = usual_output if asked is None else max(asked, 0)
    if context is not None:
        each = min(each, context)
    sequences = _sequences(body)
    likely = min(each, usual_output) * sequences
    return Estimate(prompt, each * sequences, asked is not None, likely, sequences)


def _sequences(body: Body) -> int:
    """Return how many sequences are made, of all prompts together."""
    numbers = [as_number(body.get(name)) or 1 for name in SEQUENCES]
    return max(1, *numbers) * max(1, _prompts(body.get("prompt")))


def _prompts(prompt: object) -> int:
    if not isinstance(prompt, list) or not prompt or isinstance(prompt[0], int):
        return 1
    return len(prompt)


def _prompt_tokens(body: Body) -> int:
    read = [value for name, value in body.items() if name not in NOT_READ]
    return sum(_sizes(read)) + 1


def _sizes(values: list[object]) -> Iterator[int]:
    """Yield the tokens of every text, medium and token id in `values`, however deep they are."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            is_medium = value.startswith("data:")
            yield MEDIUM_TOKENS if is_medium else -(-len(value) // CHARS_A_TOKEN)
        elif isinstance(value, list) and value and isinstance(value[0], int):
            yield len(value)
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            yield OVERHEAD_TOKENS
            waiting.extend(value.values())
