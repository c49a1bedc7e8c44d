"""Prometheus' two text formats, written in slices, so that a large page holds nobody up.

prometheus_client writes a page at one go, at several times the cost a line; with a thousand
adapters that stops every stream for as long as some tokens take. A thread would not help: it would
let go of the interpreter only every few milliseconds, and read what the event loop changes
meanwhile. So a page is written on the loop, a piece at a time. The series of others, which are few,
are left to prometheus_client. Without `_created` series, which say when a series began.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics

from lorabay.api.measuring.lines import Lines, head, number

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector
    from prometheus_client.samples import Sample

SLICE_S = 0.002
"""Time after which a page that is being written lets others run."""

TEXTS = 50
"""Texts in a piece, which is written without looking at the clock."""

END = b"# EOF\n"


class Format:
    """One of the two formats: its content type, and how families become text."""

    def __init__(
        self,
        content_type: str,
        encode: Callable[[Collector], bytes],
        *,
        counter_suffix: str,
        end: bytes,
    ) -> None:
        self.content_type = content_type
        self._encode = encode
        self._counter_suffix = counter_suffix
        self.end = end

    @property
    def media_type(self) -> str:
        """Content type without its parameters."""
        return self.content_type.partition(";")[0]

    def foreign(self, family: Metric) -> bytes:
        """Return a family as prometheus_client writes it."""
        return self._encode(_Single(family)).removesuffix(END)

    def pieces(self, family: Metric | Lines) -> Iterator[bytes]:
        """Yield a family of ours, a part at a time."""
        suffix = self._counter_suffix if family.type == "counter" else ""
        name = family.name + suffix
        yield f"# HELP {name} {family.documentation}\n# TYPE {name} {family.type}\n".encode()

        lines = iter(family.texts) if isinstance(family, Lines) else _lines(family)
        while piece := "".join(islice(lines, TEXTS)):
            yield piece.encode()


TEXT = Format(CONTENT_TYPE_PLAIN_0_0_4, generate_latest, counter_suffix="_total", end=b"")

# prometheus_client's own choice turns `vllm:` into `vllm_` for scrapers that ask for OpenMetrics
# without an escaping, as Prometheus 2 does.
OPENMETRICS = Format(
    openmetrics.CONTENT_TYPE_LATEST,
    partial(openmetrics.generate_latest, escaping=openmetrics.ALLOWUTF8),
    counter_suffix="",
    end=END,
)


def choose_format(accept: str) -> Format:
    """Return the format that a scraper asks for."""
    return OPENMETRICS if "application/openmetrics-text" in accept else TEXT


class ForeignFamilies:
    """The families of others in one format, each written anew only when a sample has changed.

    Most have not, from one scrape to the next.
    """

    def __init__(self, form: Format) -> None:
        self._form = form
        self._written: dict[str, tuple[Sequence[Sample], bytes]] = {}

    def write(self, family: Metric) -> bytes:
        """Return a family as prometheus_client writes it."""
        samples, text = self._written.get(family.name, (None, b""))
        if samples != family.samples:
            text = self._form.foreign(family)
            self._written[family.name] = family.samples, text
        return text


async def write_page(
    form: Format,
    ours: Iterable[Metric | Lines],
    others: Iterable[Metric],
    foreign: ForeignFamilies | None = None,
) -> bytes:
    """Return a page of families of ours and of others; the loop runs other work in between.

    `foreign` knows the others' families of the page before.
    """
    foreign = foreign or ForeignFamilies(form)
    pieces: list[bytes] = []
    resumed = time.perf_counter()
    for piece in _pieces(form, ours, others, foreign):
        pieces.append(piece)
        if time.perf_counter() - resumed > SLICE_S:
            await asyncio.sleep(0)
            resumed = time.perf_counter()

    return b"".join(pieces)


def _pieces(
    form: Format,
    ours: Iterable[Metric | Lines],
    others: Iterable[Metric],
    foreign: ForeignFamilies,
) -> Iterator[bytes]:
    for family in ours:
        yield from form.pieces(family)
    for family in others:
        yield foreign.write(family)
    yield form.end


class _Single:
    """A registry of one family, for prometheus_client to write."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> list[Metric]:
        return [self._family]


def _lines(family: Metric) -> Iterator[str]:
    created = family.name + "_created"
    for sample in family.samples:
        if sample.name != created:
            yield f"{head(sample.name, sample.labels)}{number(sample.value)}\n"
