"""The rules that hold for a residency's places whenever nothing moves."""

from __future__ import annotations

from lorabay.catalog.versions import Version
from lorabay.serving.places import Place, Stage
from lorabay.serving.residency import Residency
from tests.serving.mortal_engine import MortalEngine
from tests.versions import make_version


def check_places(residency: Residency, engine: MortalEngine, *, surplus: int = 0) -> None:
    """Fail on a combination of stage, tasks and engine that must not exist.

    Call it when every task that can go on has done so. An engine that has shrunk may hold `surplus`
    weights more than it has room for.
    """
    places = residency._places.by_weights
    for weights, place in places.items():
        assert place.version.weights == weights
        check_place(place.version, place, engine)

    room_taken = [place for place in places.values() if place.stage is not Stage.WAITING]
    assert len(room_taken) <= residency.capacity + 1 + surplus
    assert residency.placed() == places.keys()
    assert residency.has_room_for(make_version("new")) == (len(places) < residency.capacity)
    if engine.up:
        placed = {place.version for place in places.values()}
        assert engine.loaded <= placed, "the engine holds weights that have no place"
        check_nobody_waits_in_vain(residency)


def held(residency: Residency) -> set[Version]:
    """Return the versions whose weights are resident, each the one that was asked for first."""
    return {residency._places.by_weights[weights].version for weights in residency.resident()}


def check_place(version: Version, place: Place, engine: MortalEngine) -> None:
    """Fail if a place's stage, its tasks and what the engine does contradict one another."""
    has_load = place.load is not None and not place.load.done()
    has_unload = place.unload is not None and not place.unload.done()
    is_resident = place.stage is Stage.RESIDENT
    is_leaving = place.stage is Stage.LEAVING

    assert has_load == (place.load is not None), "a load that has ended is still in its place"
    assert has_unload == (place.unload is not None), "the same of an unload"
    assert has_unload == is_leaving
    assert not (is_resident and has_load)
    assert has_load or is_resident or is_leaving
    assert not is_resident or place.last_used > 0
    assert has_load or not place.is_swap

    assert (version in engine.loading) == (place.stage is Stage.LOADING)
    assert (version in engine.unloading) == is_leaving
    if engine.up:
        assert (version in engine.loaded) == (is_resident or is_leaving)


def check_nobody_waits_in_vain(residency: Residency) -> None:
    """Fail if a load waits although there is room, or could be made."""
    stages = {weights: place.stage for weights, place in residency._places.by_weights.items()}
    waiting = [weights for weights, stage in stages.items() if stage is Stage.WAITING]
    leaving = [weights for weights, stage in stages.items() if stage is Stage.LEAVING]
    if waiting and not leaving:
        assert len(stages) - len(waiting) >= residency.capacity, "room is free"
        assert residency._victim() is None, "a version may be evicted"
