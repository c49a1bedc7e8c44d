"""The last hour: what it holds, and what it forgets."""

from __future__ import annotations

from lorabay.api.live.ring import KEPT, MOST, OTHER, SHOWN, SPAN_S, By, Ring
from tests.accounts.usage.made import a_record
from tests.clocks import Clock


def test_a_request_counts_in_the_span_in_which_it_ends() -> None:
    """By adapter, tenant and key; the gauges are those of its end."""
    clock = Clock(1000)
    ring = Ring(clock)
    ring.gauges = lambda: {"running": 2}
    ring.add(a_record(adapter="finance", tenant="acme", key="k-1", generated_tokens=50))
    assert ring.turn() is None
    clock.now += SPAN_S
    ring.add(a_record(adapter="shop"))

    [span] = [one.as_json() for one in ring.ended()]
    assert (span["at"], span["seconds"]) == (1000, SPAN_S)
    assert span["all"]["tokens_per_s"] == 5.0
    assert span["gauges"] == {"running": 2}
    assert {by: list(names) for by, names in span["by"].items()} == {
        "adapter": ["finance"],
        "tenant": ["acme"],
        "key": ["k-1"],
    }
    assert list(ring.ended(since=1000)) == []


def test_totals_are_those_of_the_last_seconds() -> None:
    """Also of the span that goes on; what is older is left out."""
    clock = Clock(1000)
    ring = Ring(clock)
    ring.add(a_record(adapter="old"))
    clock.now = 1100
    ring.add(a_record(adapter="new"))
    ring.add(a_record(adapter="new"))
    assert ring.totals(By.ADAPTER, 60)["new"]["requests"] == 2
    assert set(ring.totals(By.ADAPTER, 60)) == {"new"}
    assert set(ring.totals(By.ADAPTER, 3600)) == {"old", "new"}


def test_an_hour_is_kept_whatever_comes() -> None:
    """Spans and names are bounded: the names beyond share a sum."""
    clock = Clock(0)
    ring = Ring(clock)
    for number in range(KEPT + 20):
        clock.now = number * SPAN_S
        ring.turn()
    for number in range(MOST + 5):
        ring.add(a_record(adapter=f"adapter-{number}"))
    clock.now += SPAN_S
    ring.turn()

    spans = list(ring.ended())
    assert len(spans) == KEPT
    assert ring.totals(By.ADAPTER, 60)[OTHER]["requests"] == 5
    assert len(spans[-1].as_json()["by"]["adapter"]) == SHOWN


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    """Bug: no span ended until the clock had caught up, which may take years."""
    clock = Clock(1_000_000)
    ring = Ring(clock)
    ring.add(a_record(adapter="future"))
    clock.now = 1000
    ring.add(a_record(adapter="present"))
    clock.now += SPAN_S
    assert ring.turn() is not None
    assert set(ring.totals(By.ADAPTER, 60)) == {"present"}
