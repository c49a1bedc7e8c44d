"""A file that is fetched is what was promised, or an error."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lorabay.sources.interface import Changed, SourceError
from lorabay.sources.sink import Sink


def test_a_file_that_is_as_promised(tmp_path: Path) -> None:
    """Its bytes are on disk, and nothing is raised."""
    promised = hashlib.sha256(b"weights").hexdigest()
    with Sink(tmp_path / "file", 7, promised) as sink:
        sink.add(b"wei")
        sink.add(b"ghts")
        sink.check()
    assert (tmp_path / "file").read_bytes() == b"weights"


def test_more_bytes_than_were_listed_are_not_written(tmp_path: Path) -> None:
    """A server cannot fill the disk by sending on."""
    with Sink(tmp_path / "file", 7) as sink, pytest.raises(Changed):
        sink.add(b"weights and more")
    assert (tmp_path / "file").stat().st_size <= 7


def test_fewer_bytes_than_were_listed(tmp_path: Path) -> None:
    """A connection that ended half-way leaves no file that counts."""
    with Sink(tmp_path / "file", 7) as sink:
        sink.add(b"wei")
        with pytest.raises(Changed):
            sink.check()


def test_another_digest_than_was_promised(tmp_path: Path) -> None:
    """The reason names the file and both digests."""
    with Sink(tmp_path / "adapter_config.json", 2, "0" * 64) as sink:
        sink.add(b"{}")
        with pytest.raises(SourceError, match=r"adapter_config.json has the digest .* promised"):
            sink.check()
