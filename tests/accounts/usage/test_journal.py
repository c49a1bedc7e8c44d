"""The journal takes usage at once, and has it on disk a moment later, whatever the disk does."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from lorabay.accounts.usage.journal import Journal, Watch, left_behind
from lorabay.accounts.usage.records import UsageRecord, from_line
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.append_log import START, LogReader, claim
from tests.accounts.usage.made import a_record
from tests.failing_disk import FailingDisk

PATIENCE_S = 20.0


def nothing() -> None:
    """Wait for nothing."""


def on_disk(journal: Journal) -> list[UsageRecord | None]:
    """Return every record that is committed."""
    found = LogReader(journal.folder).read(START, journal.end, count=10_000)
    return [from_line(line) for line in found.lines]


def die(journal: Journal) -> None:
    """Free the journal, as the end of its process does."""
    os.close(journal._claim)


def test_a_record_is_on_disk_once_it_is_committed(tmp_path: Path) -> None:
    """And whoever waits for commits hears of it."""
    heard = threading.Event()
    journal = Journal(tmp_path / "journals", heard.set, gather=nothing)
    record = a_record()
    journal.add(record)
    assert heard.wait(PATIENCE_S)
    assert on_disk(journal) == [record]
    assert journal.flush(PATIENCE_S)
    assert journal.waiting == 0


def test_records_that_gather_wait_for_the_disk_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred requests that end together cost one wait."""
    commits: list[int] = []
    append = durable.append

    def count(descriptor: int, data: bytes) -> None:
        commits.append(data.count(b"\n"))
        append(descriptor, data)

    monkeypatch.setattr(durable, "append", count)
    full = threading.Event()
    journal = Journal(tmp_path, gather=lambda: full.wait(PATIENCE_S) and None)
    for _ in range(100):
        journal.add(a_record())
    full.set()
    assert journal.flush(PATIENCE_S)
    assert sum(commits) == 100
    assert len(commits) == 1


def test_what_a_full_disk_refuses_is_written_later(tmp_path: Path) -> None:
    """In its order, and once; each failure is told."""
    failed: Counter[str] = Counter()
    freed = threading.Event()
    journal = Journal(
        tmp_path,
        watch=Watch(failed=lambda where: failed.update([where])),
        gather=nothing,
        pause=lambda: freed.wait(PATIENCE_S) and None,
    )
    wanted = [a_record() for _ in range(3)]
    with FailingDisk(tmp_path).attached() as disk:
        disk.fail(errno.ENOSPC, where=".log")
        for record in wanted:
            journal.add(record)
        assert not journal.flush(0.05)
        assert journal.waiting == 3
        disk.heal()
        freed.set()
        assert journal.flush(PATIENCE_S)
    assert on_disk(journal) == wanted
    assert failed["journal"] >= 1


def test_memory_is_bounded_while_the_disk_refuses(tmp_path: Path) -> None:
    """What is beyond the bound is lost, and counted."""
    lost: Counter[str] = Counter()
    freed = threading.Event()
    journal = Journal(
        tmp_path,
        watch=Watch(records=lambda outcome, count: lost.update({outcome: count})),
        gather=lambda: freed.wait(PATIENCE_S) and None,
        waiting=2,
    )
    wanted = [a_record() for _ in range(5)]
    for record in wanted:
        journal.add(record)
    assert (journal.waiting, journal.lost, lost["lost"]) == (2, 3, 3)
    freed.set()
    assert journal.flush(PATIENCE_S)
    assert on_disk(journal) == wanted[:2]


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_folder_that_another_server_takes_up_at_once_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_deleted: bool
) -> None:
    """Bug: two servers that started together could take the new journal of one for a dead one's."""
    taken: list[Path] = []

    def taking(folder: Path) -> int | None:
        if taken:
            return claim(folder)
        taken.append(folder)
        if not is_deleted:
            return None
        claimed = claim(folder)
        folder.rmdir()
        return claimed

    monkeypatch.setattr("lorabay.accounts.usage.journal.claim", taking)
    journal = Journal(tmp_path, gather=nothing)
    assert journal.folder != taken[0]
    record = a_record()
    journal.add(record)
    assert journal.flush(PATIENCE_S)
    assert on_disk(journal) == [record]


def test_only_journals_of_ended_servers_are_left_behind(tmp_path: Path) -> None:
    """Neither one that runs, nor a file that is none."""
    (tmp_path / "note").write_text("x")
    running, ended = Journal(tmp_path, gather=nothing), Journal(tmp_path, gather=nothing)
    ended.add(a_record())
    assert ended.flush(PATIENCE_S)
    assert list(left_behind(tmp_path)) == []

    die(ended)
    [(reader, claim)] = left_behind(tmp_path)
    assert len(reader.read(START).lines) == 1
    os.close(claim)
    assert running.folder.exists()


def test_a_folder_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    """With one line that says what to do."""
    (tmp_path / "journals").write_text("a file")
    with pytest.raises(SetupError, match="--usage-journal"):
        Journal(tmp_path / "journals")


def test_a_journal_that_is_not_needed_any_more_leaves_nothing(tmp_path: Path) -> None:
    """Neither its files nor its folder."""
    journal = Journal(tmp_path, gather=nothing)
    journal.add(a_record())
    assert journal.flush(PATIENCE_S)
    journal.delete()
    assert list(tmp_path.iterdir()) == []
