"""The office of the one who keeps the names: one holder at a time, whoever is quicker."""

from __future__ import annotations

from functools import partial

import pytest

from lorabay.accounts.agreement import names, office
from lorabay.accounts.agreement.office import Deposed, Holder
from lorabay.accounts.database.database import Database


def take(database: Database, front: str, former: Holder | None) -> Holder | None:
    return database.write(partial(office.take, cluster="c", front=front, former=former))


def holder(database: Database) -> Holder | None:
    return database.read(partial(office.holder_of, cluster="c"))


def test_the_first_one_takes_it(database: Database) -> None:
    """Of two that find nobody, one gets it."""
    assert holder(database) is None
    taken = take(database, "a", None)
    assert taken is not None
    assert holder(database) == taken
    assert take(database, "b", None) is None
    assert database.read(partial(office.holder_of, cluster="other")) is None


def test_one_that_shows_life_is_not_replaced(database: Database) -> None:
    """Whoever wants the office must have seen its newest beat."""
    taken = take(database, "a", None)
    assert taken is not None
    database.write(partial(office.beat, cluster="c", holder=taken))
    assert take(database, "b", taken) is None
    now = holder(database)
    assert now is not None
    replaced = take(database, "b", now)
    assert replaced is not None
    assert (replaced.term, replaced.front) == (2, "b")
    assert take(database, "c", now) is None


@pytest.mark.parametrize("write", ["beat", "publish", "settle", "leave"])
def test_one_that_has_a_successor_writes_nothing(database: Database, write: str) -> None:
    """However long it was paused in between."""
    first = take(database, "a", None)
    assert first is not None
    second = take(database, "b", first)
    arguments: dict[str, dict[str, object]] = {
        "publish": {"told": {"finance": "x"}, "after": 0},
        "settle": {"number": 5},
    }
    with pytest.raises(Deposed):
        database.write(
            partial(getattr(office, write), cluster="c", holder=first, **arguments.get(write, {}))
        )
    assert holder(database) == second
    view = database.read(partial(names.look, cluster="c", since=-1, with_errands=False))
    assert view.told == {}


def test_changes_have_numbers(database: Database) -> None:
    """Each change of any name has the next one; what is settled is told apart."""
    taken = take(database, "a", None)
    assert taken is not None
    publish = partial(office.publish, cluster="c", holder=taken)
    assert database.write(partial(publish, told={"finance": "1", "shop": "1"}, after=0)) == 1
    assert database.write(partial(publish, told={"finance": None}, after=1)) == 2
    # What was given up, and comes late, changes nothing.
    with pytest.raises(Deposed):
        database.write(partial(publish, told={"finance": "late"}, after=0))
    for number in (1, 0):
        database.write(partial(office.settle, cluster="c", holder=taken, number=number))
    now = holder(database)
    assert now is not None
    assert (now.newest, now.settled) == (2, 1)


def test_an_office_that_was_left_is_free(database: Database) -> None:
    """Its successor goes on with the numbers."""
    taken = take(database, "a", None)
    assert taken is not None
    database.write(
        partial(office.publish, cluster="c", holder=taken, told={"finance": "1"}, after=0)
    )
    database.write(partial(office.leave, cluster="c", holder=taken))
    left = holder(database)
    assert left is not None
    assert left.front == office.NOBODY
    successor = take(database, "b", left)
    assert successor is not None
    assert (successor.term, successor.newest) == (2, 1)
