"""Pages in both formats, written in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from lorabay.api.measuring.exposition import (
    OPENMETRICS,
    TEXT,
    ForeignFamilies,
    choose_format,
    write_page,
)

WHOLE = {TEXT: generate_latest, OPENMETRICS: openmetrics.generate_latest}
PARSERS = {TEXT: parse_text, OPENMETRICS: parse_openmetrics}
FORMATS = pytest.mark.parametrize("form", PARSERS, ids=lambda form: form.media_type)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def registry_with(*texts: str) -> CollectorRegistry:
    """Return a registry with a family of each kind, with these values of a label."""
    registry = CollectorRegistry()
    counter = Counter("words", "Words.", ["text"], registry=registry)
    gauge = Gauge("level", "Level.", registry=registry)
    histogram = Histogram("wait_seconds", "Wait.", ["text"], buckets=(0.1, 5), registry=registry)
    for number, text in enumerate(texts):
        counter.labels(text).inc(number + 0.5)
        histogram.labels(text).observe(number)
    gauge.set(float("inf"))
    return registry


def samples_of(families: Iterator[Metric]) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@FORMATS
@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=8), unique=True, max_size=4))
def test_pages_say_what_the_registry_says(form: object, texts: list[str]) -> None:
    """Every sample can be read back, whatever its labels hold, as prometheus_client's can."""
    registry = registry_with(*texts)
    page = asyncio.run(write_page(form, registry.collect(), ()))  # type: ignore[arg-type]
    read = samples_of(PARSERS[form](page.decode()))  # type: ignore[index]
    assert read == samples_of(registry.collect())


@FORMATS
async def test_families_of_others_are_as_prometheus_client_writes_them(form: object) -> None:
    """Byte for byte, and each page ends once."""
    registry = registry_with("a", "b")
    page = await write_page(form, (), registry.collect())  # type: ignore[arg-type]
    assert page == WHOLE[form](registry)  # type: ignore[index]


@FORMATS
async def test_a_family_of_others_is_written_when_it_has_changed(form: Any) -> None:
    """Each page has the numbers of its own time; what stayed the same is not written again."""
    registry, foreign = registry_with("a", "b"), ForeignFamilies(form)
    first = await write_page(form, (), registry.collect(), foreign)
    written = {name: text for name, (_, text) in foreign._written.items()}
    assert await write_page(form, (), registry.collect(), foreign) == first
    again = {name: text for name, (_, text) in foreign._written.items()}
    assert all(again[name] is text for name, text in written.items())

    changed = registry_with("c")
    page = await write_page(form, (), changed.collect(), foreign)
    assert page == WHOLE[form](changed)


async def test_others_run_while_a_large_page_is_written() -> None:
    """The loop comes round many times before the page is whole."""
    family = Metric("lorabay_many", "Many.", "gauge")
    labels = [{"adapter": f"adapter-{number}"} for number in range(30_000)]
    family.samples = [Sample("lorabay_many", label, 1.0) for label in labels]
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    page = await write_page(TEXT, [family], ())
    counting.cancel()
    assert page.count(b"\n") == 30_002
    assert rounds > 3


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", OPENMETRICS),
    ],
)
def test_a_scraper_gets_the_format_that_it_asks_for(accept: str, form: object) -> None:
    """The text format serves everybody who does not ask for OpenMetrics."""
    assert choose_format(accept) is form
