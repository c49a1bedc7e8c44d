"""Secrets in links."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers import url_tokens
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("https://a.com/r?x=1&token=8f3b2c9d7e&v=2", ["8f3b2c9d7e"]),
        ("https://user:pass@a.com/", ["user:pass"]),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.abc", ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.abc"]),
        ("https://a.com/search?q=order1234", []),
    ],
)
def test_only_the_secret_is_found(text: str, pieces: list[str]) -> None:
    """The rest of a link stays."""
    assert found(url_tokens.find, text) == pieces
