"""What a request has computed is bounded in all its sequences together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lorabay.api.limits.cost_limits import (
    COMPLETION_TOKENS,
    MOST_PENALTY,
    PATTERN_TOKENS,
    log_probabilities,
    powers,
    sequences,
)
from lorabay.api.limits.measured_body import MeasuredBody
from lorabay.serving.engine import CHAT, COMPLETIONS, EMBEDDINGS, Call
from tests.api.conftest import LIMITS


def measured(call: Call, context: int | None = 100, **body: Any) -> MeasuredBody:
    strict = replace(LIMITS, max_prompts=2, max_sequences=4, max_asked_tokens=200, max_inputs=2)
    return MeasuredBody(call, body, strict, context)


@pytest.mark.parametrize(
    ("call", "body", "found"),
    [
        (COMPLETIONS, {"prompt": ["a", "b"], "n": 2}, []),
        (COMPLETIONS, {"prompt": ["a", "b"], "n": 3}, ["6 sequences"]),
        (COMPLETIONS, {"prompt": ["a"], "prompt_embeds": ["b", "c"]}, ["3 prompts"]),
        (COMPLETIONS, {"prompt": [1, 2, 3]}, []),
        (CHAT, {"n": 2, "max_tokens": 101}, ["202 tokens in all sequences"]),
        (CHAT, {"n": 3}, ["300 tokens in all sequences"]),
        (CHAT, {}, []),
        (EMBEDDINGS, {"input": ["a"] * 3}, ["3 inputs"]),
    ],
)
def test_prompts_times_sequences_times_tokens(
    call: Call, body: dict[str, Any], found: list[str]
) -> None:
    """One sequence that names no number may fill the context; several may not all."""
    assert [excess.found for excess in sequences(measured(call, **body))] == found


def test_a_completion_that_does_not_say_how_much_is_short() -> None:
    """As OpenAI's is."""
    body = measured(COMPLETIONS, context=10**6, prompt=["a", "b"])
    assert not list(sequences(body))
    assert 2 * COMPLETION_TOKENS < 200


def test_log_probabilities_of_the_prompt_have_their_own_limit() -> None:
    """With `echo` they are computed as well; -1 means the whole vocabulary."""
    body = {"logprobs": 5}
    limits = replace(LIMITS, max_top_logprobs=5, max_prompt_logprobs=0)
    assert not list(log_probabilities(MeasuredBody(COMPLETIONS, body, limits, None)))
    echoed = MeasuredBody(COMPLETIONS, body | {"echo": True}, limits, None)
    assert [excess.found for excess in log_probabilities(echoed)] == ["5 a token"]
    everything = MeasuredBody(CHAT, {"prompt_logprobs": -1}, limits, None)
    (excess,) = log_probabilities(everything)
    assert excess.found == "-1, the whole vocabulary"


def test_numbers_that_multiply_the_work_of_each_token_are_bounded() -> None:
    """Either way, for a power."""
    wide = {"repetition_detection": {"max_pattern_size": PATTERN_TOKENS + 1}}
    assert [excess.field for excess in powers(measured(CHAT, **wide))] == [
        "repetition_detection.max_pattern_size"
    ]
    assert list(powers(measured(CHAT, length_penalty=-MOST_PENALTY - 1)))
    assert not list(powers(measured(CHAT, length_penalty=MOST_PENALTY)))
