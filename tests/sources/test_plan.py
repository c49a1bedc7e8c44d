"""From a list to what is to be done."""

from __future__ import annotations

from lorabay.sources.interface import Offer, RemoteFile
from lorabay.sources.plan import Plan, plan


def offer(name: str, mark: str = "1") -> Offer:
    return Offer(name, {"adapter_config.json": RemoteFile(1, mark)})


MARKS = offer("any").marks


def test_what_is_new_is_fetched_and_looked_at_again() -> None:
    """An offer that nothing is known of is fetched; the next list is due when it counts."""
    new = offer("finance")
    todo = plan({"finance": new}, {}, {}, {"finance": 2.0}, {})
    assert todo == Plan((), (), (), (new,), 2.0)


def test_what_is_fetched_waits_until_it_counts() -> None:
    """It is not fetched twice, and is put in place only when its time has come."""
    new = offer("finance")
    waiting = plan({"finance": new}, {}, {"finance": MARKS}, {"finance": 0.5}, {})
    assert waiting == Plan((), (), (), (), 0.5)
    due = plan({"finance": new}, {}, {"finance": MARKS}, {"finance": 0.0}, {})
    assert due == Plan((), (), (new,), (), None)


def test_what_changed_meanwhile_is_fetched_anew() -> None:
    """What was fetched is dropped when the list shows another one."""
    newer = offer("finance", "2")
    todo = plan({"finance": newer}, {}, {"finance": MARKS}, {"finance": 0.0}, {})
    assert (todo.drop, todo.fetch, todo.place) == (("finance",), (newer,), ())
    assert todo.wait_s == 0.0


def test_what_is_mirrored_is_left_alone() -> None:
    """An unchanged offer asks for nothing, and makes no list due."""
    todo = plan({"finance": offer("finance")}, {"finance": MARKS}, {}, {"finance": 0.0}, {})
    assert todo == Plan((), (), (), (), None)


def test_what_is_gone_is_removed_in_time() -> None:
    """A missing name is waited for, then removed; what was fetched of it is dropped."""
    waiting = plan({}, {"finance": MARKS}, {}, {}, {"finance": 1.0})
    assert waiting == Plan((), (), (), (), 1.0)
    due = plan({}, {"finance": MARKS}, {"finance": MARKS}, {}, {"finance": 0.0})
    assert (due.remove, due.drop) == (("finance",), ("finance",))
