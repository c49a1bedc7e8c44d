"""What a router knows of replicas: what they told, and what it has sent there since."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, strategies as st

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.choice.outlook import REMEMBERED_S, Outlook
from lorabay.cluster.choice.rendezvous import ReplicaId
from tests.cluster.choice.made import digests

HOT, COLD = digests(2)
A, B = ReplicaId("a"), ReplicaId("b")
HERE = "here"


def stats(*held: str, places: int = 4, window: int = 8, **fronts: int) -> dict[str, Any]:
    """What a replica tells of itself, and how much each front has there."""
    return {"held": list(held), "places": places, "window": window, "fronts": fronts}


def test_the_view_is_what_replicas_told() -> None:
    outlook = Outlook()
    outlook.hear({B: stats(HOT, COLD, window=6), A: stats(HOT, places=3, other=2)}, HERE)

    view = outlook.view(0.0)

    assert view.replicas == (A, B)
    assert view.loads == {A: 2, B: 0}
    assert view.holders == {HOT: {A, B}, COLD: {B}}
    assert view.room == {A: 2, B: 2}
    assert (view.slots, view.window) == (3, 6)


def test_a_request_counts_from_its_choice_to_its_end() -> None:
    outlook = Outlook()
    outlook.hear({A: stats(), B: stats()}, HERE)
    outlook.sent("r", Wish(COLD), A, 0.0)
    assert outlook.view(0.0).loads == {A: 1, B: 0}
    assert not outlook.view(0.0).running

    outlook.arrived("r", Wish(COLD), B)
    assert outlook.view(0.0).loads == {A: 0, B: 1}
    assert outlook.view(0.0).running == {COLD: 1}

    outlook.ended("r")
    assert outlook.view(0.0).loads == {A: 0, B: 0}


def test_a_request_that_never_arrives_is_forgotten() -> None:
    """Its client has left; one that has arrived may take as long as it likes."""
    outlook = Outlook()
    outlook.hear({A: stats()}, HERE)
    outlook.sent("left", Wish(HOT), A, 0.0)
    outlook.sent("long", Wish(COLD), A, 0.0)
    outlook.arrived("long", Wish(COLD), A)

    view = outlook.view(REMEMBERED_S)

    assert view.loads == {A: 1}
    assert view.holders == {COLD: {A}}


def test_weights_stay_for_a_while_where_they_were_sent() -> None:
    """A request that was short has ended before the replica tells what it loaded."""
    outlook = Outlook()
    outlook.hear({A: stats()}, HERE)
    outlook.sent("short", Wish(COLD), A, 0.0)
    outlook.ended("short")
    assert outlook.view(REMEMBERED_S / 2).holders == {COLD: {A}}
    assert outlook.view(REMEMBERED_S).holders == {}


def test_the_base_is_held_by_nobody() -> None:
    outlook = Outlook()
    outlook.hear({A: stats()}, HERE)
    outlook.sent("r", Wish("base", anywhere=True), A, 0.0)
    assert outlook.view(0.0).holders == {}


def test_requests_of_other_fronts_count_as_replicas_told() -> None:
    """Ours are counted here: what a replica tells of them is old."""
    outlook = Outlook()
    outlook.hear({A: stats(here=8, other=2), B: stats(here=8)}, HERE)
    outlook.arrived("ours", Wish(HOT), A)
    assert outlook.view(0.0).loads == {A: 3, B: 0}


def test_a_replica_that_is_gone_is_not_seen() -> None:
    """Its requests end as their clients are told, and it may come back meanwhile."""
    outlook = Outlook()
    outlook.hear({A: stats(), B: stats()}, HERE)
    outlook.arrived("r", Wish(HOT), B)
    outlook.hear({A: stats()}, HERE)
    assert outlook.view(0.0).loads == {A: 0}
    assert outlook.view(0.0).holders == {}

    outlook.hear({A: stats(), B: stats()}, HERE)
    assert outlook.load(B) == 1
    outlook.ended("r")
    assert outlook.load(B) == 0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["sent", "arrived", "ended"]), st.integers(0, 5), st.sampled_from([A, B])
    ),
    max_size=60,
)


@given(EVENTS)
def test_each_request_is_counted_once_at_the_last_place(
    events: list[tuple[str, int, ReplicaId]],
) -> None:
    """Whatever comes twice, late or for a request that nobody knows."""
    outlook = Outlook()
    outlook.hear({A: stats(), B: stats()}, HERE)
    where: dict[int, ReplicaId] = {}
    for what, number, replica in events:
        request_id = str(number)
        if what == "sent":
            outlook.sent(request_id, Wish(HOT), replica, 0.0)
            where[number] = replica
        elif what == "arrived":
            outlook.arrived(request_id, Wish(HOT), replica)
            where[number] = replica
        else:
            outlook.ended(request_id)
            where.pop(number, None)
    expected = Counter(where.values())
    assert outlook.view(0.0).loads == {A: expected[A], B: expected[B]}
