"""Engines on a Ray cluster as the settings want them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorabay.base.find import BaseFolder
from lorabay.errors import SetupError
from lorabay.server import replicas
from lorabay.server.replicas import (
    ENGINES_SETTINGS,
    PROGRAMS,
    made_of,
    make_ray_engine,
    own_cpus,
    room_of,
)
from lorabay.settings import Settings
from tests import making


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


def test_a_replica_has_the_slots_of_all_its_copies(settings: Settings) -> None:
    options = {"max_loras": 4, "max_cpu_loras": 9, "data_parallel_size": 2}
    assert room_of(options, settings).slots == 8


def test_without_ray_it_says_what_to_install(
    settings: Settings, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"lorabay\[ray\]"):
        make_ray_engine(BaseFolder(base, "tiny"), {}, settings=settings)


def other(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update=changes)


def test_engines_made_of_other_things_have_another_name(settings: Settings, base: Path) -> None:
    """The same ones have the same, whatever the order of the options."""
    folder = BaseFolder(base, "tiny")
    engine = {"max_loras": 4, "dtype": "float32"}
    first = made_of(folder, other(settings, engine=engine))
    turned = dict(reversed(engine.items()))
    assert made_of(folder, other(settings, engine=turned)) == first
    assert made_of(folder, other(settings, engine=engine | {"max_loras": 5})) != first
    assert made_of(folder, other(settings, engine=engine, load_timeout_s=99.0)) != first
    assert made_of(folder, other(settings, engine=engine, ray_gpus=0.5)) != first


def test_the_fronts_own_settings_are_no_part_of_an_engine(settings: Settings, base: Path) -> None:
    """Nor are numbers of engines: other ones restart none."""
    folder = BaseFolder(base, "tiny")
    fronts = other(settings, port=1, max_body_bytes=7, log_level="debug", ray_replicas=3)
    assert made_of(folder, fronts) == made_of(folder, settings)


def test_engines_of_another_release_or_base_have_another_name(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They speak another language, or say other things: the base may change where it is."""
    path = making.make_base(tmp_path / "tiny")
    folder = BaseFolder(path, "tiny")
    names = [made_of(folder, settings)]

    os.utime(path / "model.safetensors", ns=(1, 1))
    names.append(made_of(folder, settings))
    (path / "chat_template.jinja").write_text("{{ messages }}")
    names.append(made_of(folder, settings))
    for program in PROGRAMS:
        monkeypatch.setattr(replicas, "version", lambda name, new=program: str(name == new))
        names.append(made_of(folder, settings))
    assert len(set(names)) == len(names)


def test_settings_of_engines_are_settings() -> None:
    assert set(ENGINES_SETTINGS) < set(Settings.model_fields)
