"""The series of a server as lines, read from prometheus_client's own objects.

Its `collect` makes several objects of every line and words every label anew, which was four fifths
of the time of a page with a thousand adapters. Here the beginning of a line is worded once, and of
an adapter's gauges, which seldom change, the whole of it. What is neither is collected as ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter, Gauge, Histogram

from lorabay.api.measuring.lines import Lines, head, number
from lorabay.metrics import AdapterCollector, AdapterFacts

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

Labels = tuple[str, ...]
"""Values of the labels of one series."""


class Series:
    """The series of one registry, and how the lines of the last page began."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._heads: dict[Any, dict[Labels, tuple[str, ...]]] = {}
        self._adapters: dict[AdapterFacts, tuple[str, ...]] = {}

    def collect(self) -> Iterator[Metric | Lines]:
        """Yield every family, as it is at the moment when it is yielded."""
        for collector in tuple(self._registry._collector_to_names):
            if isinstance(collector, AdapterCollector):
                yield from self._of_adapters(collector)
            elif isinstance(collector, Counter | Gauge | Histogram) and collector._labelnames:
                yield self._labelled(collector)
            else:
                yield from collector.collect()

    def _labelled(self, family: Any) -> Lines:
        # Copied: the event loop adds and removes series while the page is written.
        with family._lock:
            children: dict[Labels, Any] = dict(family._metrics)

        known = self._heads.get(family, {})
        heads = {
            labels: known.get(labels) or _heads(family, labels, child)
            for labels, child in children.items()
        }
        self._heads[family] = heads
        texts = (_text(heads[labels], _values(child)) for labels, child in children.items())
        return Lines(family._name, family._documentation, family._type, texts)

    def _of_adapters(self, collector: AdapterCollector) -> Iterator[Metric | Lines]:
        families = collector.families()
        known = self._adapters
        lines = {
            fact: known.get(fact) or _lines_of(fact, families, collector)
            for fact in collector.facts()
        }
        self._adapters = lines

        by_family: Iterator[Sequence[str]] = zip(*lines.values(), strict=True)
        for family, texts in zip(families, by_family, strict=False):
            yield Lines(family.name, family.documentation, family.type, texts)
        if not lines:
            yield from families
        yield from collector.slot_gauges()


def _heads(family: Any, values: Labels, child: Any) -> tuple[str, ...]:
    """Return the beginnings of the lines of one series."""
    name, labels = family._name, dict(zip(family._labelnames, values, strict=True))
    if isinstance(family, Counter):
        return (head(f"{name}_total", labels),)
    if isinstance(family, Gauge):
        return (head(name, labels),)

    buckets = [head(f"{name}_bucket", labels | {"le": number(le)}) for le in child._upper_bounds]
    return (*buckets, head(f"{name}_count", labels), head(f"{name}_sum", labels))


def _values(child: Any) -> Sequence[float]:
    """Return the numbers of one series, in the order of its beginnings."""
    if "_child_samples" in vars(child):
        # `set_function` has put it there: the value is asked for, and kept nowhere.
        return [sample.value for sample in child._child_samples()]
    if not isinstance(child, Histogram):
        return (child._value.get(),)

    counts = list(accumulate(bucket.get() for bucket in child._buckets))
    return (*counts, counts[-1], child._sum.get())


def _text(heads: Sequence[str], values: Sequence[float]) -> str:
    return "".join(
        [f"{begin}{number(value)}\n" for begin, value in zip(heads, values, strict=True)]
    )


def _lines_of(
    fact: AdapterFacts, families: Sequence[Metric], collector: AdapterCollector
) -> tuple[str, ...]:
    """Return an adapter's line in each family of gauges; an empty text where it has none."""
    lines: list[str] = []
    for family, row in zip(families, collector.rows(fact), strict=True):
        if row is None:
            lines.append("")
            continue
        labels, value = row
        lines.append(f"{head(family.name, labels)}{number(value)}\n")
    return tuple(lines)
