"""Sessions: who has one, and when it ends."""

from __future__ import annotations

from lorabay.api.console.sessions import LASTS_S, MOST, Sessions
from tests.clocks import Clock


def test_a_session_brings_back_what_its_owner_came_with() -> None:
    """Until it is ended; nobody guesses one."""
    sessions = Sessions()
    name = sessions.begin("Bearer key")
    found = sessions.find(name)
    assert found is not None
    assert found["authorization"] == "Bearer key"
    assert sessions.find(name[:-1]) is None
    assert sessions.find("") is None
    sessions.end(name)
    sessions.end(name)
    assert sessions.find(name) is None


def test_a_session_ends_after_half_a_day() -> None:
    """Also when it is used all the time."""
    clock = Clock()
    sessions = Sessions(clock)
    name = sessions.begin("Bearer key")
    clock.now = LASTS_S - 1
    assert sessions.find(name)
    clock.now = LASTS_S
    assert sessions.find(name) is None


def test_sessions_are_bounded() -> None:
    """The oldest one goes first."""
    sessions = Sessions()
    names = [sessions.begin("Bearer key") for _ in range(MOST + 1)]
    assert sessions.find(names[0]) is None
    assert sessions.find(names[1])
    assert sessions.find(names[-1])
