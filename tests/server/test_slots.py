"""What slots cost, and how much room is made for adapters that are not there yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import ALLOWED_RANKS
from lorabay.server import slots as module
from lorabay.server.slots import Slots
from lorabay.serving.machine_defaults import MANY_SLOTS, SLOTS_AT_MOST
from lorabay.serving.room import NO_ROOM, USUAL_ROOM, Room
from lorabay.settings import Settings
from tests.server.directories import changed


def slots_of(settings: Settings, base: Path, *, on_cpu: bool, **changes: object) -> Slots:
    changed_settings = changed(settings, **changes)
    shapes, weights = BaseShapes.read(base), BaseWeights.open(base)
    return Slots(changed_settings, shapes, weights, on_cpu=on_cpu)


def test_slots_are_free_where_they_are_references(settings: Settings, base: Path) -> None:
    """On a CPU, unless they are cut into shards; then there is room for every rank."""
    free = slots_of(settings, base, on_cpu=True)
    assert free.are_free
    assert free.room(0) == Room(USUAL_ROOM.adapters, ALLOWED_RANKS[-1])
    assert free.outlier_rank(5) == ALLOWED_RANKS[-1]
    assert not slots_of(settings, base, on_cpu=False).are_free
    sharded = {"fully_sharded_loras": True}
    assert not slots_of(settings, base, on_cpu=True, engine=sharded).are_free


def test_slots_cost_more_with_their_rank_and_number(settings: Settings, base: Path) -> None:
    """Each takes as much as the last one."""
    slots = slots_of(settings, base, on_cpu=False)
    assert slots.cost(4, 16) == 4 * slots.cost(1, 16) > slots.cost(4, 8)


def test_room_on_a_device_is_what_costs_little_of_it(
    settings: Settings, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any memory that is known, none is made."""
    monkeypatch.setattr(module, "device_memory_bytes", lambda: 1 << 40)
    assert slots_of(settings, base, on_cpu=False).room(0) == USUAL_ROOM
    monkeypatch.setattr(module, "device_memory_bytes", lambda: None)
    assert slots_of(settings, base, on_cpu=False).room(0) == NO_ROOM


def test_what_the_settings_ask_for_wins(settings: Settings, base: Path) -> None:
    """Whatever it costs; what they leave open is as it would be."""
    slots = slots_of(settings, base, on_cpu=True, expected_adapters=9, outlier_rank=32)
    assert slots.room(0) == Room(9, ALLOWED_RANKS[-1])
    assert slots.outlier_rank(5) == 32


@pytest.mark.parametrize(
    ("adapters", "rank", "memory", "slots"),
    [
        (100, 16, 1 << 40, MANY_SLOTS),
        (100, 64, 1 << 40, MANY_SLOTS),
        (16, 16, 1 << 40, SLOTS_AT_MOST),
        (100, 128, 1 << 40, SLOTS_AT_MOST),
        (100, 64, 1 << 20, SLOTS_AT_MOST),
        (100, 16, None, SLOTS_AT_MOST),
        (3, 16, 1 << 40, 4),
    ],
)
def test_many_adapters_of_usual_ranks_get_more_slots_of_a_gpu(
    settings: Settings, base: Path, monkeypatch: pytest.MonkeyPatch,
    adapters: int, rank: int, memory: int | None, slots: int,
) -> None:  # fmt: skip
    """Where they take little of its memory."""
    monkeypatch.setattr(module, "device_memory_bytes", lambda: memory)
    assert slots_of(settings, base, on_cpu=False).count(adapters, rank) == slots


def test_many_adapters_share_the_usual_slots_of_a_cpu(settings: Settings, base: Path) -> None:
    """There they are references, and none is copied."""
    assert slots_of(settings, base, on_cpu=True).count(100, 16) == SLOTS_AT_MOST


def test_two_gpus_hold_twice_as_much(
    settings: Settings, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of one copy of the model; a second copy has slots of its own."""
    slots = slots_of(settings, base, on_cpu=False)
    limit = int(slots.cost(MANY_SLOTS, 16) / module.MANY_SHARE)
    monkeypatch.setattr(module, "device_memory_bytes", lambda: limit - 1024)
    assert slots.count(100, 16) == SLOTS_AT_MOST
    copies = slots_of(settings, base, on_cpu=False, engine={"data_parallel_size": 2})
    assert copies.count(100, 16) == SLOTS_AT_MOST
    two = slots_of(settings, base, on_cpu=False, engine={"tensor_parallel_size": 2})
    assert two.count(100, 16) == MANY_SLOTS
