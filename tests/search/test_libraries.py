"""What a search needs beside the package itself."""

from __future__ import annotations

import pytest

from lorabay.errors import SetupError
from lorabay.search import libraries


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way to get it."""
    monkeypatch.setattr(libraries, "LIBRARIES", ("json", "no_such_library"))
    with pytest.raises(SetupError, match=r"a search needs no_such_library: .*make setup"):
        libraries.check_libraries()
