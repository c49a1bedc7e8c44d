"""What is taken of an archive, and what makes it be refused whole."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from lorabay.errors import LorabayError
from lorabay.sources.uploads.archive import ENTRIES_AT_MOST
from lorabay.sources.uploads.unpacking import unpack
from tests.sources.made import cut_sparse_tar, deep_tar
from tests.sources.uploads.packed import (
    PACKS,
    Pack,
    adapter_files,
    as_tar_gz,
    as_zip,
    below,
    link,
    tar_of,
    zip_link,
)

LIMIT = 1 << 20


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    return adapter_files(tmp_path / "made")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def unpacked(content: bytes, into: Path, limit: int = LIMIT) -> int:
    archive = into.parent / "archive"
    archive.write_bytes(content)
    return unpack(archive, into, limit)


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("prefix", ["", "finance", "runs/finance"])
def test_an_adapter_is_found_wherever_it_lies(
    pack: Pack, prefix: str, files: dict[str, bytes], into: Path
) -> None:
    """Byte for byte; what training leaves beside it, and below it, stays in the archive."""
    beside = {"optimizer.pt": b"x", "train.py": b"x", "checkpoint-1/adapter_config.json": b"{}"}
    content = files | beside
    assert unpacked(pack(below(prefix, content) if prefix else content), into) == 3
    assert held(into) == files


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("path", ["../adapter_config.json", "/adapter_config.json", "a\\..\\b"])
def test_a_path_that_climbs_out_is_refused(
    pack: Pack, path: str, files: dict[str, bytes], into: Path
) -> None:
    """Also if everything else is an adapter."""
    with pytest.raises(LorabayError, match="climbs out") as caught:
        unpacked(pack(files | {path: b"x"}), into)
    assert caught.value.status == 400
    assert held(into) == {}


@pytest.mark.parametrize(
    "content",
    [
        tar_of(link(tarfile.SYMTYPE)),
        tar_of(link(tarfile.LNKTYPE)),
        tar_of(link(tarfile.CHRTYPE)),
        tar_of(link(tarfile.FIFOTYPE)),
        zip_link(),
    ],
)
def test_links_and_devices_are_refused(content: bytes, into: Path) -> None:
    """Whatever they lead to."""
    with pytest.raises(LorabayError, match="is a link or a device"):
        unpacked(content, into)


@pytest.mark.parametrize("pack", PACKS)
def test_too_many_files_are_refused(pack: Pack, into: Path) -> None:
    """Before any of them is unpacked."""
    many = {f"{number}": b"" for number in range(ENTRIES_AT_MOST + 1)}
    with pytest.raises(LorabayError, match="more than 10000 files"):
        unpacked(pack(many), into)


def test_a_long_list_of_files_is_not_even_read(into: Path) -> None:
    """A zip says how long its list is."""
    end = b"PK\5\6" + bytes(8) + (1 << 30).to_bytes(4, "little") + bytes(6)
    with pytest.raises(LorabayError, match="more than 10000 files"):
        unpacked(b"PK\3\4" + end, into)


@pytest.mark.parametrize("pack", [as_tar_gz, as_zip])
def test_a_bomb_is_refused(pack: Pack, files: dict[str, bytes], into: Path) -> None:
    """What it says it unpacks to is more than may be sent."""
    bomb = files | {"adapter_model.safetensors": bytes(64 * LIMIT)}
    packed = pack(bomb)
    assert len(packed) < LIMIT
    with pytest.raises(LorabayError, match=f"unpacks to more than {LIMIT}") as caught:
        unpacked(packed, into)
    assert caught.value.status == 413


def test_a_bomb_among_what_is_left_out_is_refused(files: dict[str, bytes], into: Path) -> None:
    """A packed tar has to be read past it."""
    content = {"optimizer.pt": bytes(64 * LIMIT)} | files
    with pytest.raises(LorabayError, match="unpacks to more than") as caught:
        unpacked(as_tar_gz(content), into)
    assert caught.value.status == 413


def test_a_zip_that_understates_its_size_is_refused(files: dict[str, bytes], into: Path) -> None:
    """No more is written than it says."""
    packed = bytearray(as_zip({"adapter_model.safetensors": bytes(100_000)}))
    for at in (packed.find(b"PK\3\4") + 22, packed.find(b"PK\1\2") + 24):
        packed[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(LorabayError, match=r"cannot be read|larger than|ends early"):
        unpacked(bytes(packed), into)
    assert all(len(content) <= 11 for content in held(into).values())


def test_a_huge_header_is_refused(into: Path) -> None:
    """It would be read into memory as a whole."""
    member = tarfile.TarInfo("adapter_config.json")
    member.pax_headers = {"comment": "x" * (2 << 20)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO())
    with pytest.raises(LorabayError, match="header of it is too large"):
        unpacked(packed.getvalue(), into, 64 << 20)


@pytest.mark.parametrize("pack", PACKS)
def test_several_adapters_are_refused(pack: Pack, files: dict[str, bytes], into: Path) -> None:
    """Nobody can know which is meant."""
    with pytest.raises(LorabayError, match=r"several adapters \('a', 'b'\)"):
        unpacked(pack(below("a", files) | below("b", files)), into)


@pytest.mark.parametrize("pack", PACKS)
def test_an_archive_without_an_adapter_is_refused(pack: Pack, into: Path) -> None:
    """It says which files are looked for."""
    with pytest.raises(LorabayError, match="holds no adapter"):
        unpacked(pack({"README.md": b"hello"}), into)


def test_one_name_twice_is_refused(into: Path) -> None:
    """Readers differ in which of them they see."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("adapter_config.json"), io.BytesIO())
    with pytest.raises(LorabayError, match="two files called"):
        unpacked(packed.getvalue(), into)


