"""Servers over one store, and what each of them holds."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from lorabay.catalog.storage.holds import Holds
from lorabay.catalog.versions import Digest
from tests.failing_disk import ERRORS, FailingDisk, files_limited_to

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO, THREE = (Digest(digit * 64) for digit in "123")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("servers", "records"):
        (tmp_path / name).mkdir()
    return tmp_path


def opened(root: Path) -> Holds:
    holds = Holds(root)
    holds.open()
    return holds


def test_others_see_what_a_server_holds(root: Path) -> None:
    """Each sees the others' holds and not its own, until they close."""
    mine, other = opened(root), opened(root)
    mine.add(ONE)
    other.add(TWO)
    other.add(THREE)
    assert mine.of_others() == {TWO, THREE}
    assert other.of_others() == {ONE}
    other.close()
    other.close()
    assert mine.of_others() == set()
    mine.close()


def test_replacing_forgets_the_holds_before(root: Path) -> None:
    """A server holds exactly what it named last, and what it added since."""
    mine, other = opened(root), opened(root)
    mine.add(ONE)
    mine.replace({TWO})
    assert other.of_others() == {TWO}
    mine.add(ONE)
    assert other.of_others() == {ONE, TWO}
    mine.close()
    other.close()


def test_a_killed_server_holds_nothing(root: Path) -> None:
    """Its lock is free: its files go, and those of living servers stay."""
    mine, killed = opened(root), opened(root)
    mine.add(ONE)
    killed.add(TWO)
    assert mine.is_alive(killed.server)
    killed._own_lock.release()
    assert not mine.is_alive(killed.server)
    mine.forget_dead_servers()
    assert {path.stem for path in (root / "servers").iterdir()} == {mine.server}
    assert mine.of_others() == set()
    mine.close()


@pytest.mark.parametrize("error", ERRORS)
def test_a_disk_that_does_not_say_who_holds_what_is_an_error(root: Path, error: int) -> None:
    """It is never a store that nobody uses: that would be emptied."""
    mine, other = opened(root), opened(root)
    other.add(TWO)
    with FailingDisk(root).attached() as disk:
        disk.fail(error)
        for ask in (mine.of_others, mine.keys_in_use, mine.forget_dead_servers):
            with pytest.raises(OSError, match=os.strerror(error)):
                ask()
        with pytest.raises(OSError, match=os.strerror(error)):
            mine.is_alive(other.server)
    assert mine.of_others() == {TWO}
    mine.close()
    other.close()


def test_the_records_of_every_server_are_in_use(root: Path) -> None:
    """Those of living ones, and of killed ones until they are forgotten; a note that a full disk
    refused is written later.
    """
    mine, killed, full = opened(root), opened(root), opened(root)
    for holds, key in ((mine, "one"), (killed, "two"), (full, "three")):
        (root / "records" / key).mkdir()
        if holds is full:
            with files_limited_to(0):
                holds.use_records(key)
        else:
            holds.use_records(key)

    killed._own_lock.release()
    assert mine.keys_in_use() == {"one", "two"}
    assert full.keys_in_use() == {"one", "two", "three"}
    full.replace(set())
    mine.forget_dead_servers()
    assert mine.keys_in_use() == {"one", "three"}
    mine.close()
    full.close()


def test_a_disk_that_fails_does_not_stop_a_close(root: Path) -> None:
    """What stays is a dead server's, which others remove."""
    mine, other = opened(root), opened(root)
    mine.add(ONE)
    with FailingDisk(root).attached() as disk:
        disk.fail(errno.EIO)
        mine.close()
    other.forget_dead_servers()
    assert {path.stem for path in (root / "servers").iterdir()} == {other.server}
    other.close()


def test_a_server_that_never_was_does_not_live(root: Path) -> None:
    """A name without a lock belongs to nobody."""
    holds = opened(root)
    assert holds.is_alive(holds.server)
    assert not holds.is_alive("nobody")
    holds.close()
