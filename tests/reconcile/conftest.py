"""The fixtures of the server's adapters, shared with `tests/serving`, in the same virtual time."""

from __future__ import annotations

from tests.serving.conftest import (
    bay,
    engine,
    ever_opened,
    llama,
    llama_bay,
    opened,
    pytest_asyncio_loop_factories,
    residency,
    shapes,
)

__all__ = [
    "bay",
    "engine",
    "ever_opened",
    "llama",
    "llama_bay",
    "opened",
    "pytest_asyncio_loop_factories",
    "residency",
    "shapes",
]
