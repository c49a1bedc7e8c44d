"""`GET /metrics`: lorabay's series and vLLM's in one exposition. It needs no key.

A page is made at most once a second for each format, so that scrapes in a loop cost no more than
one. vLLM's series are passed on unchanged, except for those that lorabay has itself: vLLM knows
versions (`finance@3f9c1a2b4d5e`) and requests, where routers ask for names (`finance`) and places.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from prometheus_client import REGISTRY
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
    from prometheus_client import CollectorRegistry, Metric
    from prometheus_client.registry import Collector

KEEP_S = 1.0
"""How long a page is shown again before it is made anew."""

OURS = frozenset(
    {
        "vllm:lora_adapter_loaded",
        "vllm:lora_requests_info",
        "vllm:max_gpu_lora_adapters",
        "vllm:num_cpu_loaded_lora_adapters",
        "vllm:num_gpu_loaded_lora_adapters",
    }
)
"""Series of vLLM's name that are ours. Prometheus would refuse a page with its own beside them."""


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
        """Return every family once, but for those that are ours."""
        families: dict[str, Metric] = {}
        for family in self._registry.collect():
            # A whole model's engine has the same families as the adapters' engine.
            known = families.setdefault(family.name, family)
            if known is not family:
                known.samples.extend(family.samples)

        return iter(family for family in families.values() if family.name not in OURS)