@pytest.mark.parametrize("pack", PACKS)
def test_a_config_over_its_limit_is_refused(pack: Pack, into: Path) -> None:
    """Each file has the limit that it has in a folder."""
    with pytest.raises(LorabayError, match="has 5242880 bytes; the limit") as caught:
        unpacked(pack({"adapter_config.json": bytes(5 << 20)}), into, 64 << 20)
    assert caught.value.status == 413


@pytest.mark.parametrize("pack", PACKS)
def test_half_an_archive_is_refused(pack: Pack, files: dict[str, bytes], into: Path) -> None:
    """At whatever byte it ends: never half of a file. The checks find a file that is missing."""
    whole = pack(files)
    for end in range(1, len(whole) - 1, max(1, len(whole) // 40)):
        for path in into.iterdir():
            path.unlink()
        try:
            unpacked(whole[:end], into)
        except LorabayError as error:
            assert error.status in (400, 413, 415)  # noqa: PT017 (each end has its own)
        else:
            assert held(into).items() <= files.items()


def test_what_is_no_archive_is_refused(into: Path) -> None:
    """With what to send instead."""
    for content in (b"", b"{}", b"7z\xbc\xaf\x27\x1c", gzip.compress(b"hello")):
        with pytest.raises(LorabayError, match=r"no archive|cannot be read|no adapter"):
            unpacked(content, into)


@pytest.mark.parametrize(
    "content",
    [deep_tar(), cut_sparse_tar(), as_zip({"x.y": b""}).replace(b"x.y", b"\0.y")],
    ids=["too deep", "cut sparse", "no name"],
)
def test_what_leads_a_library_astray_is_refused(content: bytes, into: Path) -> None:
    """Bug: it was a fault of the server's, because nobody had foreseen what is raised for it."""
    with pytest.raises(LorabayError, match="archive cannot be read") as caught:
        unpacked(content, into, 4 << 20)
    assert caught.value.status == 400


def test_a_zip_with_a_password_is_refused(files: dict[str, bytes], into: Path) -> None:
    """Nobody could type it."""
    packed = bytearray(as_zip(files))
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = packed.find(mark)
        while at >= 0:
            packed[at + flags] |= 1
            at = packed.find(mark, at + 4)
    with pytest.raises(LorabayError, match="password"):
        unpacked(bytes(packed), into)


def test_rare_ways_to_pack_are_refused(files: dict[str, bytes], into: Path) -> None:
    """Their memory grows with what the archive says."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(LorabayError, match="rare way"):
        unpacked(packed.getvalue(), into)


def test_a_plain_tar_is_bounded_by_what_was_sent(files: dict[str, bytes], into: Path) -> None:
    """A header may say any size; there is nothing behind it."""
    member = tarfile.TarInfo("adapter_config.json")
    member.size = 1 << 20
    content = tar_of(member, bytes(1 << 20))[:2048]
    with pytest.raises(LorabayError, match=r"ends early|cannot be read"):
        unpacked(content, into)
