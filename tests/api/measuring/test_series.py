"""Lines that are read from prometheus_client's own objects, against its own page of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lorabay.api.measuring.exposition import OPENMETRICS, TEXT, write_page
from lorabay.api.measuring.lines import Lines
from lorabay.api.measuring.series import Series
from lorabay.metrics import AdapterFacts, Metrics, SlotFacts

FINANCE = AdapterFacts("finance", "ready", "3f9c1a2b4d5e", "lora", 16, "engine", in_slot=True)
FACTS = (
    FINANCE,
    replace(FINANCE, adapter="shop", level="store", in_slot=False, approximate=0.02),
    replace(FINANCE, adapter="ads", in_slot=False, pinned=True),
    AdapterFacts("broken", "rejected", None, None, None, None),
)
FORMATS = pytest.mark.parametrize("form", [TEXT, OPENMETRICS], ids=lambda form: form.media_type)


def page(series: object, form: object = TEXT) -> str:
    written = write_page(form, series.collect(), ())  # type: ignore[arg-type, attr-defined]
    return asyncio.run(written).decode()


def lines(text: str) -> list[str]:
    """The lines of a page, with the labels of each in one order and without those of a begin."""
    return [in_one_order(line) for line in text.split("\n") if "_created" not in line]


def in_one_order(line: str) -> str:
    name, brace, rest = line.partition("{")
    if not brace:
        return line
    labels, end, value = rest.rpartition("} ")
    return name + brace + ",".join(sorted(labels.split(","))) + end + value


@given(
    texts=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters=",{}"), max_size=8),
        unique=True,
        max_size=4,
    ),
    values=st.lists(st.floats(0, 1e9), min_size=1, max_size=4),
)
def test_a_page_is_prometheus_clients(texts: list[str], values: list[float]) -> None:
    """Families of every kind, with labels and without, whatever the labels and numbers are."""
    registry = CollectorRegistry()
    counter = Counter("words", "Words.", ["text", "kind"], registry=registry)
    gauge = Gauge("level", "Level.", ["text"], registry=registry)
    wait = Histogram("wait_seconds", "Wait.", ["text"], buckets=(0.1, 5), registry=registry)
    Counter("all", "All.", registry=registry).inc()
    Histogram("one_seconds", "One.", registry=registry).observe(1)
    Gauge("now", "Now.", registry=registry).set_function(lambda: 7)
    for text in texts:
        for value in values:
            counter.labels(text, "a").inc(value)
            gauge.labels(text).set(value)
            wait.labels(text).observe(value)
    assert lines(page(Series(registry))) == lines(generate_latest(registry).decode())


def metrics_of(facts: list[AdapterFacts]) -> Metrics:
    metrics = Metrics(CollectorRegistry())
    metrics.follow_adapters(
        lambda: facts, slots=lambda: SlotFacts("base", taken=1, total=4, loaded=1)
    )
    for fact in facts:
        metrics.of(fact.adapter, metrics.requests, "chat", "200").inc()
        metrics.of(fact.adapter, metrics.load_seconds).observe(0.3)
    return metrics


@pytest.mark.parametrize("count", [0, 1, len(FACTS)])
def test_a_servers_page_is_prometheus_clients(count: int) -> None:
    """The gauges of adapters, too; with and without adapters."""
    registry = metrics_of(list(FACTS[:count])).registry
    assert lines(page(Series(registry))) == lines(generate_latest(registry).decode())


@FORMATS
def test_a_later_page_is_of_its_own_time(form: object) -> None:
    """Numbers, and adapters that changed, came or went, are as they are then."""
    facts = list(FACTS[:3])
    metrics = metrics_of(facts)
    series = Series(metrics.registry)
    first = page(series, form)
    assert page(series, form) == first

    metrics.of("finance", metrics.requests, "chat", "200").inc()
    metrics.forget("shop")
    facts[:] = [replace(FINANCE, state="draining"), FACTS[3]]
    assert page(series, form) == page(Series(metrics.registry), form) != first
    assert "shop" not in page(series, form)


def test_nothing_is_kept_of_series_that_went() -> None:
    """A server that lives long forgets the adapters that it had."""
    facts = list(FACTS)
    metrics = metrics_of(facts)
    series = Series(metrics.registry)
    page(series)
    for fact in FACTS:
        metrics.forget(fact.adapter)
    facts.clear()
    page(series)
    assert series._adapters == {}
    assert "adapter=" not in str(series._heads.values())


def test_series_may_come_while_a_page_is_written() -> None:
    """A family is read as it was when it was begun."""
    metrics = metrics_of(list(FACTS))
    for family in Series(metrics.registry).collect():
        metrics.of("another", metrics.requests, "chat", str(id(family))).inc()
        if isinstance(family, Lines):
            assert all(text.count("\n") for text in family.texts if text)


def test_a_value_that_is_asked_for_is_that_of_this_moment() -> None:
    """It was shown as 0: labels and `set_function` together kept it from being asked for."""
    registry, now = CollectorRegistry(), 7.0
    Gauge("age", "Age.", ["of"], registry=registry).labels("keys").set_function(lambda: now)
    series = Series(registry)
    for now in (7.0, 8.5):
        assert f'age{{of="keys"}} {now}' in page(series)
