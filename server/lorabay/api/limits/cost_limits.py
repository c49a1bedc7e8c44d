"""Limits of how much a request has computed: sequences, tokens, and what is done for each token.

Knows nothing of texts, except how many prompts there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lorabay.api.limits.measured_body import Excess
from lorabay.api.request.json_values import as_number, as_object
from lorabay.api.request.pooled_inputs import longest_list
from lorabay.serving.engine import CHAT, COMPLETIONS, MESSAGES, RESPONSES

if TYPE_CHECKING:
    from lorabay.api.limits.measured_body import MeasuredBody
    from lorabay.serving.engine import Call

PATTERN_TOKENS = 1_024
"""Longest repetition that is looked for; the engine looks for all lengths after each token."""

MOST_PENALTY = 10
"""Largest `length_penalty`, a power of a sequence's length; far larger ones overflow."""

SEQUENCES = ("n", "best_of", "beam_width")
"""Fields that say how many sequences each prompt has; the largest counts."""

OUTPUT_TOKENS: Mapping[Call, tuple[str, ...]] = {
    CHAT: ("max_completion_tokens", "max_tokens"),
    COMPLETIONS: ("max_tokens",),
    RESPONSES: ("max_output_tokens",),
    MESSAGES: ("max_tokens",),
}
"""Where each generating call says how many tokens it wants; the first that is there counts."""

COMPLETION_TOKENS = 16
"""Tokens of a text completion that does not say how many; everything else fills the context."""


def sequences(body: MeasuredBody) -> Iterator[Excess]:
    """Yield excesses of prompts, sequences, inputs, and of the tokens that all may generate."""
    prompts = _count(body.body.get("prompt")) + _count(body.body.get("prompt_embeds"))
    prompts = max(prompts, 1)
    yield from body.over("prompt", prompts, "prompts", "max_prompts")

    field = max(SEQUENCES, key=lambda name: body.number(name) or 1)
    count = prompts * max(body.number(field) or 1, 1)
    yield from body.over(field, count, "sequences", "max_sequences")

    if body.call.pools:
        field, inputs = longest_list(body.body)
        yield from body.over(field, inputs, "inputs", "max_inputs")
    if body.call in OUTPUT_TOKENS:
        yield from _asked_tokens(body, OUTPUT_TOKENS[body.call], count)


def _asked_tokens(body: MeasuredBody, fields: tuple[str, ...], count: int) -> Iterator[Excess]:
    """Yield the excess of tokens that all `count` sequences together may generate.

    `fields` may say how many each may; the first of them that does counts.
    """
    field = next((name for name in fields if body.number(name) is not None), fields[-1])
    tokens = body.number(field)
    if tokens is None:
        # One sequence that does not say how much it wants may fill the context.
        if count == 1:
            return
        tokens = COMPLETION_TOKENS if body.call == COMPLETIONS else body.context or 0

    total = tokens * count
    yield from body.over(field, total, "tokens in all sequences", "max_asked_tokens")


def log_probabilities(body: MeasuredBody) -> Iterator[Excess]:
    """Yield excesses of tokens whose log probabilities are told at each place."""
    wanted = [
        ("top_logprobs", "max_top_logprobs"),
        ("prompt_logprobs", "max_prompt_logprobs"),
        # A number in text completions, and a flag in chats.
        ("logprobs", "max_top_logprobs"),
    ]
    if body.body.get("echo"):
        # vLLM then computes those of the prompt too.
        wanted += [("top_logprobs", "max_prompt_logprobs"), ("logprobs", "max_prompt_logprobs")]

    for field, setting in wanted:
        number = body.number(field)
        if number == -1:
            yield Excess(field, "-1, the whole vocabulary", body.told(setting))
        yield from body.over(field, number or 0, "a token", setting)


def powers(body: MeasuredBody) -> Iterator[Excess]:
    """Yield excesses of single numbers that decide how much is computed for each token."""
    repetition = as_object(body.body.get("repetition_detection"))
    tokens = as_number(repetition.get("max_pattern_size")) or 0
    if tokens > PATTERN_TOKENS:
        field = "repetition_detection.max_pattern_size"
        yield Excess(field, f"{tokens} tokens", str(PATTERN_TOKENS))

    penalty = body.number("length_penalty") or 0
    if abs(penalty) > MOST_PENALTY:
        yield Excess("length_penalty", f"a power of {penalty}", str(MOST_PENALTY))


def _count(prompts: object) -> int:
    """Return how many prompts a field holds; a list of token ids is one."""
    if not isinstance(prompts, list):
        return int(prompts is not None)
    if prompts and isinstance(prompts[0], int):
        return 1
    return len(prompts)
