"""The versions in one engine: loads, evictions, waiting for room, in whatever order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lorabay.catalog.versions import Version
from lorabay.errors import AdapterRejected, EngineUnavailable
from lorabay.serving.residency import Hooks, Residency
from tests.examples import histories
from tests.serving.mortal_engine import MortalEngine
from tests.serving.places import check_places, held
from tests.versions import make_version
from tests.virtual_time import VirtualTimeLoop, quiet

A, B, C, D, E = (make_version(name, digit) for name, digit in zip("abcde", "abcde", strict=True))
LIMIT_S = 30.0

Result = TypeVar("Result")


class Wanted:
    """Versions that are in use or pinned, and the events that a residency reported."""

    def __init__(self) -> None:
        self.in_use: Counter[Version] = Counter()
        self.pinned: set[Version] = set()
        self.evicted: list[Version] = []
        self.loaded: list[Version] = []
        self.refused: list[Version] = []


@pytest.fixture
def wanted() -> Wanted:
    return Wanted()


def make(
    engine: MortalEngine, wanted: Wanted, capacity: int, *, concurrent: int = 2, **more: Any
) -> Residency:
    hooks = Hooks(
        in_use=lambda weights: any(
            version.weights == weights for version in wanted.in_use if wanted.in_use[version] > 0
        ),
        pinned=lambda: {version.weights for version in wanted.pinned},
        loaded=lambda version, seconds: wanted.loaded.append(version),
        refused=lambda version, error: wanted.refused.append(version),
        evicted=wanted.evicted.append,
        **more,
    )
    return Residency(engine, capacity, hooks, load_timeout_s=LIMIT_S, concurrent_loads=concurrent)


@pytest.fixture
def residency(engine: MortalEngine, wanted: Wanted) -> Residency:
    return make(engine, wanted, 2)


def begin(residency: Residency, *versions: Version) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(residency.ensure(version)) for version in versions]


async def failures(tasks: Iterable[asyncio.Task[None]]) -> list[type[BaseException] | None]:
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [None if result is None else type(result) for result in results]


async def test_what_is_resident_is_not_loaded_again(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """The first request loads a version; later ones use it."""
    for _ in range(3):
        await residency.ensure(A)
    assert engine.steps == [f"load {A.id}"]
    assert wanted.loaded == [A]
    assert engine.loaded == held(residency) == {A}


async def test_requests_for_one_version_share_its_load(
    residency: Residency, engine: MortalEngine
) -> None:
    """Ten requests for a version that is being loaded wait for the one load."""
    engine.hold(f"load {A.id}")
    waiting = begin(residency, *[A] * 10)
    await quiet()
    assert not any(task.done() for task in waiting)
    assert residency.loading() == {A}
    engine.release(f"load {A.id}")
    assert await failures(waiting) == [None] * 10
    assert engine.steps == [f"load {A.id}"]
    assert not residency.loading()


@pytest.mark.parametrize("concurrent", [1, 2, 3])
async def test_the_engine_is_not_asked_for_more_loads_at_once(
    engine: MortalEngine, wanted: Wanted, concurrent: int
) -> None:
    """At most `concurrent_loads` versions are loaded at the same time; the others follow."""
    residency = make(engine, wanted, 5, concurrent=concurrent)
    versions = (A, B, C, D, E)
    engine.hold(*(f"load {version.id}" for version in versions))
    waiting = begin(residency, *versions)
    for version in versions:
        await quiet()
        assert len(residency.loading()) <= concurrent
        engine.release(f"load {version.id}")
    assert await failures(waiting) == [None] * 5
    assert engine.most_loading == concurrent


async def test_of_equal_ones_the_least_recently_used_makes_room(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """A request counts as a use, and moves a version to the end."""
    for version in (B, A, B, A, C):
        await residency.ensure(version)
    assert wanted.evicted == [B]
    assert list(residency.resident()) == [A.weights, C.weights]
    assert engine.loaded == {A, C}


async def test_the_one_that_is_asked_for_less_makes_room(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """Although the other one was asked for before it."""
    for version in (A, A, A, B, C):
        await residency.ensure(version)
    assert wanted.evicted == [B]
    assert engine.loaded == {A, C}


async def test_the_unload_comes_before_the_load(residency: Residency, engine: MortalEngine) -> None:
    """A place is free only when the engine has let go of what was in it."""
    for version in (A, B):
        await residency.ensure(version)
    engine.hold(f"unload {A.id}")
    (waiting,) = begin(residency, C)
    await quiet()
    assert f"load {C.id}" not in engine.steps
    engine.release(f"unload {A.id}")
    await waiting
    assert engine.most_loaded == 2


async def test_concurrent_loads_do_not_take_the_same_place(
    engine: MortalEngine, wanted: Wanted
) -> None:
    """Loads that run side by side each have a place of their own before they begin."""
    residency = make(engine, wanted, 3, concurrent=3)
    for version in (A, B):
        await residency.ensure(version)
    assert await failures(begin(residency, C, D, E)) == [None] * 3
    assert engine.most_loaded == 3
    assert wanted.evicted == [A, B]


@pytest.mark.parametrize("reason", ["in use", "pinned"])
async def test_what_must_stay_is_never_evicted(
    residency: Residency, engine: MortalEngine, wanted: Wanted, reason: str
) -> None:
    """A version in use, or pinned, outlives any number of loads, however long ago it was asked
    for.
    """
    await residency.ensure(A)
    if reason == "in use":
        wanted.in_use[A] = 1
    else:
        wanted.pinned.add(A)
    for version in (B, C, D, B):
        await residency.ensure(version)
    assert wanted.evicted == [B, C, D]
    assert A in engine.loaded


async def test_a_load_waits_until_a_place_is_no_longer_in_use(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """With every place in use a load waits, and takes the first that is let go."""
    for version in (A, B):
        await residency.ensure(version)
        wanted.in_use[version] = 1
    (waiting,) = begin(residency, C)
    await quiet()
    assert not waiting.done()
    wanted.in_use[B] = 0
    residency.look_for_room()
    await waiting
    assert engine.loaded == {A, C}


async def test_what_is_only_waited_for_makes_room_last(
    engine: MortalEngine, wanted: Wanted
) -> None:
    """What nobody uses goes first; then what is in use and not held; what is held stays."""
    computed = {A.weights}
    residency = make(engine, wanted, 3, held=lambda weights: weights in computed)
    for version in (A, B, C):
        await residency.ensure(version)
    wanted.in_use.update({A: 1, B: 1})
    for version in (D, E):
        await residency.ensure(version)
        wanted.in_use[version] = 1
        computed.add(version.weights)
    assert wanted.evicted == [C, B]
    assert engine.loaded == {A, D, E}


async def test_waiting_beside_an_idle_pinned_version_is_waiting(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """A pinned version that nobody uses does not make a load look again and again: time passes,
    and the limit holds.
    """
    for version in (A, B):
        await residency.ensure(version)
    wanted.pinned.add(A)
    wanted.in_use[B] = 1
    with pytest.raises(EngineUnavailable):
        await residency.ensure(C)
    wanted.pinned.discard(A)
    residency.look_for_room()
    await residency.ensure(C)
    assert engine.loaded == {B, C}


async def test_pins_do_not_lock_the_others_out(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """When pins hold every place, the least recently used of them makes room; what is unpinned goes
    first.
    """
    wanted.pinned |= {A, B, C}
    for version in (A, B, C, D, E):
        await residency.ensure(version)
    assert wanted.evicted == [A, B, D]
    assert engine.loaded == {C, E}


async def test_waiting_loads_are_served_in_their_order(
    engine: MortalEngine, wanted: Wanted
) -> None:
    """The first of two waiting loads gets the room."""
    residency = make(engine, wanted, 1)
    await residency.ensure(A)
    wanted.in_use[A] = 1
    waiting = begin(residency, B, C)
    await quiet()
    wanted.in_use.update({A: -1, B: 1})
    residency.look_for_room()
    await quiet()
    assert [task.done() for task in waiting] == [True, False]
    wanted.in_use[B] = 0
    residency.look_for_room()
    assert await failures(waiting) == [None, None]


async def test_a_request_does_not_wait_for_ever(residency: Residency, wanted: Wanted) -> None:
    """After the time limit it gets a 503 with a time to come back; the load itself goes on and
    serves the next.
    """
    for version in (A, B):
        await residency.ensure(version)
        wanted.in_use[version] = 1
    started = asyncio.get_running_loop().time()
    with pytest.raises(EngineUnavailable) as failure:
        await residency.ensure(C)
    assert failure.value.status == 503
    assert failure.value.retry_after
    assert asyncio.get_running_loop().time() - started == pytest.approx(LIMIT_S)
    wanted.in_use[A] = 0
    residency.look_for_room()
    await quiet()
    assert C.weights in residency.resident()


async def test_a_slow_load_is_not_begun_twice(residency: Residency, engine: MortalEngine) -> None:
    """A request after the time limit joins the load that still runs."""
    engine.hold(f"load {A.id}")
    for _ in range(2):
        with pytest.raises(EngineUnavailable):
            await residency.ensure(A)
    engine.release(f"load {A.id}")
    await residency.ensure(A)
    assert engine.steps == [f"load {A.id}"]


async def test_a_waiter_that_leaves_does_not_stop_the_load(
    residency: Residency, engine: MortalEngine
) -> None:
    """A client that hangs up during a load does not disturb the others that wait for it."""
    engine.hold(f"load {A.id}")
    leaving, staying = begin(residency, A, A)
    await quiet()
    leaving.cancel()
    await quiet()
    assert leaving.cancelled()
    engine.release(f"load {A.id}")
    await staying
    assert residency.resident().keys() == {A.weights}


async def test_a_load_that_everybody_left_still_ends(
    residency: Residency, engine: MortalEngine
) -> None:
    """A load that the engine has begun goes on when its last waiter is cancelled."""
    engine.hold(f"load {A.id}")
    (leaving,) = begin(residency, A)
    await quiet()
    leaving.cancel()
    engine.release(f"load {A.id}")
    await quiet()
    assert held(residency) == engine.loaded == {A}


async def test_a_refusal_reaches_everybody_who_waits_and_nobody_else(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """All that share a load learn why it failed, it is reported once, and its place is free
    again.
    """
    engine.fail(f"load {A.id}", AdapterRejected("a", ("no such module",)))
    waiting = begin(residency, A, A, B)
    assert await failures(waiting) == [AdapterRejected, AdapterRejected, None]
    assert wanted.refused == [A]
    await residency.ensure(C)
    assert engine.loaded == {B, C}
    assert not wanted.evicted


async def test_after_a_failed_load_the_next_request_tries_again(
    residency: Residency, engine: MortalEngine
) -> None:
    """A residency does not remember a failure."""
    engine.fail(f"load {A.id}", EngineUnavailable("busy"))
    with pytest.raises(EngineUnavailable):
        await residency.ensure(A)
    await residency.ensure(A)
    assert engine.loaded == {A}


async def test_a_load_that_fails_for_another_reason_than_the_weights_is_tried_again(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """A disk or the memory was at fault: nobody hears of a refusal, and nothing is remembered."""
    engine.fail(f"load {A.id}", EngineUnavailable("No such file or directory"))
    assert await failures(begin(residency, A)) == [EngineUnavailable]
    assert residency.loading() == frozenset()
    await residency.ensure(A)
    assert (wanted.loaded, wanted.refused) == ([A], [])


async def test_what_the_engine_has_held_is_never_refused(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """Weights that it took once it will take again: whatever it says, the load is tried again."""
    await residency.ensure(A)
    await residency.drop(A)
    engine.fail(f"load {A.id}", AdapterRejected("a", ("no such module",)))
    assert await failures(begin(residency, A)) == [EngineUnavailable]
    assert wanted.refused == []
    await residency.ensure(A)

    # The next engine has not held them.
    engine.die()
    residency.forget_all()
    await quiet()
    engine.up = True
    engine.fail(f"load {A.id}", AdapterRejected("a", ("no such module",)))
    assert await failures(begin(residency, A)) == [AdapterRejected]
    assert wanted.refused == [A]


async def test_what_is_not_admitted_is_not_loaded(engine: MortalEngine) -> None:
    """A version that must not be loaded never reaches the engine."""

    def admit(version: Version) -> None:
        raise AdapterRejected(version.adapter, ("quarantined",))

    residency = Residency(engine, 2, Hooks(admit=admit))
    with pytest.raises(AdapterRejected):
        await residency.ensure(A)
    assert not engine.steps


async def test_an_eviction_that_fails_with_the_engine_fails_the_load(
    residency: Residency, engine: MortalEngine
) -> None:
    """An engine that dies while it makes room is unavailable; nothing is left half counted."""
    for version in (A, B):
        await residency.ensure(version)
    engine.hold(f"unload {A.id}")
    (waiting,) = begin(residency, C)
    await quiet()
    engine.die()
    residency.forget_all()
    assert await failures([waiting]) == [EngineUnavailable]
    await engine.start()
    assert await failures(begin(residency, C, D)) == [None, None]
    assert engine.loaded == held(residency) == {C, D}


@pytest.mark.parametrize("held", [True, False], ids=["in the engine", "waiting for room"])
async def test_everybody_who_waits_learns_of_the_death(
    residency: Residency, engine: MortalEngine, wanted: Wanted, held: bool
) -> None:
    """A death during a load is a 503 for its waiters, never a cancellation of them."""
    if held:
        engine.hold(f"load {C.id}")
    else:
        for version in (A, B):
            await residency.ensure(version)
            wanted.in_use[version] = 1
    waiting = begin(residency, C, C)
    await quiet()
    engine.die()
    residency.forget_all()
    assert await failures(waiting) == [EngineUnavailable] * 2
    assert not residency.resident()


async def test_nothing_is_asked_of_an_engine_that_is_down(
    residency: Residency, engine: MortalEngine
) -> None:
    """While the engine is down a request fails at once and leaves no load behind."""
    engine.die()
    with pytest.raises(EngineUnavailable):
        await residency.ensure(A)
    assert not residency.placed()
    assert not residency.loading()


async def test_the_load_that_the_engine_died_on_is_known(
    residency: Residency, engine: MortalEngine
) -> None:
    """A load that failed with the engine is named until the death is noticed."""
    engine.hold(f"load {A.id}")
    waiting = begin(residency, A)
    await quiet()
    engine.die()
    assert await failures(waiting) == [EngineUnavailable]
    assert residency.loading() == {A}
    residency.forget_all()
    assert not residency.loading()


async def test_a_load_that_waited_is_not_what_the_engine_died_on(
    engine: MortalEngine, wanted: Wanted
) -> None:
    """Only what the engine had begun to load is named."""
    residency = make(engine, wanted, 4, concurrent=1)
    engine.hold(f"load {A.id}")
    waiting = begin(residency, A, B)
    await quiet()
    engine.die()
    assert await failures(waiting) == [EngineUnavailable] * 2
    assert residency.loading() == {A}


async def test_drop_takes_a_version_out(residency: Residency, engine: MortalEngine) -> None:
    """A dropped version leaves the engine once; dropping it again asks nothing of the engine."""
    await residency.ensure(A)
    await residency.drop(A)
    await residency.drop(A)
    assert engine.steps.count(f"unload {A.id}") == 1
    assert not engine.loaded
    assert not residency.placed()


async def test_drop_leaves_what_is_in_use(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """A version that a request runs on stays."""
    await residency.ensure(A)
    wanted.in_use[A] = 1
    await residency.drop(A)
    assert engine.loaded == {A}


async def test_a_version_asked_for_while_it_leaves_comes_back(
    residency: Residency, engine: MortalEngine
) -> None:
    """The new load begins when the old unload has ended, so that the unload cannot undo it."""
    await residency.ensure(A)
    engine.hold(f"unload {A.id}")
    dropping = asyncio.create_task(residency.drop(A))
    await quiet()
    (asking,) = begin(residency, A)
    await quiet()
    assert engine.steps[-1] == f"unload {A.id}"
    engine.release(f"unload {A.id}")
    await asyncio.gather(dropping, asking)
    assert engine.loaded == held(residency) == {A}


async def test_drop_during_the_load_unloads_after_it(
    residency: Residency, engine: MortalEngine
) -> None:
    """A load that the engine has begun ends, and the version is unloaded after it."""
    engine.hold(f"load {A.id}")
    (waiting,) = begin(residency, A)
    await quiet()
    dropping = asyncio.create_task(residency.drop(A))
    await quiet()
    engine.release(f"load {A.id}")
    await asyncio.gather(waiting, dropping)
    assert engine.ended == [f"load {A.id}", f"unload {A.id}"]
    assert not residency.placed()


async def test_drop_of_what_waits_for_room_ends_the_wait(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """A version that is gone is not loaded when its turn comes."""
    for version in (A, B):
        await residency.ensure(version)
        wanted.in_use[version] = 1
    waiting = begin(residency, C)
    await quiet()
    await residency.drop(C)
    assert await failures(waiting) == [EngineUnavailable]
    wanted.in_use.clear()
    residency.look_for_room()
    await quiet()
    assert f"load {C.id}" not in engine.steps


async def test_an_unload_ends_although_its_caller_leaves(
    residency: Residency, engine: MortalEngine
) -> None:
    """A place is not counted as free before the engine has freed it."""
    await residency.ensure(A)
    await residency.ensure(B)
    engine.hold(f"unload {A.id}")
    dropping = asyncio.create_task(residency.drop(A))
    await quiet()
    dropping.cancel()
    (waiting,) = begin(residency, C)
    await quiet()
    assert not residency.has_room_for(make_version("new"))
    engine.release(f"unload {A.id}")
    await waiting
    assert engine.most_loaded == 2


async def test_a_swap_takes_the_place_that_is_kept_for_it(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """With every place pinned or in use, a new version still loads beside the one that it
    replaces.
    """
    for version in (A, B):
        await residency.ensure(version)
    wanted.pinned.add(A)
    wanted.in_use[B] = 1
    await residency.ensure(C, swap=True)
    assert engine.loaded == {A, B, C}
    assert not wanted.evicted


async def test_a_swap_evicts_nobody_while_the_kept_place_is_free(
    residency: Residency, wanted: Wanted
) -> None:
    """A swap into the free place costs other adapters nothing."""
    for version in (A, B):
        await residency.ensure(version)
    await residency.ensure(C, swap=True)
    assert not wanted.evicted


async def test_the_kept_place_is_given_back(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """After a swap the next load evicts until the kept place is free again."""
    for version in (A, B):
        await residency.ensure(version)
    await residency.ensure(C, swap=True)
    await residency.ensure(D)
    assert engine.loaded == {C, D}
    assert engine.most_loaded == 3
    assert wanted.evicted == [A, B]


async def test_an_engine_that_grows_has_room_for_who_waits(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """At once, and nobody is evicted for it."""
    for version in (A, B):
        await residency.ensure(version)
        wanted.in_use[version] = 1
    waiting = begin(residency, C)
    await quiet()
    assert not waiting[0].done()
    engine.resize(places=4, slots=2)
    await quiet()
    assert waiting[0].done()
    assert residency.has_room_for(D)
    await residency.ensure(D)
    assert engine.loaded == {A, B, C, D}
    assert not wanted.evicted


async def test_an_engine_that_shrinks_keeps_what_is_in_use(
    engine: MortalEngine, wanted: Wanted
) -> None:
    """The next load evicts what is idle, until that many fit; by itself nothing goes."""
    residency = make(engine, wanted, 4)
    for version in (A, B, C, D):
        await residency.ensure(version)
    wanted.in_use[A] = 1
    engine.resize(places=2, slots=1)
    await quiet()
    assert engine.loaded == {A, B, C, D}
    assert not residency.has_room_for(E)

    await residency.ensure(E)
    assert engine.loaded == {A, E}
    assert wanted.evicted == [B, C, D]


async def test_a_load_waits_while_more_are_in_use_than_fit(
    engine: MortalEngine, wanted: Wanted
) -> None:
    """Whoever uses them ends as before; then there is room."""
    residency = make(engine, wanted, 3)
    for version in (A, B, C):
        await residency.ensure(version)
        wanted.in_use[version] = 1
    engine.resize(places=2, slots=1)
    (waiting,) = begin(residency, D)
    wanted.in_use[A] = 0
    residency.look_for_room()
    await quiet()
    assert engine.loaded == {B, C}
    assert not waiting.done()
    wanted.in_use[B] = 0
    residency.look_for_room()
    await waiting
    assert engine.loaded == {C, D}


async def test_an_engine_that_tells_nothing_has_the_configured_room(
    residency: Residency, engine: MortalEngine
) -> None:
    """As one has of which no replica is up."""
    assert residency.capacity == 2
    engine.resize(places=5, slots=1)
    assert residency.capacity == 5
    engine.adapter_room = None
    assert residency.capacity == 2


async def test_a_waiting_load_becomes_a_swap(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """A version that a request waits for, and that is then to be live, no longer waits for room."""
    for version in (A, B):
        await residency.ensure(version)
        wanted.in_use[version] = 1
    waiting = begin(residency, C)
    await quiet()
    await residency.ensure(C, swap=True)
    assert await failures(waiting) == [None]
    assert engine.steps.count(f"load {C.id}") == 1


async def test_has_room_counts_what_is_on_its_way(
    residency: Residency, engine: MortalEngine
) -> None:
    """A place is taken from the moment a load is asked for until the unload has ended."""
    assert residency.has_room_for(make_version("new"))
    engine.hold(f"load {A.id}")
    waiting = begin(residency, A, B)
    await quiet()
    assert not residency.has_room_for(make_version("new"))
    engine.release(f"load {A.id}")
    await failures(waiting)
    engine.hold(f"unload {A.id}")
    dropping = asyncio.create_task(residency.drop(A))
    await quiet()
    assert not residency.has_room_for(make_version("new"))
    engine.release(f"unload {A.id}")
    await dropping
    assert residency.has_room_for(make_version("new"))


async def test_a_death_during_an_unload_ends_it(residency: Residency, engine: MortalEngine) -> None:
    """Whoever drops a version is done when the engine is gone, and nobody is cancelled by it."""
    await residency.ensure(A)
    engine.hold(f"unload {A.id}")
    dropping = asyncio.create_task(residency.drop(A))
    await quiet()
    residency.forget_all()
    assert await failures([dropping]) == [None]
    assert not residency.placed()


async def test_stop_leaves_nothing_behind(residency: Residency, engine: MortalEngine) -> None:
    """At the end no load or unload goes on."""
    await residency.ensure(A)
    engine.hold(f"load {B.id}", f"unload {A.id}")
    waiting = [*begin(residency, B), asyncio.create_task(residency.drop(A))]
    await quiet()
    await residency.stop()
    await failures(waiting)
    assert asyncio.all_tasks() == {asyncio.current_task()}


A2 = make_version("a", "f", weights="a")
"""Other defaults, and the weights of A."""

A3 = make_version("z", "9", weights="a")
"""The same weights under another name."""


async def test_versions_of_the_same_weights_share_a_place(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """What is resident by one of them is resident by all, and counts once."""
    await residency.ensure(A)
    await residency.ensure(A2, swap=True)
    await residency.ensure(A3)
    await residency.ensure(B)
    assert engine.steps == [f"load {A.id}", f"load {B.id}"]
    assert list(residency.resident()) == [A.weights, B.weights]
    assert not wanted.evicted


async def test_a_load_is_shared_by_versions_of_the_same_weights(
    residency: Residency, engine: MortalEngine, wanted: Wanted
) -> None:
    """Whoever comes while it runs waits for it, and hears of its refusal."""
    engine.fail(f"load {A.id}", AdapterRejected("a", ("no such module",)))
    assert await failures(begin(residency, A, A2)) == [AdapterRejected, AdapterRejected]
    assert wanted.refused == [A]
    assert not residency.placed()


@pytest.mark.parametrize("reason", ["in use", "pinned"])
async def test_weights_stay_for_any_version_that_needs_them(
    residency: Residency, engine: MortalEngine, wanted: Wanted, reason: str
) -> None:
    """Also for one that came after the load."""
    await residency.ensure(A)
    if reason == "in use":
        wanted.in_use[A2] = 1
        await residency.drop(A)
    else:
        wanted.pinned.add(A2)
    for version in (B, C, D):
        await residency.ensure(version)
    assert A in engine.loaded
    assert wanted.evicted == [B, C]


async def test_any_version_takes_the_shared_weights_out(
    residency: Residency, engine: MortalEngine
) -> None:
    """By whatever version they came in."""
    await residency.ensure(A)
    await residency.drop(A2)
    assert not engine.loaded
    assert not residency.placed()


versions = st.sampled_from([A, A2, B, C, D])
picks = st.integers(0, 9)


class WatchfulEngine(MortalEngine):
    """An engine that notes the versions that were unloaded while they were in use."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(up=True)
        self.wanted = wanted
        self.unloaded_in_use: list[Version] = []

    async def unload(self, version: Version) -> None:
        in_use = {used.weights for used, count in self.wanted.in_use.items() if count > 0}
        if version.weights in in_use:
            self.unloaded_in_use.append(version)
        await super().unload(version)


