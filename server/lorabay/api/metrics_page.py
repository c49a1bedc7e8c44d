"""`GET /metrics`: lorabay's series and vLLM's in one exposition. It needs no key.

vLLM's series are passed on unchanged, except that one of them names adapters in place of versions.
vLLM knows versions (`finance@3f9c1a2b4d5e`), because two of one adapter may run in one batch.
Routers that read `vllm:lora_requests_info`, to find where an adapter is loaded, know only its name
(`finance`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

LORA_INFO = "vllm:lora_requests_info"
ADAPTER_LISTS = ("running_lora_adapters", "waiting_lora_adapters")
"""Labels of that series that hold names, joined by commas."""


def metrics_router(registry: CollectorRegistry) -> APIRouter:
    """Return the route; lorabay's series are in `registry`, vLLM's in the process's own."""
    router = APIRouter(tags=["server"])

    @router.get("/metrics", summary="Prometheus metrics of lorabay and vLLM")
    async def expose(request: Request) -> Response:
        encode, content_type = choose_format(request.headers.get("accept", ""))
        ours = encode(registry).removesuffix(b"# EOF\n")
        vllms = encode(VllmSeries(REGISTRY))
        return Response(ours + vllms, media_type=content_type)

    return router


def choose_format(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """Return the encoder and the content type of the format that a scraper asks for.

    prometheus_client's own choice turns `vllm:` into `vllm_` for scrapers that ask for OpenMetrics
    without an escaping, as Prometheus 2 does.
    """
    if "application/openmetrics-text" in accept:
        encode = partial(openmetrics.generate_latest, escaping=openmetrics.ALLOWUTF8)
        return encode, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest, CONTENT_TYPE_PLAIN_0_0_4


class VllmSeries:
    """The series of vLLM's registry, for an exposition to collect."""

    def __init__(self, registry: Collector) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Return every family; of samples that differ only in versions, the newest."""
        for family in self._registry.collect():
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
