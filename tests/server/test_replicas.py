"""Engines on a Ray cluster as the settings want them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.base.find import BaseFolder
from lorabay.errors import SetupError
from lorabay.server import replicas
from lorabay.server.replicas import made_of, make_ray_engine, own_cpus, room_of
from lorabay.settings import Settings


def test_replicas_beside_each_other_have_processors_of_their_own() -> None:
    """Until there are no more; then they share."""
    cpus = [0, 2, 4, 6]
    assert [own_cpus(rank, 2, cpus) for rank in range(3)] == [[0, 2], [4, 6], [0, 2]]
    assert own_cpus(0, 8, cpus) == cpus
    assert own_cpus(1, 3, cpus) == [6, 0, 2]


def test_a_replica_keeps_a_place_for_swaps(settings: Settings) -> None:
    room = room_of({"max_loras": 4, "max_cpu_loras": 9}, settings)
    assert (room.slots, room.capacity) == (4, 8)
    assert room.queue_timeout_s == settings.queue_timeout_s


def test_without_ray_it_says_what_to_install(
    settings: Settings, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"lorabay\[ray\]"):
        make_ray_engine(BaseFolder(base, "tiny"), {}, settings=settings)


def test_engines_made_of_other_things_have_another_name(settings: Settings, base: Path) -> None:
    """The same ones have the same, whatever the order of the options."""
    folder = BaseFolder(base, "tiny")
    first = made_of(folder, {"max_loras": 4, "dtype": "float32"}, settings)
    assert made_of(folder, {"dtype": "float32", "max_loras": 4}, settings) == first
    assert made_of(folder, {"max_loras": 5, "dtype": "float32"}, settings) != first
    slower = settings.model_copy(update={"load_timeout_s": 99.0})
    assert made_of(folder, {"max_loras": 4, "dtype": "float32"}, slower) != first
