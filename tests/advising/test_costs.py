"""The model of costs, against sums done by hand and against every way to place engines."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, strategies as st

from lorabay.advising.costs import GIB, Engine, best_plan, crossing, place, plan
from tests.advising.figures import EIGHT_B, figures


def test_an_engine_is_weights_overhead_and_one_sequence() -> None:
    """15 + 2 + 8192 * 128 KiB = 18 GiB, of which 72 hold four."""
    assert EIGHT_B.engine_bytes == 18 * GIB
    assert EIGHT_B.device_bytes == 72 * GIB
    assert EIGHT_B.merged_per_device == 4


def test_memory_is_that_of_all_engines() -> None:
    """Merged, each domain has the base's bytes; shared, all have them once, and an eighth each."""
    assert plan(EIGHT_B, [0.0] * 6, 6).memory == 6 * 18 * GIB
    assert plan(EIGHT_B, [0.0] * 6, 0).memory == 18 * GIB + 6 * GIB // 8
    mixed = plan(EIGHT_B, [0.0] * 6, 2)
    assert (mixed.memory, mixed.engines, mixed.shared) == (3 * 18 * GIB + 4 * GIB // 8, 3, 4)


def test_quiet_domains_are_a_matter_of_memory() -> None:
    """Four merged models fill a device; the fifth needs another, and a hundred adapters do not."""
    assert [plan(EIGHT_B, [0.0] * count, count).devices for count in (1, 4, 5, 8, 9)] == [
        1,
        1,
        2,
        2,
        3,
    ]
    assert plan(EIGHT_B, [0.0] * 100, 0).devices == 1
    assert crossing(EIGHT_B, 0.0, 100) == 5


@pytest.mark.parametrize(("memory", "found"), [(24, 2), (48, 3), (80, 5), (139, 7), (180, 10)])
def test_the_crossing_moves_with_the_device(memory: int, found: int) -> None:
    """It is one more than a device holds merged: no number of the plan's is in the model."""
    changed = figures(device_memory=memory * GIB)
    assert crossing(changed, 0.0, 100) == found == changed.merged_per_device + 1


def test_busy_domains_are_a_matter_of_speed() -> None:
    """700 tokens/s fill a device of 1000 to 0.7 when merged, and to 0.875 as an adapter."""
    merged, shared = plan(EIGHT_B, [700.0] * 4, 4), plan(EIGHT_B, [700.0] * 4, 0)
    assert (merged.devices, merged.busiest) == (4, pytest.approx(0.7))
    assert shared.devices == 5
    assert crossing(EIGHT_B, 700.0, 100) is None


def test_one_domain_may_need_several_engines() -> None:
    """1500 tokens/s are three times 0.5."""
    found = plan(EIGHT_B, [1500.0], 1)
    assert (found.engines, found.devices, found.busiest) == (3, 3, pytest.approx(0.5))


def test_a_busy_domain_among_quiet_ones_is_merged_alone() -> None:
    """Twenty quiet ones are six devices merged; sharing with them costs the busy one a device."""
    traffic = [1350.0, *[1.0] * 20]
    ways = {merged: plan(EIGHT_B, traffic, merged).devices for merged in (0, 1, 21)}
    assert ways == {0: 3, 1: 2, 21: 6}
    best = best_plan(EIGHT_B, traffic)
    assert (best.merged, best.devices) == (1, 2)


def test_of_equally_many_devices_merged_is_best_and_then_shared() -> None:
    """The simplest way first; nobody shares alone."""
    assert best_plan(EIGHT_B, [1.0] * 4).merged == 4
    assert best_plan(EIGHT_B, [1.0] * 5).merged == 0
    assert best_plan(EIGHT_B, [1.0]).merged == 1
    assert best_plan(EIGHT_B, [1.0, 1.0]).merged == 2


def test_a_device_that_is_full_holds_some_of_the_adapters() -> None:
    """Two GiB beside the base are sixteen slots of an eighth."""
    tight = figures(device_memory=20 * GIB, usable=1.0)
    assert (tight.slots(10), tight.slots(100)) == (10, 16)
    assert plan(tight, [0.0] * 100, 0).memory == 20 * GIB


def test_unknown_speed_leaves_memory_alone() -> None:
    """Traffic then says nothing."""
    unknown = figures(speed=None)
    assert plan(unknown, [1e9] * 5, 0).devices == 1


def fewest(engines: list[Engine], size: int, load: float) -> int:
    """Return the fewest devices, by trying every placement."""
    for count in range(1, len(engines) + 1):
        for places in product(range(count), repeat=len(engines)):
            on = [
                [one for one, at in zip(engines, places, strict=True) if at == n]
                for n in range(count)
            ]
            if all(
                sum(one.size for one in some) <= size
                and sum(one.busy for one in some) <= load + 1e-9
                for some in on
            ):
                return count
    raise AssertionError("an engine fits nowhere")


@given(
    st.lists(
        st.builds(Engine, st.integers(1, 10), st.integers(0, 10).map(lambda tenth: tenth / 10)),
        min_size=1,
        max_size=5,
    )
)
def test_placement_holds_its_bounds_and_is_nearly_the_best(engines: list[Engine]) -> None:
    """No device is overfull, and at most one more is used than every placement tried needs."""
    loads = place(engines, 10, 1.0)
    assert sum(loads) == pytest.approx(sum(one.busy for one in engines))
    assert max(loads) <= 1.0 + 1e-6
    best = fewest(engines, 10, 1.0)
    assert best <= len(loads) <= best + 1


def test_many_equal_engines_are_placed_at_once() -> None:
    """In time that grows with their number, and where first fit puts them: two large and a small
    one on a device, and five small ones on each of those behind.
    """
    engines = [Engine(10, 0.1)] * 20_000 + [Engine(5, 0.1)] * 20_000
    loads = place(engines, 25, 0.7)
    assert loads == pytest.approx([0.3] * 10_000 + [0.5] * 2_000)
