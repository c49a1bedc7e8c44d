"""Who is alive, by beats that stand still or go on."""

from __future__ import annotations

from lorabay.cluster.fronts.beats import Beats


def test_a_server_lives_while_its_beats_go_on() -> None:
    """And for a lease behind the last one, by the clock of whoever looks."""
    beats = Beats(6.0)
    beats.note("a", 7, now=100.0)
    assert beats.is_alive("a", 105.9)
    assert not beats.is_alive("a", 106.0)
    beats.note("a", 7, now=104.0)
    assert not beats.is_alive("a", 106.0)
    beats.note("a", 8, now=106.0)
    assert beats.is_alive("a", 111.0)


def test_what_is_found_proves_no_life() -> None:
    """A row that a killed server left looks the same; the next beat proves it."""
    beats = Beats(6.0)
    beats.note("a", 7, now=0.0)
    assert not beats.has_beaten("a")
    beats.note("a", 8, now=1.0)
    assert beats.has_beaten("a")
    assert not beats.has_beaten("b")


def test_time_without_a_look_is_left_out() -> None:
    """Whoever was alive before may be so after it."""
    beats = Beats(6.0)
    beats.note("a", 7, now=100.0)
    beats.shift(50.0)
    assert beats.is_alive("a", 155.9)
    assert not beats.is_alive("a", 156.0)


def test_silent_servers_are_forgotten() -> None:
    """One that comes back is looked at as if for the first time."""
    beats = Beats(6.0)
    beats.note("a", 7, now=0.0)
    beats.note("b", 1, now=50.0)
    assert beats.silent(60.0, 60.0) == ["a"]
    beats.forget("a")
    assert beats.silent_s("a", 60.0) == 0
    assert beats.silent(60.0, 60.0) == []
