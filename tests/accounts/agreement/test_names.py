"""What whoever follows sees of a cluster."""

from __future__ import annotations

from functools import partial

import pytest

from lorabay.accounts.agreement import errands, names, office
from lorabay.accounts.agreement.names import Front, View
from lorabay.accounts.agreement.office import Holder
from lorabay.accounts.database.database import Database


@pytest.fixture
def keeper(database: Database) -> Holder:
    taken = database.write(partial(office.take, cluster="c", front="a", former=None))
    assert taken is not None
    return taken


def look(database: Database, since: int = -1, *, with_errands: bool = False) -> View:
    return database.read(partial(names.look, cluster="c", since=since, with_errands=with_errands))


def test_nothing_is_there_before_the_first_server(database: Database) -> None:
    """An empty cluster has no keeper and no names."""
    assert look(database) == View(None, {}, {}, {})


def test_only_what_has_changed_is_told(database: Database, keeper: Holder) -> None:
    """In the order of the changes; what went is told as gone."""
    publish = partial(office.publish, cluster="c", holder=keeper)
    database.write(partial(publish, told={"finance": "1", "shop": "1"}, after=0))
    database.write(partial(publish, told={"finance": "2"}, after=1))
    database.write(partial(publish, told={"shop": None}, after=2))
    assert list(look(database).told.items()) == [("finance", "2"), ("shop", None)]
    assert look(database, 2).told == {"shop": None}
    assert look(database, 3).told == {}


def test_servers_show_life_and_what_they_know(database: Database) -> None:
    """Until they leave, with whatever they have asked for."""
    report = partial(names.report, cluster="c", front="b")
    database.write(partial(report, seen=3))
    database.write(partial(report, seen=4))
    assert look(database).fronts == {"b": Front(beat=1, seen=4)}
    ask = partial(errands.ask, cluster="c", front="b", errand="1", question="pin")
    database.write(ask)
    database.write(partial(names.withdraw, front="b"))
    assert look(database, with_errands=True) == View(None, {}, {}, {})
