"""Flip, drain, unload and failure in every order. The engine's steps are held up and fail at
will.
"""

from __future__ import annotations

import asyncio

import pytest

from lorabay.catalog.adapter_defaults import NO_DEFAULTS
from lorabay.errors import AdapterRejected, EngineUnavailable
from lorabay.reconcile.swaps import NoEngine
from lorabay.serving.residency import Residency
from tests.serving.bay import ADMIN, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.versions import make_version
from tests.virtual_time import quiet

REFUSAL = AdapterRejected("finance", ("no such module",))
AWAY = EngineUnavailable("the engine is not up")


async def test_the_flip_comes_after_the_load(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The name means the old version while the new one loads, and the new one at once after."""
    old = await bay.serve("finance", 1)
    new = bay.version("finance", 2)
    engine.hold(f"load {new.id}")
    bay.put("finance", 2)
    looking = bay.begin_look()
    await quiet()
    assert bay.state("finance") == "loading"
    assert bay.live("finance") == old
    with bay.registry.acquire("finance") as lease:
        assert lease.version == old
    engine.release(f"load {new.id}")
    await looking
    assert bay.live("finance") == new
    assert bay.state("finance") == "ready"
    await quiet()
    assert engine.loaded == {new}
    assert bay.happened() == ["added", "swapped"]


async def test_the_old_version_is_unloaded_once_its_last_request_has_ended(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """Requests that run when the name flips keep their weights; the last one's end takes them out,
    once.
    """
    old = await bay.serve("finance", 1)
    first, second = bay.registry.acquire("finance"), bay.registry.acquire("finance")
    new = await bay.serve("finance", 2)
    first.release()
    await quiet()
    assert engine.loaded == {old, new}
    second.release()
    await quiet()
    assert engine.loaded == {new}
    assert engine.unloads(old) == 1


async def test_a_lease_taken_while_the_new_version_loads_is_on_the_old(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """A request that comes during the load runs on the old version to its end, past the flip."""
    old = await bay.serve("finance", 1)
    new = bay.version("finance", 2)
    engine.hold(f"load {new.id}")
    bay.put("finance", 2)
    looking = bay.begin_look()
    await quiet()
    lease = bay.registry.acquire("finance")
    engine.release(f"load {new.id}")
    await looking
    await quiet()
    assert lease.version == old
    assert engine.loaded == {old, new}
    lease.release()
    await quiet()
    assert engine.loaded == {new}


async def test_a_version_that_the_engine_refuses_leaves_the_old_one_live(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The adapter is failed with the engine's reason, requests go on with the old weights, and
    nothing tries again.
    """
    old = await bay.serve("finance", 1)
    new = bay.version("finance", 2)
    engine.fail(f"load {new.id}", REFUSAL)
    bay.put("finance", 2)
    await bay.look()
    assert bay.live("finance") == old
    assert engine.loaded == {old}
    assert bay.state("finance") == "failed"
    assert [reason.text for reason in bay.status("finance").reasons] == ["no such module"]
    assert bay.events.latest(1)[0].result == "no such module"
    await bay.look()
    assert engine.steps.count(f"load {new.id}") == 1


async def test_a_refused_version_gives_way_to_the_next(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The folder's next content is served as if the refused one had never been."""
    old = await bay.serve("finance", 1)
    engine.fail(f"load {bay.version('finance', 2).id}", REFUSAL)
    bay.put("finance", 2)
    await bay.look()
    new = await bay.serve("finance", 3)
    await quiet()
    assert bay.state("finance") == "ready"
    assert bay.status("finance").kept == (new, old)
    assert engine.loaded == {new}


async def test_an_engine_that_is_away_is_no_fault_of_the_folder(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The old version stays live, the new one is pending, and the next look tries again without
    being told.
    """
    old = await bay.serve("finance", 1)
    new = bay.version("finance", 2)
    engine.fail(f"load {new.id}", AWAY, AWAY)
    bay.put("finance", 2)
    for _ in range(2):
        await bay.look()
        assert bay.live("finance") == old
        assert bay.state("finance") == "pending"
        assert [reason.code for reason in bay.status("finance").reasons] == ["engine_unavailable"]
    await bay.look()
    assert bay.live("finance") == new
    assert bay.happened() == ["added", "swapped"]


async def test_the_last_of_two_quick_changes_wins(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """A change during the load of the one before is applied after it, whole; the one between is
    unloaded again.
    """
    first = await bay.serve("finance", 1)
    second, third = bay.version("finance", 2), bay.version("finance", 3)
    engine.hold(f"load {second.id}")
    bay.put("finance", 2)
    looking = [bay.begin_look()]
    await quiet()
    bay.put("finance", 3)
    looking.append(bay.begin_look())
    await quiet()
    assert bay.live("finance") == first
    engine.release(f"load {second.id}")
    await asyncio.gather(*looking)
    await quiet()
    assert bay.live("finance") == third
    assert engine.loaded == {third}
    assert engine.most_loading == 1
    assert [engine.unloads(version) for version in (first, second)] == [1, 1]


async def test_a_refusal_of_the_first_of_two_changes_does_not_stop_the_second(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The last wins also when the one before it fails."""
    await bay.serve("finance", 1)
    second = bay.version("finance", 2)
    engine.hold(f"load {second.id}")
    engine.fail(f"load {second.id}", REFUSAL)
    bay.put("finance", 2)
    looking = bay.begin_look()
    await quiet()
    bay.put("finance", 3)
    engine.release(f"load {second.id}")
    await looking
    await bay.look()
    assert bay.live("finance") == bay.version("finance", 3)
    assert bay.state("finance") == "ready"


async def test_running_requests_outlive_their_folder(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The name is gone at once; who runs keeps weights and files until the end."""
    version = await bay.serve("finance", 1)
    lease = bay.registry.acquire("finance")
    bay.take_away("finance")
    await bay.look()
    assert not bay.registry.names()
    assert bay.state("finance") == "draining"
    assert engine.loaded == {version}
    assert bay.in_store() == {version.digest}
    lease.release()
    await quiet()
    await bay.look()
    assert not engine.loaded
    assert not bay.in_store()
    assert engine.unloads(version) == 1


async def test_a_folder_removed_while_its_new_version_loads(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The load ends, and the next look takes everything away."""
    await bay.serve("finance", 1)
    new = bay.version("finance", 2)
    engine.hold(f"load {new.id}")
    bay.put("finance", 2)
    looking = bay.begin_look()
    await quiet()
    bay.take_away("finance")
    engine.release(f"load {new.id}")
    await looking
    await bay.look()
    await quiet()
    assert not bay.registry.names()
    assert not engine.loaded


async def test_a_folder_removed_while_its_weights_are_read(bay: Bay, engine: MortalEngine) -> None:
    """The engine never finds half of a version: the files stay until a load that has begun is
    over.
    """
    residency = bay.residency(engine, capacity=1)
    await bay.serve("finance", 1)
    version = await bay.serve("shop", 2)
    engine.hold(f"load {version.id}")
    preload = asyncio.create_task(residency.ensure(version))
    await quiet()
    bay.take_away("shop")
    await bay.look()
    assert bay.registry.status("shop") is None
    assert version.path.exists()
    engine.release(f"load {version.id}")
    await preload
    await quiet()
    await bay.look()
    assert version not in engine.loaded
    assert not version.path.exists()


async def test_a_folder_removed_while_its_old_version_drains(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The request on the old version still ends in peace, and both versions leave, each once."""
    old = await bay.serve("finance", 1)
    lease = bay.registry.acquire("finance")
    new = await bay.serve("finance", 2)
    bay.take_away("finance")
    await bay.look()
    await quiet()
    assert engine.loaded == {old}
    lease.release()
    await quiet()
    assert not engine.loaded
    assert [engine.unloads(version) for version in (old, new)] == [1, 1]


async def test_a_folder_that_comes_back_while_it_drains(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The same weights are live again, and the end of the old request does not unload them."""
    version = await bay.serve("finance", 1)
    lease = bay.registry.acquire("finance")
    bay.take_away("finance")
    await bay.look()
    await bay.serve("finance", 1)
    lease.release()
    await quiet()
    assert bay.state("finance") == "ready"
    assert engine.loaded == {version}
    assert engine.unloads(version) == 0


async def test_content_that_changes_back_is_the_former_version_again(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The first version is live again, and was loaded anew because it had been unloaded."""
    first = await bay.serve("finance", 1)
    second = await bay.serve("finance", 2)
    await quiet()
    await bay.serve("finance", 1)
    await quiet()
    assert engine.loaded == {first}
    assert engine.steps.count(f"load {first.id}") == 2
    assert bay.status("finance").kept == (first, second)


async def test_content_that_changes_back_during_the_drain_stays_loaded(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """A version that is live again when its old requests end is not unloaded under the new ones."""
    first = await bay.serve("finance", 1)
    lease = bay.registry.acquire("finance")
    second = await bay.serve("finance", 2)
    await bay.serve("finance", 1)
    lease.release()
    await quiet()
    assert engine.loaded == {first}
    assert [engine.unloads(version) for version in (first, second)] == [0, 1]


async def test_a_swap_back_waits_for_the_unload_under_way(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """When the former version is just leaving, it is loaded after that, so that the leaving cannot
    undo it.
    """
    first = await bay.serve("finance", 1)
    engine.hold(f"unload {first.id}")
    second = await bay.serve("finance", 2)
    await quiet()
    bay.put("finance", 1)
    looking = bay.begin_look()
    await quiet()
    assert bay.live("finance") == second
    engine.release(f"unload {first.id}")
    await looking
    await quiet()
    assert bay.live("finance") == first
    assert engine.loaded == {first}


async def test_a_former_version_answers_during_and_after_the_drain(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """`finance@digest` finds the old weights while they drain, keeps them in, and brings them back
    later.
    """
    old = await bay.serve("finance", 1)
    running = bay.registry.acquire("finance")
    new = await bay.serve("finance", 2)
    during = bay.registry.acquire(old.id)
    running.release()
    await quiet()
    assert engine.loaded == {old, new}
    during.release()
    await quiet()
    assert engine.loaded == {new}
    with bay.registry.acquire(old.id) as after:
        assert after.version == old
        await residency.ensure(old)
        assert engine.loaded == {old, new}
        assert old.path.exists()


async def test_former_versions_leave_in_their_turn(bay: Bay, residency: Residency) -> None:
    """Two former versions stay in the store; what is older goes, unless a request still runs on
    it.
    """
    versions = [await bay.serve("finance", 1)]
    lease = bay.registry.acquire("finance")
    versions += [await bay.serve("finance", weights) for weights in (2, 3, 4, 5)]
    assert bay.status("finance").kept == tuple(versions[:1:-1])
    assert bay.in_store() == {version.digest for version in (versions[0], *versions[2:])}
    lease.release()
    await quiet()
    await bay.look()
    assert bay.in_store() == {version.digest for version in versions[2:]}


async def test_roll_back(bay: Bay, residency: Residency, engine: MortalEngine) -> None:
    """The former version is loaded, then live; the newer one drains; the folder's touch changes
    nothing.
    """
    old, new = await bay.serve("finance", 1), await bay.serve("finance", 2)
    await quiet()
    lease = bay.registry.acquire("finance")
    await bay.changes.roll_back("finance", None, who=ADMIN)
    assert bay.live("finance") == old
    assert engine.loaded == {old, new}
    lease.release()
    await quiet()
    assert engine.loaded == {old}
    bay.touch("finance")
    await bay.look()
    assert bay.live("finance") == old
    assert bay.status("finance").rollback is not None


async def test_a_later_change_of_the_folder_ends_a_rollback(bay: Bay, residency: Residency) -> None:
    """New content is served, and going back to what was rolled back from is a change like any
    other.
    """
    await bay.serve("finance", 1)
    await bay.serve("finance", 2)
    await bay.changes.roll_back("finance", None, who=ADMIN)
    await bay.serve("finance", 3)
    assert bay.status("finance").rollback is None
    await bay.serve("finance", 2)


async def test_a_rollback_that_the_engine_refuses_changes_nothing(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The version that was live stays so, and whoever asked is told why."""
    old, new = await bay.serve("finance", 1), await bay.serve("finance", 2)
    await quiet()
    await bay.restarted(engine)  # into an engine that has not held the former one
    engine.fail(f"load {old.id}", REFUSAL)
    with pytest.raises(AdapterRejected, match="no such module"):
        await bay.changes.roll_back("finance", None, who=ADMIN)
    assert bay.live("finance") == new
    assert bay.status("finance").rollback is None
    assert bay.state("finance") == "ready"


async def test_a_rollback_waits_for_the_change_under_way(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """What the admin goes back from is the version that the folder brought, however long that takes
    to load.
    """
    first = await bay.serve("finance", 1)
    second = bay.version("finance", 2)
    engine.hold(f"load {second.id}")
    bay.put("finance", 2)
    looking = bay.begin_look()
    await quiet()
    rolling = asyncio.create_task(bay.changes.roll_back("finance", None, who=ADMIN))
    await quiet()
    engine.release(f"load {second.id}")
    await asyncio.gather(looking, rolling)
    assert bay.live("finance") == first
    assert bay.status("finance").rollback is not None


async def test_a_new_name_without_room_is_served_on_demand(bay: Bay, engine: MortalEngine) -> None:
    """It is live without having been loaded, and pushes nobody out; its first request loads it."""
    residency = bay.residency(engine, capacity=1)
    first = await bay.serve("finance", 1)
    second = await bay.serve("shop", 2)
    assert engine.loaded == {first}
    await residency.ensure(second)
    assert engine.loaded == {second}


async def test_a_swap_needs_no_room(bay: Bay, engine: MortalEngine) -> None:
    """A new version loads beside the old one that holds the only place, and flips."""
    bay.residency(engine, capacity=1)
    old = await bay.serve("finance", 1)
    with bay.registry.acquire("finance"):
        new = await bay.serve("finance", 2)
        assert engine.loaded == {old, new}
    await quiet()
    assert engine.loaded == {new}


async def test_a_pinned_adapter_can_be_swapped(bay: Bay, engine: MortalEngine) -> None:
    """A pin holds the adapter, not one version of it."""
    bay.residency(engine, capacity=1, pinned=lambda version: bay.live(version.adapter) == version)
    await bay.serve("finance", 1)
    new = await bay.serve("finance", 2)
    await quiet()
    assert engine.loaded == {new}


async def test_without_an_engine_names_are_live_and_nothing_is_loaded(bay: Bay) -> None:
    """Before the engine is up new names are live; one that has a version keeps it until the engine
    takes the next.
    """
    old = await bay.serve("finance", 1)
    bay.put("finance", 2)
    await bay.look()
    assert bay.live("finance") == old
    assert bay.state("finance") == "pending"
    engine = MortalEngine(up=True)
    residency = bay.residency(engine)
    assert residency.has_room_for(make_version("new"))
    assert not engine.steps
    await bay.look()
    assert engine.loaded == {bay.version("finance", 2)} == {bay.live("finance")}


async def test_a_death_during_the_load_of_a_new_version(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The old version stays live; when the engine is back, the next look swaps."""
    old = await bay.serve("finance", 1)
    new = bay.version("finance", 2)
    engine.hold(f"load {new.id}")
    bay.put("finance", 2)
    looking = bay.begin_look()
    await quiet()
    engine.die()
    residency.forget_all()
    await looking
    assert bay.live("finance") == old
    assert bay.state("finance") == "pending"
    await engine.start()
    await bay.look()
    assert bay.live("finance") == new
    assert bay.state("finance") == "ready"


async def test_a_death_during_the_drain(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The old version went with the engine: its request's end unloads nothing from the new one."""
    old = await bay.serve("finance", 1)
    lease = bay.registry.acquire("finance")
    new = await bay.serve("finance", 2)
    engine.die()
    residency.forget_all()
    await engine.start()
    await residency.ensure(new)
    lease.release()
    await quiet()
    assert engine.unloads(old) == 0
    assert engine.loaded == {new}


async def test_a_death_during_the_unload(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """It is no error that anybody sees."""
    old = await bay.serve("finance", 1)
    engine.hold(f"unload {old.id}")
    new = await bay.serve("finance", 2)
    await quiet()
    engine.die()
    residency.forget_all()
    await engine.start()
    await residency.ensure(new)
    assert engine.loaded == {new}
    assert residency.placed() == {new.weights}


async def test_a_change_of_defaults_alone_loads_nothing(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The name flips to a new version of the weights that are there; a rollback flips back."""
    old = await bay.serve("finance", 1)
    with bay.registry.acquire("finance") as lease:
        new = await bay.serve("finance", 1, says="other")
        assert lease.version == old
        assert new.defaults.description == "other"
    await quiet()
    assert engine.steps == [f"load {old.id}"]
    assert bay.happened() == ["added", "swapped"]
    assert residency.placed() == {old.weights}

    await bay.changes.roll_back("finance", None, who=ADMIN)
    await quiet()
    live = bay.live("finance")
    assert live == old
    assert live.defaults == NO_DEFAULTS
    assert engine.steps == [f"load {old.id}"]


async def test_shared_weights_leave_with_the_last_version_that_has_them(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """Neither a version that drains nor another name's end takes them out before."""
    first = await bay.serve("finance", 1)
    second = await bay.serve("shop", 1, says="shop")
    lease = bay.registry.acquire("shop")
    await bay.serve("finance", 2)
    bay.take_away("shop")
    await bay.look()
    await quiet()
    assert engine.holds(second)
    lease.release()
    await quiet()
    assert not engine.holds(first)
    assert engine.loaded == {bay.version("finance", 2)}


async def test_a_version_that_is_deleted_leaves_weights_that_are_live(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """In the engine and in the store; they go when nobody has them."""
    plain = await bay.serve("finance", 1)
    described = await bay.serve("finance", 1, says="other")
    await bay.changes.delete(plain.digest, who=ADMIN)
    assert engine.holds(described)
    assert bay.store.get(described.adapter, described.digest) == described
    assert bay.in_store() == {described.digest, described.weights}

    last = await bay.serve("finance", 2)
    await quiet()
    await bay.changes.delete(described.digest, who=ADMIN)
    assert bay.in_store() == {last.digest}


async def test_before_the_engine_is_up_the_last_version_stays(bay: Bay) -> None:
    """A new name is live unloaded, a changed one waits: an engine may refuse its successor."""
    former = await bay.serve("finance", 1)
    bay.put("finance", 2)
    await bay.reconciler.reconcile()
    assert bay.live("finance") == former
    assert bay.state("finance") == "pending"
    assert [reason.code for reason in bay.status("finance").reasons] == ["engine_unavailable"]

    engine = MortalEngine(up=True)
    bay.residency(engine)
    await bay.look()
    assert bay.live("finance") == bay.version("finance", 2)
    assert bay.version("finance", 2) in engine.loaded


async def test_without_an_engine_nothing_is_placed_or_loaded() -> None:
    """The store may then be swept of everything that the registry does not name."""
    weights = NoEngine()
    assert weights.placed() == frozenset()
    assert not weights.has_room_for(make_version("new"))
    assert not weights.accepts_swaps
