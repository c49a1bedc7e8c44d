"""The permission of who needs none."""

from __future__ import annotations

from lorabay.catalog.permission import EVERYTHING
from tests.versions import make_version


def test_everything_may_be_used() -> None:
    """Every version, and the base."""
    assert EVERYTHING.allows(make_version("finance"))
    assert EVERYTHING.allows_base()
