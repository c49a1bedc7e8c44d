"""From manifests and archives to files, or to a reason."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorabay.sources.bounded_tar import READ_BYTES
from lorabay.sources.interface import SourceError
from lorabay.sources.oci_layers import read_layers, unpack
from tests.sources.made import CONFIG, DEEP_JSON, WEIGHTS, cut_sparse_tar, deep_tar

DIGEST = "sha256:" + "a" * 64


def layer(path: str | None, *, kind: str = "application/octet-stream", size: int = 5) -> Any:
    annotations = {} if path is None else {"org.cncf.model.filepath": path}
    return {"mediaType": kind, "digest": DIGEST, "size": size, "annotations": annotations}


def manifest(*layers: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "layers": layers}).encode()


def test_files_and_archives_of_an_artifact() -> None:
    """Files are known by their annotation; what is not an adapter's is left where it is."""
    others = (layer("run.py"), layer("layer 1"), layer(None))
    layers = read_layers(manifest(layer("finance/" + CONFIG), layer(WEIGHTS), *others))
    assert [one.name for one in layers] == [CONFIG, WEIGHTS]
    tar = "application/vnd.cncf.model.weight.v1.tar"
    (archive,) = read_layers(manifest(layer("model", kind=tar)))
    assert archive.is_tar


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no JSON", "not one of an OCI artifact"),
        (b"{}", "not one of an OCI artifact"),
        (DEEP_JSON, "not one of an OCI artifact"),
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


def damaged_in_the_middle(packed: bytes) -> bytes:
    """The same, but for a few bytes."""
    half = len(packed) // 2
    return packed[:half] + b"\xff" * 64 + packed[half + 64 :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: b"no tar",
        damaged_in_the_middle,
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:2] + b"\xff" + packed[3:],
        lambda packed: deep_tar(),
        lambda packed: cut_sparse_tar(),
    ],
    ids=["no tar", "damaged", "cut off", "no gzip", "too deep", "cut sparse"],
)
def test_an_archive_that_is_none(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    """Bug: what gzip raises was taken for a bug, or for a fault of this machine's disk."""
    content = " ".join(str(number) for number in range(100_000)).encode()
    made = archive(tmp_path / "a.tar", (WEIGHTS, content, tarfile.REGTYPE))
    made.write_bytes(spoil(made.read_bytes()))
    (tmp_path / "into").mkdir()
    with pytest.raises(SourceError, match="archive cannot be read") as refused:
        unpack(made, tmp_path / "into")
    assert refused.value.lasting


def test_a_header_that_asks_for_much_memory(tmp_path: Path) -> None:
    """Bug: a few bytes of gzip unpacked to a header of any size, which was read at once."""
    into = tmp_path / "into"
    into.mkdir()
    info = tarfile.TarInfo(CONFIG)
    info.pax_headers = {"comment": "x" * (READ_BYTES + 1)}
    with tarfile.open(tmp_path / "a.tar", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
    with pytest.raises(SourceError, match="a header of it is too large"):
        unpack(tmp_path / "a.tar", into)


def test_a_plain_archive_is_unpacked(tmp_path: Path) -> None:
    """Whatever its type says: the bytes tell."""
    into = tmp_path / "into"
    into.mkdir()
    with tarfile.open(tmp_path / "a.tar", "w:") as tar:
        info = tarfile.TarInfo(CONFIG)
        info.size = 2
        tar.addfile(info, io.BytesIO(b"{}"))
    unpack(tmp_path / "a.tar", into)
    assert (into / CONFIG).read_bytes() == b"{}"
