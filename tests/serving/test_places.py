"""Places are in order, each in one stage, and the right one is emptied."""

from __future__ import annotations

import pytest

from lorabay.catalog.versions import Digest, Version
from lorabay.serving.places import Places, Stage, choose_victim
from tests.catalog.registries import A, B, C


@pytest.mark.parametrize(
    ("in_use", "pinned", "victim"),
    [
        ("", "", A),
        ("a", "", B),
        ("", "a", B),
        ("b", "a", C),
        ("abc", "", None),
        ("bc", "a", None),
        ("", "abc", A),
        ("a", "abc", B),
    ],
)
def test_the_rule_of_eviction(in_use: str, pinned: str, victim: Version | None) -> None:
    """The first goes that is neither in use nor pinned; pins count only while they leave room for
    others.
    """
    chosen = choose_victim(
        [A.weights, B.weights, C.weights],
        3,
        in_use=lambda weights: weights[0] in in_use,
        pinned={Digest(letter * 64) for letter in pinned},
    )
    assert chosen == (None if victim is None else victim.weights)


def test_places_come_in_the_order_in_which_they_entered_their_stage() -> None:
    """A place that enters its stage again is the last in it."""
    places = Places()
    for version in (A, B, C):
        places.get_or_add(version)
    places.enter(A.weights, Stage.WAITING)
    assert list(places.at(Stage.WAITING)) == [B.weights, C.weights, A.weights]
    assert places.first_waiting() == B.weights


def test_what_is_asked_for_least_stands_in_front() -> None:
    """Of equal ones, what was used longest ago."""
    places = Places(clock=lambda: 0.0)
    for version in (A, B, C):
        places.get_or_add(version)
    for version in (B, B, C, A):
        places.use(version.weights)
    assert places.least_wanted_first() == [C.weights, A.weights, B.weights]


def test_what_waits_takes_up_no_room() -> None:
    """Every other stage does."""
    places = Places()
    for version in (A, B, C):
        places.get_or_add(version)
    places.enter(B.weights, Stage.PLACED)
    places.use(C.weights)
    assert places.taking_room == 2
    assert list(places.at(Stage.RESIDENT)) == [C.weights]


def test_weights_have_one_place() -> None:
    """It is that of the version that was asked for first, until it is taken away."""
    places = Places()
    first = places.get_or_add(A)
    assert places.get_or_add(A) is first is places.get(A.weights)
    places.remove(A.weights)
    assert places.get(A.weights) is None
    assert not places.by_weights
