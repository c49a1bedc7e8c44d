"""Limits of what a prompt is made of, and of words that steer an answer: how many, and how long.

Messages, their parts, tools, documents and stop strings are counted, and the characters of all text
together. Knows nothing of numbers or of grammars.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lorabay.api.limits.measured_body import Excess, too_deep
from lorabay.api.request.json_values import as_list, chars_of
from lorabay.api.request.pooled_inputs import INPUT_FIELDS, repeated_chars

if TYPE_CHECKING:
    from lorabay.api.limits.measured_body import MeasuredBody
    from lorabay.api.request.json_size import JsonSize

WORD_CHARS = 256
"""Characters of a stop string or a bad word; each generated token is compared with them."""

TEXTS = (
    "messages",
    "input",
    "previous_input_messages",
    "prompt",
    "instructions",
    "system",
    "suffix",
    "documents",
    "chat_template",
)
"""Fields of which the prompt is made."""

CONVERSATIONS = ("messages", "input", "previous_input_messages")

WORDS = ("stop", "stop_sequences", "bad_words")

COUNTED: Mapping[str, tuple[str, str]] = {
    "messages": ("messages", "max_messages"),
    "input": ("items", "max_messages"),
    "previous_input_messages": ("messages", "max_messages"),
    "documents": ("documents", "max_messages"),
    "tools": ("tools", "max_tools"),
    "stop": ("strings", "max_stop_strings"),
    "stop_sequences": ("strings", "max_stop_strings"),
    "bad_words": ("words", "max_bad_words"),
    "logit_bias": ("entries", "max_logit_bias"),
    "allowed_token_ids": ("entries", "max_logit_bias"),
    "logprob_token_ids": ("entries", "max_logit_bias"),
    "stop_token_ids": ("entries", "max_logit_bias"),
}
"""Lists and mappings whose entries are counted: what the entries are, and their limit."""


def counts(body: MeasuredBody) -> Iterator[Excess]:
    """Yield excesses of entries in a field, and of parts in all messages of a conversation."""
    for field, (noun, setting) in COUNTED.items():
        # What a call that pools calls its inputs has other meanings elsewhere.
        if body.call.pools and field in INPUT_FIELDS:
            continue
        entries = body.body.get(field)
        if isinstance(entries, list | dict):
            yield from body.over(field, len(entries), noun, setting)

    for field in CONVERSATIONS:
        messages = as_list(body.body.get(field))
        parts = sum(_parts_of(message) for message in messages)
        yield from body.over(field, parts, "content parts", "max_content_parts")


def texts(body: MeasuredBody) -> Iterator[Excess]:
    """Yield the excess of all text together, told of the longest field, and of depths."""
    sizes = _text_sizes(body)
    if sizes:
        chars = {field: size.chars - size.media_chars for field, size in sizes.items()}
        longest = max(chars, key=lambda field: chars[field])
        total = sum(chars.values())
        if body.call.pools:
            total += repeated_chars(body.body)
        yield from body.over(longest, total, "characters of text", "max_text_chars")

    for field, size in sizes.items():
        yield from too_deep(field, size)


def words(body: MeasuredBody) -> Iterator[Excess]:
    """Yield excesses of single words."""
    for field in WORDS:
        given = body.body.get(field)
        strings = given if isinstance(given, list) else [given]
        longest = max(map(chars_of, strings), default=0)
        if longest > WORD_CHARS:
            yield Excess(field, f"a string of {longest} characters", str(WORD_CHARS))


def _text_sizes(body: MeasuredBody) -> dict[str, JsonSize]:
    """Return the sizes of the fields of which prompts are made."""
    fields = [*TEXTS]
    if body.call.pools:
        fields += INPUT_FIELDS
    return {field: body.sizes[field] for field in fields if field in body.sizes}


def _parts_of(message: object) -> int:
    """Return the entries of whatever lists a message holds: content, tool calls, annotations."""
    if not isinstance(message, dict):
        return 0
    return sum(len(value) for value in message.values() if isinstance(value, list))
