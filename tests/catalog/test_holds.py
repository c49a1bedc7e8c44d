"""Servers over one store, and what each of them holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorabay.catalog.holds import Holds
from lorabay.catalog.versions import Digest

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


def test_a_server_that_never_was_does_not_live(root: Path) -> None:
    """A name without a lock belongs to nobody."""
    holds = opened(root)
    assert holds.is_alive(holds.server)
    assert not holds.is_alive("nobody")
    holds.close()
