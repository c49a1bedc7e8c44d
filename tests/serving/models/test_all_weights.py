"""Each version goes where its kind lives."""

from __future__ import annotations

from typing import Any, cast

from lorabay.catalog.versions import Digest, Version
from lorabay.serving.models.all_weights import AllWeights
from tests.versions import make_model, make_version

ADAPTER, MODEL = make_version("finance", "a"), make_model("bank", "b")


class Place:
    """One kind's place, which writes down what it is asked for."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.asked: list[tuple[str, Version]] = []

    def has_room_for(self, version: Version) -> bool:
        return False

    def placed(self) -> frozenset[Digest]:
        return frozenset({self.version.weights})

    def resident(self) -> dict[Digest, float]:
        return {self.version.weights: 1.0}

    def loading(self) -> frozenset[Version]:
        return frozenset({self.version})

    async def ensure(self, version: Version, *, swap: bool = False) -> None:
        self.asked.append((f"ensure {swap}", version))

    async def drop(self, version: Version) -> None:
        self.asked.append(("drop", version))


async def test_each_kind_is_asked_for_its_own() -> None:
    """Loads, swaps and drops of an adapter never reach the models, and the reverse."""
    adapters, models = Place(ADAPTER), Place(MODEL)
    weights = AllWeights(cast("Any", adapters), cast("Any", models))
    for version in (ADAPTER, MODEL):
        await weights.ensure(version, swap=True)
        await weights.drop(version)
    assert adapters.asked == [("ensure True", ADAPTER), ("drop", ADAPTER)]
    assert models.asked == [("ensure True", MODEL), ("drop", MODEL)]


def test_what_there_is_is_of_both() -> None:
    """A full engine of adapters is no reason to leave a new model unloaded: it tells why."""
    weights = AllWeights(cast("Any", Place(ADAPTER)), cast("Any", Place(MODEL)))
    both = {ADAPTER.weights, MODEL.weights}
    assert weights.placed() == weights.resident().keys() == both
    assert weights.loading() == {ADAPTER, MODEL}
    assert weights.has_room_for(MODEL)
    assert not weights.has_room_for(ADAPTER)
    assert weights.accepts_swaps
