"""From manifests and archives to files, or to a reason."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lorabay.sources.interface import SourceError
from lorabay.sources.oci_layers import read_layers, unpack
from tests.sources.made import CONFIG, WEIGHTS

DIGEST = "sha256:" + "a" * 64


def layer(path: str | None, *, kind: str = "application/octet-stream", size: int = 5) -> Any:
    annotations = {} if path is None else {"org.cncf.model.filepath": path}
    return {"mediaType": kind, "digest": DIGEST, "size": size, "annotations": annotations}


def manifest(*layers: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "layers": layers}).encode()


def test_files_and_archives_of_an_artifact() -> None:
    """Files are known by their annotation; what is not an adapter's is left where it is."""
    layers = read_layers(
        manifest(layer("finance/" + CONFIG), layer(WEIGHTS), layer("run.py"), layer(None))
    )
    assert [one.name for one in layers] == [CONFIG, WEIGHTS]
    tar = "application/vnd.cncf.model.weight.v1.tar"
    (archive,) = read_layers(manifest(layer("model", kind=tar)))
    assert archive.is_tar


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no JSON", "not one of an OCI artifact"),
        (b"{}", "not one of an OCI artifact"),
        (b'{"manifests": []}', "index of several"),
        (manifest(layer(CONFIG)), f"there is no {WEIGHTS}"),
        (manifest(layer(CONFIG), layer("a/" + CONFIG)), "two files called"),
        (manifest(layer("../" + CONFIG)), "climbs out"),
        (manifest(layer("/etc/" + CONFIG)), "climbs out"),
        (manifest(layer(CONFIG), layer(WEIGHTS, size=5 << 30)), "the limit is"),
        (manifest(layer("x", kind="a/b.tar", size=50 << 30)), "the limit is"),
    ],
)
def test_an_artifact_that_is_refused_unread(content: bytes, said: str) -> None:
    """The manifest tells, before anything is downloaded."""
    with pytest.raises(SourceError, match=said):
        read_layers(content)


def archive(path: Path, *members: tuple[str, bytes, bytes]) -> Path:
    """A tar of (name, content, type)."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), kind, "/etc/passwd"
            tar.addfile(info, io.BytesIO(content))
    return path


def test_an_archive_is_unpacked(tmp_path: Path) -> None:
    """Only the adapter's files come out, flat."""
    into = tmp_path / "into"
    into.mkdir()
    made = archive(
        tmp_path / "a.tar",
        ("finance/" + CONFIG, b"{}", tarfile.REGTYPE),
        ("finance/" + WEIGHTS, b"w", tarfile.REGTYPE),
        ("finance/run.py", b"import os", tarfile.REGTYPE),
    )
    unpack(made, into)
    assert {path.name for path in into.iterdir()} == {CONFIG, WEIGHTS}


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (("../" + CONFIG, b"{}", tarfile.REGTYPE), "climbs out"),
        (("/etc/" + CONFIG, b"{}", tarfile.REGTYPE), "climbs out"),
        ((CONFIG, b"", tarfile.SYMTYPE), "a link or a device"),
        ((CONFIG, b"", tarfile.CHRTYPE), "a link or a device"),
        ((CONFIG, b"x" * (5 << 20), tarfile.REGTYPE), "the limit is"),
    ],
)
def test_an_archive_that_is_refused(
    tmp_path: Path, member: tuple[str, bytes, bytes], said: str
) -> None:
    """Nothing is written outside, and no link is made."""
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(SourceError, match=said):
        unpack(archive(tmp_path / "a.tar", member), into)
    assert list(into.iterdir()) == []


def test_an_archive_that_is_none(tmp_path: Path) -> None:
    """A reason, not a traceback."""
    (tmp_path / "a.tar").write_bytes(b"no tar")
    with pytest.raises(SourceError, match="archive cannot be read"):
        unpack(tmp_path / "a.tar", tmp_path)
