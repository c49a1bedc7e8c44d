"""The choice: own replicas first, what binds a request inside them, and none above its bound."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lorabay.cluster.choice.choice import (
    HELD_ELSEWHERE,
    NO_ROOM_ELSEWHERE,
    Wish,
    bound,
    choose,
)
from lorabay.cluster.choice.rendezvous import ranked
from tests.cluster.choice.made import digests, replicas, view

KEY = digests(1)[0]
EIGHT = replicas(8)
LOADS = st.lists(st.integers(0, 200), min_size=1, max_size=12)


def test_a_cold_adapter_stays_where_it_is() -> None:
    """Requests of different conversations all go to its one replica."""
    even = view(dict.fromkeys(EIGHT, 10))
    chosen = {choose(Wish(KEY, f"session {n}"), 1, even, 80) for n in range(50)}
    assert chosen == {ranked(KEY, EIGHT)[0]}


def test_conversations_stay_inside_the_set() -> None:
    """Each keeps one replica of the set, and together they use all of it."""
    even = view(dict.fromkeys(EIGHT, 10))
    wishes = [Wish(KEY, f"session {n}") for n in range(100)]
    chosen = [choose(wish, 3, even, 80) for wish in wishes]
    assert set(chosen) == set(ranked(KEY, EIGHT)[:3])
    assert chosen == [choose(wish, 3, even, 80) for wish in wishes]


def test_what_nothing_binds_goes_to_the_least_loaded_of_the_set() -> None:
    own = ranked(KEY, EIGHT)[:3]
    loads = dict.fromkeys(EIGHT, 10) | {own[1]: 7}
    assert choose(Wish(KEY), 3, view(loads), 77) == own[1]


def test_a_full_replica_gives_to_one_that_has_the_weights() -> None:
    """A holder outside the set is better than a replica that must load."""
    order = ranked(KEY, EIGHT)
    loads = dict.fromkeys(EIGHT, 30) | {order[0]: 60}
    total = sum(loads.values())
    assert choose(Wish(KEY), 1, view(loads, {KEY: {order[5]}}), total) == order[5]
    assert choose(Wish(KEY), 1, view(loads), total) == order[1]


def test_weights_are_loaded_elsewhere_only_from_a_crowded_replica() -> None:
    """At 1.3 times the mean a request stays where its weights are, unless they fit in elsewhere
    without an eviction; at 1.6 times it goes.
    """
    order = ranked(KEY, EIGHT)
    held = {KEY: {order[0]}}
    loads = dict.fromkeys(EIGHT, 100) | {order[0]: 136}
    total = sum(loads.values())
    assert choose(Wish(KEY), 1, view(loads, held), total) == order[0]
    room = dict.fromkeys(EIGHT, 0) | {order[3]: 1}
    assert choose(Wish(KEY), 1, view(loads, held, room=room), total) == order[3]
    assert choose(Wish(KEY), 1, view({**loads, order[0]: 180}, held), total + 44) == order[1]


def test_a_new_adapter_goes_where_there_is_room() -> None:
    """Nobody's weights are evicted while another replica has a place to spare."""
    order = ranked(KEY, EIGHT)
    room = dict.fromkeys(EIGHT, 0) | {order[4]: 2, order[6]: 5}
    seen = view(dict.fromkeys(EIGHT, 10), room=room)
    assert choose(Wish(KEY), 1, seen, 80) == order[4]
    held = view(dict.fromkeys(EIGHT, 10), {KEY: {order[7]}}, room=room)
    assert choose(Wish(KEY), 1, held, 80) == order[7]


def test_nobody_waits_for_a_place_while_another_replica_has_an_idle_one() -> None:
    """Weights in use are not evicted: their requests would have to end first."""
    first, second = ranked(KEY, replicas(2))
    held = {KEY: {first}} | {other: {first} for other in digests(5)[1:4]}
    held |= {other: {second} for other in ("e", "f", "g", "h")}
    loads = {first: 4, second: 3}
    for wish in (Wish(KEY), Wish(KEY, "session")):
        for width in (1, 2):
            used = {first: {"a", "b", "c", "d"}, second: {"e", "f", "g"}}
            full = view(loads, held, slots=4, in_use=used)
            assert choose(wish, width, full, 7) == second
            # Its own requests there keep its place; and where all are in use, it is at home.
            used[first] = {"a", "b", "c", KEY}
            assert choose(wish, 1, full, 7) == first
            used[first], used[second] = {"a", "b", "c", "d"}, {"e", "f", "g", "h"}
            assert choose(wish, 1, full, 7) == first


def test_an_idle_cluster_keeps_adapters_together() -> None:
    """Half of a window of 64 fits beside one another, however idle the others are."""
    home, other = ranked(KEY, EIGHT)[:2]
    loads = dict.fromkeys(EIGHT, 0) | {home: 31}
    held = {KEY: {home, other}}
    assert choose(Wish(KEY), 1, view(loads, held), 31) == home
    assert choose(Wish(KEY), 1, view({**loads, home: 32}, held), 32) == other


def test_weights_are_not_loaded_twice_beside_an_idle_cluster() -> None:
    """Three quarters of the window fit beside one another where elsewhere there is room."""
    home = ranked(KEY, EIGHT)[0]
    loads = dict.fromkeys(EIGHT, 0) | {home: 47}
    held, room = {KEY: {home}}, dict.fromkeys(EIGHT, 1)
    assert choose(Wish(KEY), 1, view(loads, held, room=room), 47) == home
    assert choose(Wish(KEY), 1, view({**loads, home: 48}, held, room=room), 48) != home


def test_nobody_is_evicted_while_a_window_has_a_place() -> None:
    """Eight streams once went to one of two replicas, and adapters took turns for seconds."""
    home, other = ranked(KEY, EIGHT[:2])
    held = {KEY: {home}}
    loads = {home: 15, other: 0}
    assert choose(Wish(KEY), 1, view(loads, held, window=16), 15) == home
    assert choose(Wish(KEY), 1, view({home: 16, other: 0}, held, window=16), 16) == other


@given(
    loads=LOADS, width=st.integers(1, 12), affinity=st.none() | st.text(), window=st.integers(1, 64)
)
def test_no_replica_goes_above_its_bound(
    loads: list[int], width: int, affinity: str | None, window: int
) -> None:
    """After the choice it has at most 1.25 times the mean, rounded up, or half of its window; 1.5
    times or its window if it holds the weights.

    The same question has the same answer.
    """
    names = replicas(len(loads))
    seen = view(dict(zip(names, loads, strict=True)), {KEY: set(names[::2])}, window=window)
    total = sum(loads)
    wish = Wish(KEY, affinity)

    chosen = choose(wish, width, seen, total)
    limit = NO_ROOM_ELSEWHERE if chosen in seen.holders[KEY] else HELD_ELSEWHERE
    assert seen.loads[chosen] + 1 <= bound(total, len(loads), window, limit)
    assert chosen == choose(wish, width, seen, total)


@given(count=st.integers(1, 40), keys=st.integers(1, 30), width=st.integers(1, 3))
def test_a_cluster_that_fills_stays_even(count: int, keys: int, width: int) -> None:
    """However skewed the adapters are, no replica ever has more than 1.25 times the mean."""
    names = replicas(count)
    loads = dict.fromkeys(names, 0)
    wanted = digests(keys)
    for number in range(10 * count):
        wish = Wish(wanted[0] if number % 2 else wanted[number % keys])
        loads[choose(wish, width, view(loads, window=1), number)] += 1
    assert max(loads.values()) <= bound(10 * count - 1, count, 1)
