"""`lorabay bench`: what it refuses before a server is started."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lorabay.cli import run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lode"], "no scenario"),
        (["--engine", "max_loras"], "--engine 'max_loras' is not NAME=VALUE"),
    ],
)
def test_a_wrong_argument_is_2(
    arguments: list[str], message: str, the_error: Callable[[], str]
) -> None:
    """A running server is named, so that none is started."""
    assert run(["bench", *arguments, "--url", "http://127.0.0.1:9"]) == 2
    assert message in the_error()
