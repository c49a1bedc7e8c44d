"""What is in a journal comes into the database, once, over kills and outages of either side."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lorabay.accounts.usage.importer import Importer
from lorabay.accounts.usage.journal import Journal, Watch
from lorabay.accounts.usage.records import UsageRecord, new_id, to_line
from lorabay.files.append_log import LogWriter, encode
from tests.accounts.usage.made import a_record
from tests.accounts.usage.stores import FakeStore
from tests.examples import histories
from tests.nobody import as_nobody

PATIENCE_S = 20.0


def nothing() -> None:
    """Wait for nothing."""


class Usage:
    """A journal and its importer, as a server has them."""

    def __init__(self, journals: Path, store: FakeStore, watch: Watch | None = None) -> None:
        self.importer = Importer(
            journals, store, watch=watch, gather=nothing, pause=store.wait_until_up
        )
        self.journal = Journal(journals, self.importer.wake, gather=nothing)
        self.importer.follow(self.journal)

    def add(self, *records: UsageRecord) -> None:
        """Commit records to the journal."""
        for record in records:
            self.journal.add(record)
        assert self.journal.flush(PATIENCE_S)

    def kill(self) -> None:
        """End as a process does: nothing of it goes on, and its journal is free."""
        self.importer._own = None
        self.importer._writer.flush(PATIENCE_S)
        self.journal._log.close()
        os.close(self.journal._claim)


def test_records_come_into_the_database_in_their_order(tmp_path: Path) -> None:
    """And the importer counts them."""
    store = FakeStore()
    usage = Usage(tmp_path, store)
    wanted = [a_record() for _ in range(5)]
    usage.add(*wanted)
    assert usage.importer.flush(PATIENCE_S)
    assert list(store.records.values()) == wanted
    assert (usage.importer.inserted, usage.importer.own_read) == (5, 5)


def test_an_outage_of_the_database_costs_nothing_but_time(tmp_path: Path) -> None:
    """The journal goes on meanwhile."""
    failed: Counter[str] = Counter()
    store = FakeStore()
    store.up.clear()
    usage = Usage(tmp_path, store, Watch(failed=lambda where: failed.update([where])))
    usage.add(a_record())
    assert not usage.importer.flush(0.05)
    usage.add(a_record())
    store.up.set()
    assert usage.importer.flush(PATIENCE_S)
    assert len(store.records) == 2
    assert failed["database"] >= 1


def test_files_are_deleted_once_they_are_in_the_database(tmp_path: Path) -> None:
    """But for the one that is being written."""
    store = FakeStore()
    usage = Usage(tmp_path, store)
    usage.journal._log._file_bytes = 1
    for _ in range(4):
        usage.add(a_record())
        assert usage.importer.flush(PATIENCE_S)
    assert len(list(usage.journal.folder.iterdir())) <= 2


def test_the_journal_of_a_killed_server_is_taken_up(tmp_path: Path) -> None:
    """With a torn last line, which is counted, and deleted when it is done."""
    noted: Counter[str] = Counter()
    folder = tmp_path / new_id()
    folder.mkdir()
    log = LogWriter(folder)
    whole, torn = a_record(), a_record()
    log.append([to_line(whole)])
    log.close()
    with next(folder.iterdir()).open("ab") as file:
        file.write(encode(to_line(torn))[:-9])

    store = FakeStore()
    watch = Watch(records=lambda outcome, count: noted.update({outcome: count}))
    usage = Usage(tmp_path, store, watch)
    assert usage.importer.flush(PATIENCE_S)
    assert list(store.records.values()) == [whole]
    assert noted == {"inserted": 1, "damaged": 1}
    assert not folder.exists()


def test_lines_that_are_no_records_hold_up_nothing(tmp_path: Path) -> None:
    """They are counted as damaged."""
    folder = tmp_path / new_id()
    folder.mkdir()
    record = a_record()
    LogWriter(folder).append([b"{}", to_line(record), b"what"])
    store = FakeStore()
    usage = Usage(tmp_path, store)
    assert usage.importer.flush(PATIENCE_S)
    assert list(store.records.values()) == [record]


def test_what_is_no_journal_holds_up_nothing(tmp_path: Path) -> None:
    """Bug: beside the `lost+found` of a disk, no usage ever came into the database."""
    disk, store, record = tmp_path / "disk", FakeStore(), a_record()
    foreign = (disk / "lost+found", disk / new_id())
    for folder in foreign:
        folder.mkdir(parents=True, mode=0o000)
    with as_nobody(disk):
        usage = Usage(disk, store)
        usage.add(record)
        assert usage.importer.flush(PATIENCE_S)
    assert list(store.records.values()) == [record]
    assert all(folder.is_dir() for folder in foreign)


def test_a_journal_that_cannot_be_deleted_holds_up_nothing(tmp_path: Path) -> None:
    """Bug: a foreign file in the journal of a former server kept all usage from the database."""
    folder = tmp_path / new_id()
    folder.mkdir()
    (folder / "notes.txt").touch()
    former, record, store = a_record(), a_record(), FakeStore()
    LogWriter(folder).append([to_line(former)])
    usage = Usage(tmp_path, store)
    usage.add(record)
    assert usage.importer.flush(PATIENCE_S)
    assert list(store.records.values()) == [former, record]


class Histories(RuleBasedStateMachine):
    """Servers over one database that are killed, with garbage at the end of their journals."""

    @initialize()
    def begin(self) -> None:
        """Start the first server."""
        self.place = TemporaryDirectory()
        self.journals = Path(self.place.name)
        self.store = FakeStore()
        self.committed: dict[str, UsageRecord] = {}
        self.start()

    def start(self) -> None:
        """Start a server."""
        self.usage = Usage(self.journals, self.store)

    @rule(count=st.integers(1, 4))
    def commit(self, count: int) -> None:
        """Some exchanges end, and the disk has them."""
        some = [a_record() for _ in range(count)]
        self.usage.add(*some)
        self.committed |= {record.id: record for record in some}

    @rule()
    def turn_database(self) -> None:
        """The database goes, or comes back."""
        if self.store.up.is_set():
            self.store.up.clear()
        else:
            self.store.up.set()

    @rule()
    def lose_an_answer(self) -> None:
        """The next transaction is committed, and nobody hears of it."""
        self.store.forgets = True

    @rule()
    def rotate(self) -> None:
        """The journal begins a new file with its next commit."""
        self.usage.journal._log._file_bytes = 1

    @rule(torn=st.integers(0, 300))
    def kill(self, torn: int) -> None:
        """The server is killed while it writes, and another one starts."""
        was_up = self.store.up.is_set()
        self.store.up.set()
        self.usage.kill()
        files = sorted(self.usage.journal.folder.glob("*.log"))
        if files:
            with files[-1].open("ab") as file:
                file.write(encode(to_line(a_record()))[:torn].rstrip(b"\n"))
        if not was_up:
            self.store.up.clear()
        self.start()

    @invariant()
    def nothing_comes_from_nowhere(self) -> None:
        """The database has what was committed, or a part of it."""
        if hasattr(self, "committed"):
            assert self.store.records.keys() <= self.committed.keys()

    def teardown(self) -> None:
        """In the end all that was committed is in the database, as it was."""
        if not hasattr(self, "committed"):
            return
        self.store.up.set()
        assert self.usage.importer.flush(PATIENCE_S)
        assert self.store.records == self.committed
        self.usage.kill()
        self.place.cleanup()


TestHistories = Histories.TestCase
TestHistories.settings = histories(20, steps=15)
