"""Counters of changes."""

from __future__ import annotations

import threading

import pytest

from lorabay.accounts.database.changes import count_change, newest_change
from lorabay.accounts.database.database import Database


def test_changes_are_numbered(database: Database) -> None:
    """One after the other, and the newest can be read."""
    assert database.read(lambda connection: newest_change(connection, "keys")) == 0
    numbers = [database.write(lambda connection: count_change(connection, "keys")) for _ in "abc"]
    assert numbers == [1, 2, 3]
    assert database.read(lambda connection: newest_change(connection, "keys")) == 3


def test_what_fails_is_not_counted(database: Database) -> None:
    """The number goes to the next change."""

    def fail(connection: object) -> None:
        count_change(connection, "keys")  # type: ignore[arg-type]
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        database.write(fail)
    assert database.write(lambda connection: count_change(connection, "keys")) == 1


def test_changes_become_visible_in_the_order_of_their_numbers(database: Database) -> None:
    """A second change waits for the first one's transaction to end."""
    counted, go_on = threading.Event(), threading.Event()
    numbers: list[int] = []

    def slow(connection: object) -> None:
        numbers.append(count_change(connection, "keys"))  # type: ignore[arg-type]
        counted.set()
        go_on.wait(60)

    first = threading.Thread(target=lambda: database.write(slow))
    first.start()
    assert counted.wait(60)
    second = threading.Thread(
        target=lambda: numbers.append(
            database.write(lambda connection: count_change(connection, "keys"))
        )
    )
    second.start()
    assert database.read(lambda connection: newest_change(connection, "keys")) == 0
    go_on.set()
    first.join()
    second.join()
    assert numbers == [1, 2]
