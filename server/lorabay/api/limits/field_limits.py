"""Limits of fields that have none of their own, whether anybody knows them or not.

Nobody reads an unknown field, but it is parsed, copied and logged. Knows nothing of calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lorabay.api.limits.grammar_limits import SCHEMAS
from lorabay.api.limits.measured_body import Excess, too_deep
from lorabay.api.limits.text_limits import COUNTED, TEXTS, WORD_CHARS
from lorabay.api.request.pooled_inputs import INPUT_FIELDS

if TYPE_CHECKING:
    from lorabay.api.limits.measured_body import MeasuredBody
    from lorabay.api.request.json_size import JsonSize

NAME_CHARS = 512
"""Characters of a field that names something; the engine and its log repeat it."""

FIELD_CHARS = 16_384
"""Characters of any field without a limit of its own, names inside it included."""

FIELD_VALUES = 4_096
"""Values of any field without a limit of its own."""

NAMES = frozenset(
    {
        "cache_salt",
        "prompt_cache_key",
        "request_id",
        "safety_identifier",
        "service_tier",
        "session_id",
        "user",
    }
)
"""Fields that name something."""

LARGE = frozenset({*TEXTS, *SCHEMAS, "model", "prompt_embeds", "structured_outputs", "tokens"})
"""Fields that may be large: they have limits of their own, or none but those of the body.

A `model` of any length is one that is not served.
"""


def other_fields(body: MeasuredBody) -> Iterator[Excess]:
    """Yield excesses of names, and of fields that have no limits of their own."""
    for field, size in body.sizes.items():
        is_input = body.call.pools and field in INPUT_FIELDS
        if field in NAMES and size.chars > NAME_CHARS:
            yield Excess(field, f"{size.chars} characters", str(NAME_CHARS))
        elif field not in LARGE and not is_input:
            yield from _plain_field(body, field, size)


def _plain_field(body: MeasuredBody, field: str, size: JsonSize) -> Iterator[Excess]:
    most_chars, most_values = FIELD_CHARS, FIELD_VALUES
    if field in COUNTED:
        # A counted field may be long where an operator allows many entries.
        _, setting = COUNTED[field]
        entries = body.limit(setting)
        most_chars += WORD_CHARS * entries
        most_values += entries

    chars = len(field) + size.chars
    if chars > most_chars:
        yield Excess(field, f"{chars} characters", str(most_chars))
    if size.values > most_values:
        yield Excess(field, f"{size.values} values", str(most_values))
    yield from too_deep(field, size)
