"""Each thing that is chosen for adapters has a line with its cost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from lorabay.base.shapes import BaseShapes
from lorabay.server.room_log import Chosen, tell_room
from lorabay.server.slots import Slots
from lorabay.serving.room import Room
from lorabay.settings import Settings

OPTIONS = {"max_loras": 8, "max_lora_rank": 64, "max_cpu_loras": 41}


def lines(
    settings: Settings, base: Path, ranks: dict[str, int], **options: Any
) -> dict[str, dict[str, Any]]:
    """What is logged for adapters of these ranks, by event."""
    slots = Slots(settings, BaseShapes.read(base), None, on_cpu=False)
    specs: Any = {name: SimpleNamespace(rank=rank) for name, rank in ranks.items()}
    chosen = Chosen(OPTIONS | options, Room(4, 16), specs, 10 << 30, 3 << 20)
    with structlog.testing.capture_logs() as logs:
        tell_room(chosen, slots)
    return {line["event"]: dict(line) for line in logs}


def test_slots_and_memory_are_told_with_their_bytes(settings: Settings, base: Path) -> None:
    """What one takes, what all take, and what changes it."""
    told = lines(settings, base, {"finance": 64})
    each = Slots(settings, BaseShapes.read(base), None, on_cpu=False).cost(1, 64)
    assert told["slots"]["each_bytes"] == each
    assert told["slots"]["cost_mib"] == 8 * each >> 20
    places = told["adapters in memory"]
    assert (places["count"], places["each_bytes"], places["at_most_mib"], places["of_mib"]) == (
        41,
        3 << 20,
        123,
        10 << 10,
    )


@pytest.mark.parametrize(
    ("ranks", "names"),
    [
        ({"small": 8, "finance": 64, "legal": 33}, "finance, legal"),
        ({f"a{number}": 64 for number in range(5)}, "a0, a1, a2 and 2 more"),
        ({"small": 8}, "adapters to come"),
        ({}, "adapters to come"),
    ],
)
def test_the_adapters_that_set_the_rank_are_named(
    settings: Settings, base: Path, ranks: dict[str, int], names: str
) -> None:
    """Those that would not fit the next smaller one."""
    line = lines(settings, base, ranks)["adapter rank"]
    assert (line["limit"], line["needed_by"]) == (64, names)


def test_graphs_and_modules_are_told_where_they_are_not_vllms_usual(
    settings: Settings, base: Path
) -> None:
    """A line each, and none without."""
    usual = lines(settings, base, {"finance": 64})
    assert "graphs by number of adapters" not in usual
    assert "modules that adapters may change" not in usual
    chosen = {
        "specialize_active_lora": True,
        "cudagraph_capture_sizes": [1, 2, 4],
        "lora_target_modules": ["q_proj", "v_proj"],
    }
    told = lines(settings, base, {"finance": 64}, **chosen)
    assert told["graphs by number of adapters"]["sizes"] == 3
    assert told["modules that adapters may change"]["names"] == "q_proj, v_proj"
