"""Which other servers live, and whether somebody keeps the names."""

from __future__ import annotations

from lorabay.accounts.agreement.names import Front, View
from lorabay.accounts.agreement.office import NOBODY, Holder
from lorabay.cluster.fronts.neighbours import Neighbours


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def view(holder: Holder | None = None, **beats: int) -> View:
    return View(holder, {name: Front(beat, 0) for name, beat in beats.items()}, {}, {})


def holder(front: str, beat: int = 0, term: int = 1) -> Holder:
    return Holder(front, term, beat, newest=0, settled=0)


def test_others_count_until_a_lease_has_passed() -> None:
    """Also one of which nobody knows yet; oneself never."""
    clock = Clock()
    neighbours = Neighbours("me", 6.0, clock)
    neighbours.note(view(me=1, a=5, b=7))
    assert neighbours.others == {"a", "b"}
    for second in range(7):
        clock.now += 1
        neighbours.note(view(me=2, a=5 + second, b=7))
    assert neighbours.others == {"a"}


def test_a_pause_of_whoever_looks_is_nobodys_silence() -> None:
    """The database may have been away for the others as well."""
    clock = Clock()
    neighbours = Neighbours("me", 6.0, clock)
    neighbours.note(view(a=5))
    clock.now += 60
    neighbours.note(view(a=5))
    assert neighbours.others == {"a"}
    for _ in range(6):
        clock.now += 1
        neighbours.note(view(a=5))
    assert neighbours.others == set()


async def test_at_the_end_only_those_count_that_have_shown_life() -> None:
    """A killed server leaves a row, which is nobody's."""
    clock = Clock()
    neighbours = Neighbours("me", 6.0, clock)
    neighbours.note(view(a=5, b=7))
    neighbours.note(view(a=6, b=7))
    await neighbours.prove(0.0)
    assert neighbours.others == {"a"}
    neighbours.note(view(a=6, b=7))
    assert neighbours.others == {"a"}


def test_the_office_is_free_when_its_holder_has_left_or_is_silent() -> None:
    """Or was this server, before it lost the database."""
    clock = Clock()
    neighbours = Neighbours("me", 6.0, clock)
    assert neighbours.is_free(None)
    assert neighbours.is_free(holder(NOBODY))
    assert neighbours.is_free(holder("me"))
    found = holder("a", beat=9)
    neighbours.note(view(found))
    assert not neighbours.is_free(found)
    assert not neighbours.is_proved(found)
    clock.now += 6
    assert neighbours.is_free(found)
    neighbours.note(view(holder("a", beat=10)))
    assert not neighbours.is_free(found)
    assert neighbours.is_proved(found)
    # The next term's beats are others.
    neighbours.note(view(holder("b", term=2)))
    assert not neighbours.is_proved(holder("b", term=2))


def test_silent_servers_are_told_once() -> None:
    """So that their rows are removed."""
    clock = Clock()
    neighbours = Neighbours("me", 6.0, clock)
    neighbours.note(view(a=1))
    clock.now += 60
    assert neighbours.take_silent(60.0) == ["a"]
    assert neighbours.take_silent(60.0) == []
