"""Counts of uses that fade."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from lorabay.catalog.versions import Digest
from lorabay.serving.popularity import HALF_LIFE_S, Popularity
from tests.clocks import Clock

A, B, C = (Digest(letter * 64) for letter in "abc")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_use_counts_half_after_a_half_life(clock: Clock) -> None:
    """And so on; uses add up."""
    popularity = Popularity(clock)
    popularity.use(A)
    popularity.use(A)
    assert popularity.of(A) == 2
    clock.now += HALF_LIFE_S
    assert popularity.of(A) == 1
    popularity.use(A)
    assert popularity.of(A) == 2
    assert popularity.of(B) == 0


def test_what_many_ask_for_outlasts_what_came_last(clock: Clock) -> None:
    """Until it has not been asked for, for a while."""
    popularity = Popularity(clock)
    for _ in range(8):
        popularity.use(A)
    popularity.use(B)
    assert popularity.of(A) > popularity.of(B)
    clock.now += 4 * HALF_LIFE_S
    popularity.use(B)
    assert popularity.of(A) < popularity.of(B)


def test_what_was_used_once_each_goes_by_its_age(clock: Clock) -> None:
    """As by the order of last use."""
    popularity = Popularity(clock)
    for weights in (A, B, C):
        popularity.use(weights)
        clock.now += 1.0
    assert popularity.of(A) < popularity.of(B) < popularity.of(C)


def test_memory_is_bounded_by_what_was_used_lately(clock: Clock) -> None:
    """A million adapters that were used once leave nothing behind."""
    popularity = Popularity(clock)
    for number in range(1000):
        popularity.use(Digest(f"{number:064}"))
        clock.now += 1.0
    assert len(popularity._counts) <= 10 * HALF_LIFE_S + 1


def test_more_requests_find_their_adapter_than_by_last_use(
    clock: Clock, figures: list[str]
) -> None:
    """100 adapters over 8 places, by Zipf's law, other favourites every minute: 5 points more at
    least.
    """
    requests = list(zipf(seed=1, adapters=100, seconds=300, a_second=10))
    by_use = hits(requests, clock, Popularity(clock))
    clock.now = 0.0
    by_order = hits(requests, clock, None)
    figures.append(f"hits over 8 places: {by_use:.1%} by popularity, {by_order:.1%} by last use")
    assert by_use >= by_order + 0.05


def zipf(seed: int, adapters: int, seconds: int, a_second: int) -> Iterator[tuple[float, Digest]]:
    """Yield times and adapters of requests."""
    chance = random.Random(seed)
    order = [Digest(f"{number:064}") for number in range(adapters)]
    weights = [1 / (rank + 1) for rank in range(adapters)]
    for number in range(seconds * a_second):
        if number % (60 * a_second) == 0:
            chance.shuffle(order)
        yield number / a_second, chance.choices(order, weights)[0]


def hits(
    requests: list[tuple[float, Digest]], clock: Clock, popularity: Popularity | None
) -> float:
    """Return the share of requests that find their adapter in one of 8 places."""
    places: dict[Digest, None] = {}
    found = 0
    for now, weights in requests:
        clock.now = now
        found += weights in places
        if weights not in places and len(places) == 8:
            del places[min(places, key=popularity.of) if popularity else next(iter(places))]
        places.pop(weights, None)
        places[weights] = None
        if popularity:
            popularity.use(weights)
    return found / len(requests)
