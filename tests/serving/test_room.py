"""An engine has room for adapters to come where that is cheap, and none for a single giant."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lorabay.catalog.admission import ALLOWED_RANKS
from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import AdapterSpec
from lorabay.serving.room import (
    NO_ROOM,
    USUAL_ROOM,
    RankSetters,
    Room,
    affordable_rank,
    affordable_room,
    rank_limit,
    rank_setters,
)
from tests.versions import make_version

MB = 10**6


def specs(**ranks: int) -> dict[AdapterName, AdapterSpec]:
    return {AdapterName(name): make_version(name, rank=rank).spec for name, rank in ranks.items()}


@pytest.mark.parametrize(
    ("free", "room"),
    [
        (None, NO_ROOM),
        (0, NO_ROOM),
        (-5, NO_ROOM),
        (4 * 16 * 10 * MB - 1, NO_ROOM),
        (4 * 16 * 10 * MB, Room(4, 16)),
        (4 * 32 * 10 * MB, Room(4, 32)),
        (4 * 64 * 10 * MB, USUAL_ROOM),
        (1 << 50, USUAL_ROOM),
    ],
)
def test_room_is_made_as_far_as_it_costs_little(free: int | None, room: Room) -> None:
    """A tenth of what is free beside the base; here a slot costs a megabyte for each rank."""
    assert affordable_room(lambda room: room.adapters * room.rank * MB, free) == room


def test_large_ranks_are_no_harm_where_memory_is_plenty() -> None:
    """The bound on outliers follows the memory, and is never under the usual rank."""

    def bound(free: int | None) -> int:
        return affordable_rank(lambda rank: rank * MB, free, ALLOWED_RANKS)

    assert (bound(None), bound(0), bound(2560 * MB), bound(1 << 50)) == (64, 64, 256, 512)


@pytest.mark.parametrize(
    ("ranks", "former", "smallest", "bound", "limit"),
    [
        ({}, [], 16, 64, 16),
        ({}, [], 64, 64, 64),
        ({"a": 8}, [], 64, 64, 64),
        ({"a": 17}, [], 16, 64, 32),
        ({"a": 200}, [], 16, 64, 256),
        ({"a": 9999}, [], 16, 512, 512),
        ({"big": 256, "a": 8, "b": 8}, [], 16, 128, 16),
        ({"big": 256, "a": 8, "b": 8}, [], 64, 128, 64),
        ({"big": 256, "a": 8, "b": 8}, [], 16, 256, 256),
        ({"big": 128, "a": 8, "b": 8}, [], 16, 128, 128),
        ({"x": 256, "y": 256, "a": 16}, [], 16, 64, 256),
        ({"a": 8}, [32], 16, 64, 32),
        ({"a": 8}, [256], 16, 64, 16),
        ({"a": 8}, [256, 32], 16, 64, 32),
        ({"big": 256, "a": 8, "b": 8}, [256, 40], 16, 64, 64),
    ],
)
def test_the_smallest_rank_that_fits_all_but_outliers(
    ranks: dict[str, int], former: list[int], smallest: int, bound: int, limit: int
) -> None:
    """A few large adapters, and former versions, do not set it beyond the bound."""
    kept = [make_version("a", rank=rank).spec for rank in former]
    assert rank_limit(specs(**ranks), kept, ALLOWED_RANKS, smallest, bound) == limit


@given(
    ranks=st.lists(st.integers(1, 512), max_size=20),
    smallest=st.sampled_from(ALLOWED_RANKS),
    bound=st.integers(1, 512),
)
def test_the_limit_is_one_of_vllms_and_fits_nearly_all(
    ranks: list[int], smallest: int, bound: int
) -> None:
    """At most a tenth, or one, are left out; never one that is within the bound."""
    named = specs(**{f"a{number}": rank for number, rank in enumerate(ranks)})
    limit = rank_limit(named, [], ALLOWED_RANKS, smallest, bound)
    assert limit in ALLOWED_RANKS
    assert limit >= smallest
    left_out = [rank for rank in ranks if rank > limit]
    assert len(left_out) <= max(1, len(ranks) // 10)
    assert all(rank > bound for rank in left_out)


@pytest.mark.parametrize(
    ("ranks", "limit", "setters"),
    [
        ({"big": 256, "a": 16, "b": 8}, 256, RankSetters((AdapterName("big"),), 16)),
        ({"big": 200, "a": 60}, 256, RankSetters((AdapterName("big"),), 64)),
        ({"big": 256}, 256, None),
        ({"x": 256, "y": 256, "a": 16}, 256, None),
        ({"a": 16, "b": 8}, 16, None),
        ({"a": 64, "b": 64}, 256, None),
        ({f"a{number}": 16 for number in range(18)} | {"x": 64, "y": 64}, 64,
         RankSetters((AdapterName("x"), AdapterName("y")), 16)),
    ],
)  # fmt: skip
def test_few_adapters_that_make_all_slots_large_are_named(
    ranks: dict[str, int], limit: int, setters: RankSetters | None
) -> None:
    """With the rank that would do for the others; nobody is named who is not alone with it."""
    assert rank_setters(specs(**ranks), ALLOWED_RANKS, limit) == setters
