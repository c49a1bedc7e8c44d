"""What a tar of a stranger may make this machine do."""

from __future__ import annotations

import io
import tarfile

import pytest

from lorabay.errors import LorabayError
from lorabay.sources.bounded_tar import READ_BYTES, BoundedTar
from lorabay.sources.damaged import Damaged
from tests.sources.made import cut_sparse_tar, deep_tar

MOST = 64 << 10


class TooLarge(LorabayError):
    """What the caller wants to see beyond its limit."""

    def __init__(self) -> None:
        super().__init__("too large")


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


def read(file: io.BytesIO, most: int = MOST, *, packed: bool = True) -> list[int]:
    """Bytes of each file in it."""
    return [member.size for member in BoundedTar(file, most, TooLarge, packed=packed)]


def test_what_is_within_its_limit_is_read() -> None:
    """Its headers count as well."""
    assert read(made(MOST // 2)) == [MOST // 2]


def test_what_unpacks_to_more_than_its_limit() -> None:
    """The caller says what is raised; the rest is not unpacked."""
    with pytest.raises(TooLarge):
        read(made(1 << 20))


def test_a_header_that_asks_for_much_memory() -> None:
    """It is refused before it is read."""
    with pytest.raises(Damaged, match="a header of it is too large"):
        read(made(1, comment="x" * (READ_BYTES + 1)))


@pytest.mark.parametrize("content", [deep_tar(), cut_sparse_tar()], ids=["deep", "cut sparse"])
def test_bytes_that_lead_the_library_astray(content: bytes) -> None:
    """Bug: what it raises for them was none of those that were foreseen."""
    with pytest.raises(Damaged):
        read(io.BytesIO(content), 4 << 20, packed=False)
