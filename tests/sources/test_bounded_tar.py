"""What a tar of a stranger may make this machine do."""

from __future__ import annotations

import io
import tarfile

import pytest

from lorabay.sources.bounded_tar import DAMAGED, READ_BYTES, open_tar

MOST = 64 << 10


class TooLarge(Exception):
    """What the caller wants to see beyond its limit."""


def made(size: int, *, comment: str = "") -> io.BytesIO:
    """A tar packed by gzip of one file of zeros."""
    info = tarfile.TarInfo("zeros")
    info.size = size
    info.pax_headers = {"comment": comment} if comment else {}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(bytes(size)))
    packed.seek(0)
    return packed


def read(packed: io.BytesIO) -> list[int]:
    """Bytes of each file in it."""
    with open_tar(packed, MOST, TooLarge, packed=True) as tar:
        return [member.size for member in tar]


def test_what_is_within_its_limit_is_read() -> None:
    """Its headers count as well."""
    assert read(made(MOST // 2)) == [MOST // 2]


def test_what_unpacks_to_more_than_its_limit() -> None:
    """The caller says what is raised; the rest is not unpacked."""
    with pytest.raises(TooLarge):
        read(made(1 << 20))


def test_a_header_that_asks_for_much_memory() -> None:
    """It is refused before it is read."""
    with pytest.raises(DAMAGED, match="a header of it is too large"):
        read(made(1, comment="x" * (READ_BYTES + 1)))
