"""What a request will take, from its body."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.api.allowance.estimate import Estimate, estimate
from lorabay.serving.engine import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    SCORE,
    TOKENIZE,
    Body,
    Call,
)

CONTEXT, USUAL = 2_048, 300


def told(call: Call, **body: Any) -> Estimate:
    return estimate(call, {"model": "m" * 400, **body}, context=CONTEXT, usual_output=USUAL)


@pytest.mark.parametrize(
    ("call", "body", "output"),
    [
        (CHAT, {"max_completion_tokens": 20, "max_tokens": 90}, 20),
        (CHAT, {"max_tokens": 20, "n": 3}, 60),
        (CHAT, {"max_tokens": 10**9}, CONTEXT),
        (COMPLETIONS, {"prompt": ["a", "b"], "max_tokens": 5, "n": 2}, 20),
        (COMPLETIONS, {"prompt": [1, 2, 3]}, 16),
        (RESPONSES, {"max_output_tokens": 7}, 7),
        (MESSAGES, {"max_tokens": 0}, 0),
        (MESSAGES, {"max_tokens": -5}, 0),
        # As the engine reads them, whatever the client hopes that we read.
        (CHAT, {"max_tokens": "20", "n": 2.0}, 40),
        (CHAT, {"max_completion_tokens": None, "max_tokens": 90}, 90),
        (COMPLETIONS, {"prompt": "a", "max_tokens": 1, "best_of": 5}, 5),
        (COMPLETIONS, {"prompt": [[1, 2], [3]], "max_tokens": 4}, 8),
    ],
)
def test_output_is_what_is_asked_for(call: Call, body: Body, output: int) -> None:
    """Of all sequences together, and none longer than the context."""
    made = told(call, **body)
    assert made.output == output
    assert made.at_least == output


def test_whoever_does_not_say_is_taken_for_usual() -> None:
    """And is not refused for a guess."""
    made = told(CHAT, messages=[], n=2)
    assert (made.output, made.at_least) == (2 * USUAL, 0)


def test_a_prompt_is_guessed_from_all_that_is_read() -> None:
    """Texts by their characters, ids by their number, media as a whole."""
    text = [{"role": "user", "content": "word " * 80}]
    assert 100 <= told(CHAT, messages=text).prompt <= 130
    assert told(COMPLETIONS, prompt=[5] * 70).prompt == 71
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10**6}}
    assert told(CHAT, messages=[{"role": "user", "content": [picture]}]).prompt < 1_000


def test_calls_that_make_nothing_take_no_output() -> None:
    """Vectors take their inputs, and the tokenizer nothing of the model."""
    assert told(EMBEDDINGS, input=["a" * 40] * 3).total == 31
    assert told(TOKENIZE, prompt="a" * 400).total == 0


def test_inputs_that_are_pooled_are_sequences() -> None:
    """Each takes a place in the engine of its own."""
    assert told(EMBEDDINGS, input=["a", "b", "c"]).sequences == 3
    assert told(EMBEDDINGS, input=[1, 2, 3]).sequences == 1
    assert told(SCORE, queries="a", documents=["b", "c"]).sequences == 2


def test_an_answer_is_probably_no_longer_than_usual() -> None:
    """However much is asked; each of several counts."""
    asked = told(CHAT, max_tokens=2_000, n=3)
    assert (asked.output, asked.likely, asked.sequences) == (6_000, 3 * USUAL, 3)
    assert told(CHAT, max_tokens=5).likely == 5
    assert told(COMPLETIONS, prompt=["a", "b"]).sequences == 2
    assert told(TOKENIZE).likely == 0
