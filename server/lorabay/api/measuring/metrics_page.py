"""`GET /metrics`: lorabay's series and vLLM's in one exposition. It needs no key.

A page is made at most once a second for each format, so that scrapes in a loop cost no more than
one. vLLM's series are passed on unchanged, except that one of them names adapters in place of
versions. vLLM knows versions (`finance@3f9c1a2b4d5e`), because two of one adapter may run in one
batch. Routers that read `vllm:lora_requests_info` know only names (`finance`).
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import gzip_accepted

from lorabay.api.measuring.exposition import (
    OPENMETRICS,
    TEXT,
    ForeignFamilies,
    Format,
    choose_format,
    write_page,
)
from lorabay.api.measuring.series import Series

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

KEEP_S = 1.0
"""How long a page is shown again before it is made anew."""

LORA_INFO = "vllm:lora_requests_info"
ADAPTER_LISTS = ("running_lora_adapters", "waiting_lora_adapters")
"""Labels of that series that hold names, joined by commas."""

OURS = frozenset(
    {
        "vllm:lora_adapter_loaded",
        "vllm:num_gpu_loaded_lora_adapters",
        "vllm:max_gpu_lora_adapters",
    }
)
"""Series of vLLM's name that are ours; those of a later vLLM that has them, too, are not shown."""


def metrics_router(registry: CollectorRegistry) -> APIRouter:
    """Return the route; lorabay's series are in `registry`, vLLM's in the process's own."""
    router = APIRouter(tags=["server"])
    ours, others = Series(registry), VllmSeries(REGISTRY)
    pages = {form: Pages(form, ours, others) for form in (TEXT, OPENMETRICS)}

    @router.get(
        "/metrics",
        summary="Prometheus metrics of lorabay and vLLM",
        response_class=Response,
        responses={200: {"content": {form.media_type: {} for form in pages}}},
    )
    async def expose(request: Request) -> Response:
        form = choose_format(request.headers.get("accept", ""))
        page = await pages[form].read()

        headers = {"vary": "accept, accept-encoding"}
        if not gzip_accepted(request.headers.get("accept-encoding", "")):
            return Response(page.text, headers=headers, media_type=form.content_type)
        headers["content-encoding"] = "gzip"
        return Response(await page.packed(), headers=headers, media_type=form.content_type)

    return router


class Page:
    """One page as it was at one moment."""

    def __init__(self, text: bytes, made_at: float) -> None:
        self.text = text
        self.made_at = made_at
        self._packed: bytes | None = None

    async def packed(self) -> bytes:
        """Return the page as gzip packs it, which is done once."""
        if self._packed is None:
            self._packed = await asyncio.to_thread(gzip.compress, self.text, 1)
        return self._packed


class Pages:
    """The pages in one format, of which each is shown for `KEEP_S`."""

    def __init__(
        self,
        form: Format,
        ours: Collector | Series,
        others: Collector,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._form = form
        self._ours = ours
        self._others = others
        self._clock = clock
        self._foreign = ForeignFamilies(form)
        self._turn = asyncio.Lock()
        self._page: Page | None = None

    async def read(self) -> Page:
        """Return the present page; one that is too old is made anew first."""
        # Whoever comes while a page is made waits for that one.
        async with self._turn:
            if self._page is None or self._clock() - self._page.made_at >= KEEP_S:
                ours, others = self._ours.collect(), self._others.collect()
                text = await write_page(self._form, ours, others, self._foreign)
                self._page = Page(text, self._clock())
            return self._page


class VllmSeries:
    """The series of vLLM's registry, for an exposition to collect."""

    def __init__(self, registry: Collector) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Return every family once; of samples that differ only in versions, the newest."""
        families: dict[str, Metric] = {}
        for family in self._registry.collect():
            # A whole model's engine has the same families as the adapters' engine.
            known = families.setdefault(family.name, family)
            if known is not family:
                known.samples.extend(family.samples)

        for family in families.values():
            if family.name not in OURS:
                yield _by_adapter(family) if family.name == LORA_INFO else family


def _by_adapter(family: Metric) -> Metric:
    # Two versions of one adapter become samples with equal labels, which Prometheus refuses. The
    # value is a time.
    newest: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = dict(sample.labels)
        for label in ADAPTER_LISTS:
            if label in labels:
                labels[label] = _adapters(labels[label])
        key = tuple(labels.items())
        newest[key] = max(sample.value, newest.get(key, 0.0))

    renamed = GaugeMetricFamily(family.name, family.documentation)
    for key, value in newest.items():
        renamed.add_sample(family.name, dict(key), value)
    return renamed


def _adapters(versions: str) -> str:
    """Return the adapters of a list of versions, each once, in the order of the list."""
    names = (version.partition("@")[0] for version in versions.split(","))
    return ",".join(dict.fromkeys(names))
