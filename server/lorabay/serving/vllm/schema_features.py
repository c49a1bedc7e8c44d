"""What of a JSON schema vLLM's usual backend, xgrammar, passes over without a word.

An answer would then be bound to less than the schema says. llguidance follows most of it, so vLLM's
own choice among its backends is told to take that one; what neither follows is named to whoever
asks for it. Looks at schemas where they stand, not at names of properties or at values. Knows
nothing of requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from vllm.v1.structured_output import backend_xgrammar

UNFOLLOWED = frozenset({
    "$dynamicRef", "$recursiveRef", "dependencies", "dependentRequired", "dependentSchemas", "else",
    "if", "not", "then",
})  # fmt: skip
"""Keywords that no backend follows."""

_GUIDANCE_LACKS = UNFOLLOWED | {
    "contains", "oneOf", "patternProperties", "unevaluatedItems", "unevaluatedProperties",
    "uniqueItems",
}  # fmt: skip
"""Keywords that llguidance refuses."""

_OF_A_TYPE = frozenset({
    "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems", "maxLength", "maxProperties",
    "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "pattern",
    "required",
})  # fmt: skip
"""Keywords that xgrammar follows only beside a `type`, or one that tells the type."""

_TELLS_A_TYPE = frozenset({
    "$ref", "additionalProperties", "allOf", "anyOf", "const", "enum", "items", "oneOf",
    "patternProperties", "prefixItems", "properties", "propertyNames", "type",
})  # fmt: skip

_ALTERNATIVES = ("$ref", "allOf", "anyOf", "oneOf")
"""Keywords beside which xgrammar follows no other."""

_ASSERTING = _OF_A_TYPE | _TELLS_A_TYPE - {"type", *_ALTERNATIVES}

_ONE = (
    "additionalItems", "additionalProperties", "contains", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_BY_NAME = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
"""Where a schema holds others."""

Schema = Mapping[str, Any]

_known = backend_xgrammar.has_xgrammar_unsupported_json_features


def unfollowed(schema: object) -> tuple[str, ...]:
    """Return the keywords of a schema that no backend follows, in order.

    A schema may also be text that holds JSON; one that cannot be read has none.
    """
    found: set[str] = set()
    for one in _schemas(_read(schema)):
        found |= UNFOLLOWED & one.keys()
        if _is_elsewhere(one):
            found.add("$ref")
    return tuple(sorted(found))


def needs_guidance(schema: object) -> bool:
    """Return whether xgrammar would pass over a part of a schema that llguidance follows."""
    parts = list(_schemas(_read(schema)))
    if any(_GUIDANCE_LACKS & one.keys() or _is_elsewhere(one) for one in parts):
        return False
    return any(_is_passed_over(one) for one in parts)


@cache
def install() -> None:
    """Have vLLM's choice among its backends know what xgrammar passes over; once a process."""

    def has_unsupported_features(schema: dict[str, Any]) -> bool:
        return bool(_known(schema)) or needs_guidance(schema)

    backend_xgrammar.has_xgrammar_unsupported_json_features = has_unsupported_features


def _is_passed_over(one: Schema) -> bool:
    keys = one.keys()
    if keys & _OF_A_TYPE and not keys & _TELLS_A_TYPE:
        return True
    if any(name in one for name in _ALTERNATIVES) and keys & _ASSERTING:
        return True
    # xgrammar finds a part of the schema by its path alone.
    reference = one.get("$ref")
    return isinstance(reference, str) and reference[1:2] not in ("", "/")


def _is_elsewhere(one: Schema) -> bool:
    """Return whether a schema refers to another document, which nobody fetches."""
    reference = one.get("$ref")
    return isinstance(reference, str) and not reference.startswith("#")


def _read(schema: object) -> object:
    if not isinstance(schema, str):
        return schema
    try:
        return json.loads(schema)
    except (ValueError, RecursionError):
        return None


def _schemas(schema: object) -> Iterator[Schema]:
    """Yield a schema and all that it holds."""
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, Mapping):
            continue

        yield one
        waiting += [one[name] for name in _ONE if name in one]
        for name in _LISTS:
            if isinstance(one.get(name), list):
                waiting += one[name]
        for name in _BY_NAME:
            if isinstance(one.get(name), Mapping):
                waiting += one[name].values()
