"""Entries, parts, characters and words are counted where they stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lorabay.api.limits.measured_body import MeasuredBody
from lorabay.api.limits.text_limits import WORD_CHARS, counts, texts, words
from lorabay.serving.engine import CHAT, EMBEDDINGS, RERANK, Call
from tests.api.conftest import LIMITS


def measured(call: Call, **body: Any) -> MeasuredBody:
    strict = replace(LIMITS, max_messages=2, max_content_parts=3, max_text_chars=10)
    return MeasuredBody(call, body, strict, None)


def test_messages_and_their_parts_are_counted() -> None:
    """Whatever lists a message holds, and in all messages together."""
    message = {"content": [{}, {}], "tool_calls": [{}]}
    assert not list(counts(measured(CHAT, messages=[message])))
    found = [excess.found for excess in counts(measured(CHAT, messages=[message] * 3))]
    assert found == ["3 messages", "9 content parts"]


def test_inputs_of_a_call_that_pools_are_no_messages() -> None:
    """They have a limit of their own."""
    body = {"input": ["a"] * 5, "documents": ["b"] * 5}
    assert not list(counts(measured(EMBEDDINGS, **body)))
    assert len(list(counts(measured(CHAT, **body)))) == 2


def test_all_text_counts_together_and_the_longest_field_is_told() -> None:
    """Pictures are no text; a query is read again with each document."""
    (excess,) = texts(measured(CHAT, messages="a" * 6, system="b" * 5))
    assert (excess.field, excess.found) == ("messages", "11 characters of text")
    assert not list(texts(measured(CHAT, messages=[{"url": "x" * 90}])))
    assert list(texts(measured(RERANK, query="a" * 5, documents=["b", "c", "d"])))


def test_one_long_word_is_enough() -> None:
    """Alone or in a list."""
    long = "x" * (WORD_CHARS + 1)
    assert [excess.field for excess in words(measured(CHAT, stop=long))] == ["stop"]
    assert [excess.field for excess in words(measured(CHAT, bad_words=["a", long]))] == [
        "bad_words"
    ]
    assert not list(words(measured(CHAT, stop=["x" * WORD_CHARS], bad_words=[])))
