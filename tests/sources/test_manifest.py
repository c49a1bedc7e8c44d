"""The manifest beside a pushed adapter."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lorabay.sources.interface import SourceError
from lorabay.sources.manifest import manifest_of, read_manifest
from tests.sources.made import DEEP_JSON


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    """It holds the size and the digest of each file."""
    (tmp_path / "adapter_config.json").write_bytes(b"{}")
    manifest = manifest_of(tmp_path, ("adapter_config.json",))
    assert read_manifest(manifest.text().encode()) == manifest
    file = manifest.files["adapter_config.json"]
    assert (file.size, file.sha256) == (2, hashlib.sha256(b"{}").hexdigest())


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"files": {"x": {"size": -1, "sha256": "no"}}}', b"\xff", DEEP_JSON],
)
def test_what_is_not_a_manifest_is_refused(content: bytes) -> None:
    """The reason says what to do."""
    with pytest.raises(SourceError, match="push the adapter again"):
        read_manifest(content)
