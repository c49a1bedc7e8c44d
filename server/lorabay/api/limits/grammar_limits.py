"""Limits of grammars: of structured outputs, and of the JSON schemas in other fields.

A schema may also be text that holds JSON. Knows nothing of what a grammar means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lorabay.api.request.json_size import JsonSize, size_of
from lorabay.api.request.json_values import as_list, as_object, chars_of

if TYPE_CHECKING:
    from lorabay.api.limits.measured_body import Excess, MeasuredBody

STRUCTURED = "structured_outputs"

SCHEMAS: Mapping[str, int] = {"response_format": 2, "text": 2, "output_config": 2, "tools": 3}
"""Fields that hold JSON schemas, with the levels between the field and a schema."""


def structured_outputs(body: MeasuredBody) -> Iterator[Excess]:
    """Yield excesses of choices, expressions and schemas in vLLM's own field."""
    wanted = as_object(body.body.get(STRUCTURED))
    choices = as_list(wanted.get("choice"))
    field = f"{STRUCTURED}.choice"
    yield from body.over(field, len(choices), "choices", "max_choices")
    chars = sum(map(chars_of, choices))
    yield from body.over(field, chars, "characters", "max_grammar_chars")

    for name in ("regex", "grammar", "whitespace_pattern"):
        chars = chars_of(wanted.get(name))
        yield from body.over(f"{STRUCTURED}.{name}", chars, "characters", "max_grammar_chars")

    for name in ("json", "structural_tag"):
        size = _schema_size(wanted.get(name), body)
        yield from _schema(body, f"{STRUCTURED}.{name}", size)


def schemas(body: MeasuredBody) -> Iterator[Excess]:
    """Yield excesses of schemas in fields that hold them among other things."""
    for field, wrapping in SCHEMAS.items():
        if field in body.sizes:
            yield from _schema(body, field, body.sizes[field], wrapping)


def _schema(body: MeasuredBody, field: str, size: JsonSize, wrapping: int = 0) -> Iterator[Excess]:
    """Yield excesses of a schema that lies `wrapping` levels inside of its field."""
    chars = size.chars + size.values
    yield from body.over(field, chars, "characters of schema", "max_schema_chars")
    depth = size.depth - wrapping
    yield from body.over(field, depth, "levels of schema", "max_schema_depth")


def _schema_size(schema: object, body: MeasuredBody) -> JsonSize:
    """Return the size of a schema, which may also be text that holds JSON."""
    if not isinstance(schema, str):
        return size_of(schema)

    chars = len(schema)
    if chars > body.limit("max_schema_chars"):
        return JsonSize(chars=chars)
    try:
        size = size_of(json.loads(schema))
    except RecursionError:
        return JsonSize(depth=body.limit("max_schema_depth") + 1, chars=chars)
    except ValueError:
        # The engine says what is wrong with it.
        return JsonSize(chars=chars)
    size.chars = chars
    return size
