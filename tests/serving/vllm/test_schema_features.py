"""What xgrammar passes over in a schema is seen, and whoever follows it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lorabay.serving.vllm.schema_features import UNFOLLOWED, needs_guidance, unfollowed

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
PERSON = {"type": "object", "properties": {"a": NUMBER}, "required": ["a"]}

PASSED_OVER: dict[str, dict[str, Any]] = {
    "a pattern without its type": {"pattern": "^a$"},
    "a least number without its type": {"minimum": 5},
    "a needed property without its type": {"required": ["a"]},
    "alternatives beside properties": PERSON | {"anyOf": [{"required": ["a"]}]},
    "a reference beside a length": {"$ref": "#/$defs/A", "minLength": 3, "$defs": {"A": TEXT}},
    "a reference by an anchor": {"$ref": "#here", "$defs": {"A": NUMBER | {"$anchor": "here"}}},
    "deep inside": {"type": "array", "items": {"anyOf": [TEXT, {"maxLength": 2}]}},
}
FOLLOWED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a person": PERSON,
    "properties without their type": {"properties": {"a": NUMBER}, "required": ["a"]},
    "an alternative with a type": {"type": "string", "anyOf": [{"const": "a"}]},
    "a reference with words": {"$ref": "#/$defs/A", "description": "x", "$defs": {"A": TEXT}},
    "itself": {"type": "array", "items": {"$ref": "#"}},
    "what nobody else follows": {"pattern": "a", "oneOf": [TEXT, NUMBER]},
    "tools as vLLM demands them": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "anyOf": [{"properties": {"name": TEXT}, "required": ["name"]}],
        },
    },
}


@pytest.mark.parametrize("kind", PASSED_OVER)
def test_what_xgrammar_passes_over_goes_to_llguidance(kind: str) -> None:
    """A part without a type, or beside alternatives or a reference."""
    assert needs_guidance(PASSED_OVER[kind])
    assert needs_guidance(json.dumps(PASSED_OVER[kind]))
    assert unfollowed(PASSED_OVER[kind]) == ()


@pytest.mark.parametrize("kind", FOLLOWED)
def test_other_schemas_stay_where_they_are(kind: str) -> None:
    """Those of the usual forms, and those that llguidance would refuse."""
    assert not needs_guidance(FOLLOWED[kind])
    assert unfollowed(FOLLOWED[kind]) == ()


@pytest.mark.parametrize("keyword", sorted(UNFOLLOWED))
def test_what_nobody_follows_is_named(keyword: str) -> None:
    """Wherever it stands, as the first reason or beside others."""
    schema = {"type": "object", "properties": {"a": {"anyOf": [{keyword: {}, "pattern": "a"}]}}}
    assert unfollowed(schema) == unfollowed(json.dumps(schema)) == (keyword,)
    assert not needs_guidance(schema)


def test_a_reference_to_another_document_is_not_followed() -> None:
    """Nobody fetches it."""
    assert unfollowed({"items": [{"$ref": "https://example.com/schema.json"}]}) == ("$ref",)


@pytest.mark.parametrize("place", ["properties", "$defs"])
@pytest.mark.parametrize("value", ["const", "enum", "default", "examples"])
def test_names_and_values_are_no_keywords(place: str, value: str) -> None:
    """A property may be called `not`, and a value may look like a schema."""
    lookalike = {"not": 1, "pattern": "a"}
    schema = {"type": "object", place: {"not": NUMBER, "if": {value: [lookalike]}}}
    assert unfollowed(schema) == ()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*UNFOLLOWED, "$ref", "anyOf", "items"]), inner)
        ),
        max_leaves=12,
    )
)
def test_anything_is_looked_at(schema: Any) -> None:
    """Whatever a client sends for a schema, there is an answer."""
    assert set(unfollowed(schema)) <= UNFOLLOWED | {"$ref"}
    assert needs_guidance(schema) in (True, False)
