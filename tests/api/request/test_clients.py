"""Who a request says that it comes from."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.accounts.callers import Caller
from lorabay.api.request.clients import MOST_CHARS, client_of
from lorabay.rollout.assignment import Client

CALLER = Caller("key-7", tenant="acme")


@pytest.mark.parametrize(
    ("body", "user"),
    [
        ({"user": "u1"}, "u1"),
        ({"safety_identifier": "u1"}, "u1"),
        ({"metadata": {"user_id": "u1"}}, "u1"),
        ({"user": "u1", "safety_identifier": "u2"}, "u1"),
        ({"user": "x" * 9999}, "x" * MOST_CHARS),
        ({}, None),
        ({"user": ""}, None),
        ({"user": 7, "metadata": "u1"}, None),
        ({"user": ["u1"], "metadata": {"user_id": {}}}, None),
    ],
)
def test_a_user_is_named_in_the_body(body: dict[str, Any], user: str | None) -> None:
    """As OpenAI's and Anthropic's clients do; anything but a text names nobody."""
    assert client_of(CALLER, body, None) == Client("key-7", "acme", user=user)


@pytest.mark.parametrize(
    ("session", "named"), [("s1", "s1"), ("", None), (None, None), ("y" * 9999, "y" * MOST_CHARS)]
)
def test_a_session_is_named_by_a_header(session: str | None, named: str | None) -> None:
    """An empty one is none."""
    assert client_of(CALLER, {}, session).session == named
