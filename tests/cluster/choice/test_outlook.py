"""What a router knows of replicas: what they told, and what it has sent there since."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.choice.outlook import REMEMBERED_S, SILENT_S, Outlook
from lorabay.cluster.choice.rendezvous import ReplicaId
from tests.cluster.choice.made import digests

HOT, COLD = digests(2)
A, B = ReplicaId("a"), ReplicaId("b")
HERE = "here"


def stats(
    *held: str, places: int = 4, window: int = 8, told: int = 0, **fronts: int
) -> dict[str, Any]:
    """What a replica tells of itself, and how much each front has there."""
    return {
        "held": list(held),
        "places": places,
        "window": window,
        "told": told,
        "fronts": fronts,
    }


def test_the_view_is_what_replicas_told() -> None:
    outlook = Outlook()
    outlook.hear({B: stats(HOT, COLD, window=6), A: stats(HOT, places=3, other=2)}, HERE, 0.0)

    view = outlook.view(0.0)

    assert view.replicas == (A, B)
    assert view.loads == {A: 2, B: 0}
    assert view.holders == {HOT: {A, B}, COLD: {B}}
    assert view.room == {A: 2, B: 2}
    assert (view.slots, view.window) == (3, 6)


def test_replicas_that_have_told_nothing_yet_have_room() -> None:
    """Else each adapter would be loaded by all of them in the first second."""
    outlook = Outlook()
    outlook.hear({A: {}, B: {}}, HERE, 0.0)
    view = outlook.view(0.0)
    assert min(view.room.values()) > 1
    assert view.window > 1

    outlook.hear({A: {}, B: stats(HOT, places=3, window=6)}, HERE, 1.0)
    view = outlook.view(1.0)
    assert view.room == {A: 3, B: 2}
    assert (view.slots, view.window) == (3, 6)


def test_adapters_that_evict_one_another_move_to_where_there_is_room() -> None:
    """Two were sent to a replica with one place; it tells which one it has."""
    outlook = Outlook()
    outlook.hear({A: {}, B: {}}, HERE, 0.0)
    for key in (HOT, COLD):
        outlook.sent(key, Wish(key), A, 0.0)
    outlook.hear({A: stats(HOT, places=1), B: stats(places=1)}, HERE, 1.0)
    view = outlook.view(1.0)
    assert view.holders.get(COLD, set()) == set()
    assert view.room == {A: 0, B: 1}

    outlook.hear({A: stats(HOT, places=1), B: stats("other", places=1)}, HERE, 1.0)
    assert outlook.view(1.0).holders[COLD] == {A}


def test_a_request_counts_from_its_choice_to_its_end() -> None:
    outlook = Outlook()
    outlook.hear({A: stats(), B: stats()}, HERE, 0.0)
    outlook.sent("r", Wish(COLD), A, 0.0)
    assert outlook.view(0.0).loads == {A: 1, B: 0}
    assert outlook.view(0.0).running == {COLD: 1}
    assert outlook.view(0.0).in_use == {A: {COLD}}

    outlook.arrived("r", Wish(COLD), B)
    assert outlook.view(0.0).loads == {A: 0, B: 1}
    assert outlook.view(0.0).in_use == {B: {COLD}}

    outlook.ended("r", B, 0.0)
    assert outlook.view(0.0).loads == {A: 0, B: 0}
    assert not outlook.view(0.0).running
    assert not outlook.view(0.0).in_use


def test_a_short_request_that_ends_before_it_arrives_is_not_counted_for_ever() -> None:
    """In this order Ray tells it."""
    outlook = Outlook()
    outlook.hear({A: stats()}, HERE, 0.0)
    outlook.sent("r", Wish(COLD), A, 0.0)
    outlook.ended("r", A, 0.0)
    outlook.arrived("r", Wish(COLD), A)
    assert outlook.view(0.0).loads == {A: 0}


def test_the_end_of_a_refused_request_does_not_count_for_the_next_replica() -> None:
    """It is told when the request has already been sent on."""
    outlook = Outlook()
    outlook.hear({A: stats(), B: stats()}, HERE, 0.0)
    outlook.sent("r", Wish(COLD), A, 0.0)
    outlook.sent("r", Wish(COLD), B, 0.0)
    outlook.arrived("r", Wish(COLD), B)
    outlook.ended("r", A, 0.0)
    assert outlook.view(0.0).loads == {A: 0, B: 1}
    assert outlook.knows("r")


def test_a_refused_request_is_known_also_when_its_end_was_told() -> None:
    """It is no more traffic when it is sent again."""
    outlook = Outlook()
    outlook.hear({A: stats(), B: stats()}, HERE, 0.0)
    assert not outlook.knows("r")
    outlook.sent("r", Wish(COLD), A, 0.0)
    outlook.ended("r", A, 0.0)
    assert outlook.knows("r")


def test_a_silent_replica_is_seen_only_where_all_are_silent() -> None:
    """One that hangs or is cut off; the cluster needs a while to give it up."""
    outlook = Outlook()
    outlook.hear({A: stats(told=1), B: stats(told=1)}, HERE, 0.0)
    outlook.hear({A: stats(told=1), B: stats(told=2)}, HERE, SILENT_S)
    assert outlook.view(SILENT_S).replicas == (B,)
    assert outlook.load(A) == 0

    outlook.hear({A: stats(told=1), B: stats(told=2)}, HERE, 2 * SILENT_S)
    assert outlook.view(2 * SILENT_S).replicas == (A, B)
    outlook.hear({A: stats(told=2), B: stats(told=2)}, HERE, 2 * SILENT_S)
    assert outlook.view(2 * SILENT_S).replicas == (A,)


def test_a_request_that_never_arrives_is_forgotten() -> None:
    """Its client has left; one that has arrived may take as long as it likes."""
    outlook = Outlook()
    outlook.hear({A: stats()}, HERE, 0.0)
    outlook.sent("left", Wish(HOT), A, 0.0)
    outlook.sent("long", Wish(COLD), A, 0.0)
    outlook.arrived("long", Wish(COLD), A)

    view = outlook.view(REMEMBERED_S)

    assert view.loads == {A: 1}
    assert view.holders == {COLD: {A}}


def test_weights_stay_for_a_while_where_they_were_sent() -> None:
    """A request that was short has ended before the replica tells what it loaded."""
    outlook = Outlook()
    outlook.hear({A: stats()}, HERE, 0.0)
    outlook.sent("short", Wish(COLD), A, 0.0)
    outlook.ended("short", A, 0.0)
    assert outlook.view(REMEMBERED_S / 2).holders == {COLD: {A}}
    assert outlook.view(REMEMBERED_S).holders == {}


def test_the_base_is_held_by_nobody() -> None:
    outlook = Outlook()
    outlook.hear({A: stats()}, HERE, 0.0)
    outlook.sent("r", Wish("base", anywhere=True), A, 0.0)
    assert outlook.view(0.0).holders == {}


def test_requests_of_other_fronts_count_as_replicas_told() -> None:
    """Ours are counted here: what a replica tells of them is old."""
    outlook = Outlook()
    outlook.hear({A: stats(here=8, other=2), B: stats(here=8)}, HERE, 0.0)
    outlook.arrived("ours", Wish(HOT), A)
    assert outlook.view(0.0).loads == {A: 3, B: 0}


def test_a_replica_that_is_gone_is_not_seen() -> None:
    """Its requests end as their clients are told, and it may come back meanwhile."""
    outlook = Outlook()
    outlook.hear({A: stats(), B: stats()}, HERE, 0.0)
    outlook.arrived("r", Wish(HOT), B)
    outlook.hear({A: stats()}, HERE, 0.0)
    assert outlook.view(0.0).loads == {A: 0}
    assert outlook.view(0.0).holders == {}

    outlook.hear({A: stats(), B: stats()}, HERE, 0.0)
    assert outlook.load(B) == 1
    outlook.ended("r", B, 0.0)
    assert outlook.load(B) == 0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["sent", "arrived", "ended"]), st.integers(0, 5), st.sampled_from([A, B])
    ),
    max_size=60,
)


@given(EVENTS)
def test_nothing_is_counted_for_ever(events: list[tuple[str, int, ReplicaId]]) -> None:
    """Whatever comes twice, late, in another order, or for a request that nobody knows: once each
    has ended everywhere nothing is left.
    """
    outlook = Outlook()
    outlook.hear({A: stats(), B: stats()}, HERE, 0.0)
    for what, number, replica in events:
        if what == "sent":
            outlook.sent(str(number), Wish(HOT), replica, 0.0)
        elif what == "arrived":
            outlook.arrived(str(number), Wish(HOT), replica)
        else:
            outlook.ended(str(number), replica, 0.0)
        assert sum(outlook.view(0.0).loads.values()) <= len({number for _, number, _ in events})

    for number in range(6):
        for replica in (A, B):
            outlook.ended(str(number), replica, 0.0)
    assert outlook.view(0.0).loads == {A: 0, B: 0}
    assert not outlook.view(REMEMBERED_S).holders
