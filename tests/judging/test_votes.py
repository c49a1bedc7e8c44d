"""Votes on disk: what stands after a kill, a change of mind, a full disk and a second server."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.files.append_log import LogWriter
from lorabay.judging.votes import Choice, VoteBook, read_votes


def full_disk(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def book(tmp_path: Path) -> Iterator[VoteBook]:
    book = VoteBook(tmp_path)
    yield book
    book.close()


def test_votes_are_read_back_as_they_stand(tmp_path: Path, book: VoteBook) -> None:
    """Also while the book is open: a report may be made at any time."""
    book.cast("anna", 0, Choice.LEFT)
    book.cast("ben", 0, Choice.TIE)
    book.cast("anna", 1, Choice.RIGHT)
    assert read_votes(tmp_path) == {
        "anna": {0: Choice.LEFT, 1: Choice.RIGHT},
        "ben": {0: Choice.TIE},
    }


def test_the_newest_vote_is_taken_back_first(tmp_path: Path, book: VoteBook) -> None:
    """Again and again, each judge's own, until there is none."""
    for place in (0, 1):
        book.cast("anna", place, Choice.LEFT)
    book.cast("ben", 0, Choice.RIGHT)

    assert book.take_back("anna") == 1
    book.cast("anna", 1, Choice.TIE)
    assert [book.take_back("anna") for _ in range(3)] == [1, 0, None]
    assert book.of("anna") == {}
    assert read_votes(tmp_path) == {"anna": {}, "ben": {0: Choice.RIGHT}}


def test_a_torn_line_is_no_vote(tmp_path: Path) -> None:
    """What was whole before and after it counts."""
    book = VoteBook(tmp_path)
    book.cast("anna", 0, Choice.LEFT)
    book.cast("anna", 1, Choice.LEFT)
    book.close()
    [log] = tmp_path.glob("*.log")
    log.write_bytes(log.read_bytes()[:-4])

    book = VoteBook(tmp_path)
    assert book.of("anna") == {0: Choice.LEFT}
    book.cast("anna", 1, Choice.RIGHT)
    book.close()
    assert read_votes(tmp_path) == {"anna": {0: Choice.LEFT, 1: Choice.RIGHT}}


def test_a_vote_that_the_disk_refuses_does_not_count(
    book: VoteBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next one does."""
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            book.cast("anna", 0, Choice.LEFT)
    assert book.of("anna") == {}
    book.cast("anna", 0, Choice.RIGHT)
    assert book.of("anna") == {0: Choice.RIGHT}


def test_one_process_keeps_the_votes(tmp_path: Path, book: VoteBook) -> None:
    """A second server over one folder would count apart."""
    with pytest.raises(SetupError, match="another `lorabay judge serve`"):
        VoteBook(tmp_path)
    book.close()
    VoteBook(tmp_path).close()


def test_a_folder_that_holds_other_lines_is_refused(tmp_path: Path) -> None:
    """In one line, as one that is not there."""
    with pytest.raises(SetupError, match="cannot keep votes in"):
        VoteBook(tmp_path / "nowhere")
    writer = LogWriter(tmp_path)
    writer.append([json.dumps(["anna", 0, "best", "now"]).encode()])
    writer.close()
    with pytest.raises(SetupError, match="cannot read the votes"):
        read_votes(tmp_path)
