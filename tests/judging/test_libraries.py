"""What is told where the extra `forge` is not installed."""

from __future__ import annotations

import pytest

from lorabay.errors import SetupError
from lorabay.judging import libraries


def test_a_missing_library_is_one_line_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all of them nothing is said."""
    monkeypatch.setattr(libraries, "LIBRARIES", ("json",))
    libraries.check_libraries()
    monkeypatch.setattr(libraries, "LIBRARIES", ("json", "no_such_library"))
    with pytest.raises(SetupError, match=r"needs no_such_library: pip install 'lorabay\[forge\]'"):
        libraries.check_libraries()