class AnyOrder(RuleBasedStateMachine):
    """Requests, swaps, pins, drops, refusals and deaths, beside an engine that may take long, and
    that grows and shrinks.
    """

    CAPACITY = 2

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.wanted = Wanted()
        self.engine = WatchfulEngine(self.wanted)
        self.asking: list[asyncio.Task[None]] = []
        self.has_swapped = False
        self.largest = self.CAPACITY
        self.surplus = 0
        self.residency = self.do(self.begin())

    async def begin(self) -> Residency:
        return make(self.engine, self.wanted, self.CAPACITY)

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        async def work_until_quiet() -> Result:
            result = await work
            await quiet()
            return result

        return self.runner.run(work_until_quiet())

    async def call(self, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            with suppress(EngineUnavailable, AdapterRejected):
                await work

        self.asking.append(asyncio.create_task(run()))

    @rule(some=st.lists(versions, min_size=1, max_size=4))
    def ask(self, some: list[Version]) -> None:
        for version in some:
            self.do(self.call(self.residency.ensure(version)))

    @rule(version=versions)
    def swap(self, version: Version) -> None:
        self.has_swapped = True
        self.do(self.call(self.residency.ensure(version, swap=True)))

    @rule(version=versions)
    def drop(self, version: Version) -> None:
        self.do(self.call(self.residency.drop(version)))

    @precondition(lambda self: self.asking)
    @rule(which=picks)
    def hang_up(self, which: int) -> None:
        self.asking[which % len(self.asking)].cancel()
        self.do(quiet())

    @rule(version=versions, in_use=st.booleans(), pinned=st.booleans())
    def lease_and_pin(self, version: Version, in_use: bool, pinned: bool) -> None:
        self.wanted.in_use[version] = int(in_use)
        self.wanted.pinned.discard(version)
        if pinned:
            self.wanted.pinned.add(version)
        self.residency.look_for_room()
        self.do(quiet())

    @rule(places=st.integers(1, 4))
    def resize(self, places: int) -> None:
        before = self.residency.capacity + self.surplus
        self.surplus = max(0, before - places)
        self.largest = max(self.largest, places)
        self.do(self.told(places))

    async def told(self, places: int) -> None:
        self.engine.resize(places=places, slots=1)

    @rule(version=versions)
    def refuse(self, version: Version) -> None:
        self.engine.fail(f"load {version.id}", AdapterRejected(version.adapter, ("a test",)))

    @rule(verb=st.sampled_from(["load", "unload"]))
    def hold(self, verb: str) -> None:
        self.engine.hold(verb)

    @rule()
    def release(self) -> None:
        self.engine.release_all()
        self.do(quiet())

    @rule(seconds=st.sampled_from([1.0, LIMIT_S]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @rule(notice_s=st.sampled_from([0.0, 1.0]))
    def die(self, notice_s: float) -> None:
        """The death is noticed at once, or when the loads under way have failed."""
        self.engine.die()
        if notice_s:
            self.do(asyncio.sleep(notice_s))
        self.residency.forget_all()
        self.do(quiet())
        assert not self.residency.placed()
        assert not self.residency.loading()
        self.do(self.engine.start())

    @invariant()
    def nothing_is_impossible(self) -> None:
        check_places(self.residency, self.engine, surplus=self.surplus)
        assert not self.engine.unloaded_in_use
        assert self.engine.most_loaded <= self.largest + self.has_swapped
        assert self.engine.most_loading <= 2

    def teardown(self) -> None:
        self.engine.forgive_all()
        self.wanted.in_use.clear()
        self.wanted.pinned.clear()
        self.residency.look_for_room()
        self.do(asyncio.sleep(2 * LIMIT_S))
        assert all(task.done() for task in self.asking)
        assert not any(task.exception() for task in self.asking if not task.cancelled())
        assert held(self.residency) == self.engine.loaded
        assert self.residency.resident().keys() == self.residency.placed()
        self.do(self.residency.stop())
        self.runner.close()


def test_whatever_the_order() -> None:
    """No order of events leads to an impossible stage, more versions than fit, an unload of a
    version in use, or a load that waits in vain.
    """
    run_state_machine_as_test(AnyOrder, settings=histories(120, steps=40))
