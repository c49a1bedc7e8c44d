"""Which failures are the fault of foreign bytes."""

from __future__ import annotations

import errno
import gzip

import pytest

from lorabay.errors import SetupError
from lorabay.sources.damaged import Damaged, parsing


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no header"),
        IndexError("list index out of range"),
        RecursionError(),
        gzip.BadGzipFile("not gzipped"),
        OSError(errno.EINVAL, "Invalid argument"),
    ],
)
def test_what_a_library_raises(error: Exception) -> None:
    """All of it is one failure, which says something."""
    with pytest.raises(Damaged, match=r"\w"), parsing():
        raise error


@pytest.mark.parametrize(
    "error", [SetupError("too large"), OSError(errno.ENOSPC, "full"), MemoryError(), Damaged("x")]
)
def test_what_is_not_the_fault_of_the_bytes(error: Exception) -> None:
    """It stays what it is."""
    with pytest.raises(type(error)) as raised, parsing():
        raise error
    assert raised.value is error
