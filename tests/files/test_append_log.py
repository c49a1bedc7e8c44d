"""A log of lines: what was committed is read, once and in its order, whatever a kill leaves."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.files import append_log
from lorabay.files.append_log import (
    CHECKSUM,
    START,
    LogReader,
    LogWriter,
    Place,
    claim,
    decode,
    encode,
)
from tests.examples import BESIDE_FIXTURES, examples
from tests.failing_disk import FailingDisk

LINES = st.lists(
    st.binary(max_size=40).filter(lambda line: b"\n" not in line), min_size=1, max_size=6
)


def read_all(folder: Path, until: Place | None = None) -> tuple[list[bytes], int]:
    """Return every line, and how many were torn or damaged."""
    reader, place = LogReader(folder), START
    lines: list[bytes] = []
    damaged = 0
    while (found := reader.read(place, until, count=3)).end != place:
        lines += found.lines
        damaged += found.damaged
        place = found.end
    return lines, damaged


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(commits=st.lists(LINES, max_size=5), file_bytes=st.integers(1, 200))
@settings(max_examples=examples(60), suppress_health_check=BESIDE_FIXTURES)
def test_what_was_committed_is_read_in_its_order(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[bytes]], file_bytes: int
) -> None:
    """However often a new file begins."""
    folder = tmp_path_factory.mktemp("log")
    log = LogWriter(folder, file_bytes=file_bytes)
    for lines in commits:
        log.append(lines)
    written = [line for lines in commits for line in lines]
    assert read_all(folder, log.end) == (written, 0)
    log.close()
    assert read_all(folder) == (written, 0)


@given(commits=st.lists(LINES, min_size=1, max_size=4), data=st.data())
@settings(max_examples=examples(100), suppress_health_check=BESIDE_FIXTURES)
def test_a_kill_at_any_byte_costs_the_torn_line_alone(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[bytes]], data: st.DataObject
) -> None:
    """The file ends anywhere; each line that is whole is read, and the next writer goes on."""
    folder = tmp_path_factory.mktemp("log")
    log = LogWriter(folder)
    for lines in commits:
        log.append(lines)
    log.close()

    [path] = folder.iterdir()
    cut = data.draw(st.integers(0, path.stat().st_size))
    os.truncate(path, cut)
    written = [line for lines in commits for line in lines]
    whole, end = [], 0
    for line in written:
        end += len(encode(line))
        if end <= cut:
            whole.append(line)
    kept = sum(len(encode(line)) for line in whole)
    assert read_all(folder) == (whole, int(cut > kept))

    successor = LogWriter(folder)
    successor.append([b"next"])
    assert read_all(folder, successor.end) == ([*whole, b"next"], int(cut > kept))


@given(line=st.binary(max_size=30).filter(lambda line: b"\n" not in line), data=st.data())
def test_a_line_with_any_byte_changed_is_none(line: bytes, data: st.DataObject) -> None:
    """Also one in its checksum."""
    piece = encode(line)[:-1]
    place = data.draw(st.integers(0, len(piece) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != piece[place]))
    assert decode(piece) == line
    assert decode(piece[:place] + bytes([other]) + piece[place + 1 :]) is None


@given(piece=st.binary(max_size=3 * CHECKSUM))
def test_what_is_no_line_reads_as_none(piece: bytes) -> None:
    """Zeros, which a power cut leaves at the end of a file, are no lines either."""
    assert decode(piece) is None
    assert decode(bytes(len(piece))) is None


def test_a_damaged_line_does_not_hide_the_others(tmp_path: Path) -> None:
    """It is counted once."""
    log = LogWriter(tmp_path)
    log.append([b"a", b"b", b"c"])
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(b" b\n", b" x\n"))
    assert read_all(tmp_path, log.end) == ([b"a", b"c"], 1)


def test_lines_beyond_the_committed_end_are_not_read(tmp_path: Path) -> None:
    """They may still be written."""
    log = LogWriter(tmp_path)
    log.append([b"a"])
    end = log.end
    log.append([b"b"])
    assert read_all(tmp_path, end) == ([b"a"], 0)


def test_a_line_longer_than_a_block_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies before and behind it."""
    monkeypatch.setattr(append_log, "READ_BYTES", 16)
    log = LogWriter(tmp_path)
    lines = [b"a", b"b" * 100, b"c"]
    log.append(lines)
    assert read_all(tmp_path, log.end) == (lines, 0)


def test_files_that_are_done_with_are_deleted(tmp_path: Path) -> None:
    """Those before a place, and in the end all with their folder."""
    folder = tmp_path / "log"
    folder.mkdir()
    log = LogWriter(folder, file_bytes=1)
    for line in (b"a", b"b", b"c"):
        log.append([line])
    reader = LogReader(folder)
    place = reader.read(START, log.end, count=2).end
    place = reader.read(place, log.end, count=2).end
    reader.delete_before(place)
    assert files(folder) == ["00000002.log", "00000003.log"]
    log.close()
    reader.delete_all()
    assert not folder.exists()


@pytest.mark.parametrize("number", range(4))
def test_a_disk_that_fails_once_loses_nothing(tmp_path: Path, number: int) -> None:
    """What was refused is written again, into a file of its own, and may be there twice."""
    log = LogWriter(tmp_path)
    log.append([b"a"])
    with FailingDisk(tmp_path).attached() as disk:
        disk.fail_once(errno.EIO, number)
        for line in (b"b", b"c"):
            try:
                log.append([line])
            except OSError:
                log.append([line])
    lines, _ = read_all(tmp_path, log.end)
    assert list(dict.fromkeys(lines)) == [b"a", b"b", b"c"]


def test_a_disk_that_stays_full_gets_no_heap_of_files(tmp_path: Path) -> None:
    """A file without a line is deleted."""
    log = LogWriter(tmp_path)
    with FailingDisk(tmp_path).attached() as disk:
        for _ in range(5):
            disk.fail(errno.ENOSPC, where=".log", first=1, every=2)
            with pytest.raises(OSError, match="No space"):
                log.append([b"a"])
    assert files(tmp_path) == []


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    """Its end frees it, as the end of its process does."""
    first = claim(tmp_path)
    assert first is not None
    assert claim(tmp_path) is None
    os.close(first)
    second = claim(tmp_path)
    assert second is not None
    os.close(second)
