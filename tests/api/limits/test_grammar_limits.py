"""Grammars and schemas are bounded in length and depth, wherever they stand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from lorabay.api.limits.grammar_limits import schemas, structured_outputs
from lorabay.api.limits.measured_body import MeasuredBody
from lorabay.serving.engine import CHAT
from tests.api.conftest import LIMITS


def measured(**body: Any) -> MeasuredBody:
    strict = replace(
        LIMITS, max_choices=2, max_grammar_chars=5, max_schema_chars=20, max_schema_depth=2
    )
    return MeasuredBody(CHAT, body, strict, None)


def found(**wanted: Any) -> list[str]:
    return [excess.found for excess in structured_outputs(measured(structured_outputs=wanted))]


def test_choices_are_counted_and_measured() -> None:
    """All of them together."""
    assert found(choice=["a", "b"]) == []
    assert found(choice=["aaa", "bbb", "c"]) == ["3 choices", "7 characters"]
    assert found(regex="a|b|c|d") == ["7 characters"]


def test_a_schema_may_be_text() -> None:
    """It is measured as what it holds; what is no JSON has its length alone."""
    deep: Any = {"a": {"b": {"c": 1}}}
    assert found(json=deep) == ["3 levels of schema"]
    assert found(json=json.dumps({"a": [[1]]})) == ["3 levels of schema"]
    assert found(json="no JSON") == []
    assert found(json="[" * 19) == []
    assert found(json="x" * 21) == ["21 characters of schema"]


def test_a_schema_in_another_field_may_lie_as_deep_as_that_wraps_it() -> None:
    """The levels around it do not count."""
    wrapped = {"type": "json_schema", "json_schema": {"schema": {"a": {"b": 1}}}}
    roomy = replace(LIMITS, max_schema_depth=2)
    assert not list(schemas(MeasuredBody(CHAT, {"response_format": wrapped}, roomy, None)))
    tight = replace(LIMITS, max_schema_depth=1)
    (excess,) = schemas(MeasuredBody(CHAT, {"response_format": wrapped}, tight, None))
    assert excess.found == "2 levels of schema"
