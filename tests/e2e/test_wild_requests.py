"""Requests as other people's programs send them, on the real engine."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.wild import WILD


@pytest.mark.parametrize("name", WILD)
def test_a_request_from_the_wild(http: httpx.Client, name: str) -> None:
    """It is answered as it is meant, or refused with the field and what to do."""
    wild = WILD[name]
    assert wild.fault(wild.send(http)) is None
