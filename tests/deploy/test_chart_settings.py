"""The chart's schema knows the settings of the program."""

from __future__ import annotations

import json

from tests.deploy.chart_settings import SCHEMA, described, renewed


def test_the_schema_is_fresh() -> None:
    """`python -m tests.docs.blocks` has run since a setting was added or changed."""
    text = SCHEMA.read_text(encoding="utf-8")
    assert len(described()) >= 70
    assert json.loads(text) == json.loads(renewed(text))


def test_secrets_are_no_plain_settings() -> None:
    """What a Secret must hold cannot be written into a file of values."""
    assert not {"api_key", "admin_key", "database", "redis"} & described().keys()
