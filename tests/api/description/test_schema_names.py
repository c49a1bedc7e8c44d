"""Names of schemas, which become those of classes."""

from __future__ import annotations

from typing import Any

from lorabay.api.description.schema_names import drop_shared_titles, share_body


def test_a_body_is_shared_under_its_title() -> None:
    """One without a title stays, and so does an operation without a body."""
    named, unnamed = {"title": "KeyRequest", "type": "object"}, {"type": "object"}
    schemas: dict[str, Any] = {}
    for schema, shared in (
        (named, {"$ref": "#/components/schemas/KeyRequest"}),
        (unnamed, unnamed),
    ):
        operation = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
        share_body(operation, schemas)
        assert operation["requestBody"]["content"]["application/json"]["schema"] == shared
    share_body({}, schemas)
    assert schemas == {"KeyRequest": named}


def test_no_two_schemas_have_one_title() -> None:
    """Both lose it; a title of its own stays."""
    schemas: dict[str, Any] = {
        "a__Tool": {"title": "Tool"},
        "b__Tool": {"title": "Tool"},
        "Key": {"title": "Key"},
        "Word": {},
        "Other": {},
    }
    drop_shared_titles(schemas)
    assert schemas == {
        "a__Tool": {},
        "b__Tool": {},
        "Key": {"title": "Key"},
        "Word": {},
        "Other": {},
    }
