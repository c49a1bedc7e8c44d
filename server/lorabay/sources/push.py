"""Sends the adapters of a folder to a source, from which servers then take them.

Knows which kinds of sources take adapters, and nothing of how.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lorabay.errors import UsageError
from lorabay.sources.clouds import open_store
from lorabay.sources.locations import BUCKETS
from lorabay.sources.oci_reference import read_reference
from lorabay.sources.oci_registry import OciRegistry
from lorabay.sources.push_registry import push_to_registry
from lorabay.sources.pushed import adapters_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.sources.locations import Location
    from lorabay.sources.pushed import Pushed

    Bar = Callable[[str, int], None]


def check_push(folder: Path, location: Location) -> tuple[Pushed, ...]:
    """Return the adapters of a folder that are to be pushed. Raises SetupError or UsageError."""
    if location.kind not in (*BUCKETS, "oci"):
        raise UsageError("adapters are pushed to s3://, gs://, az:// or oci://")
    adapters = adapters_in(folder)
    if location.kind == "oci" and len(adapters) > 1:
        raise UsageError(
            f"{location.url} holds one adapter, and {folder} has {len(adapters)}: push each of "
            "them to a repository of its own"
        )
    return adapters


def push(adapters: tuple[Pushed, ...], location: Location, advance: Bar) -> dict[str, str | None]:
    """Send adapters; return by name what the registry calls each, None where there is no such
    thing.

    Blocks. Raises SourceError.
    """
    if location.kind == "oci":
        (adapter,) = adapters
        return {adapter.name: asyncio.run(_push_to_registry(adapter, location, advance))}

    store = open_store(location.url)
    from lorabay.sources.push_bucket import push_to_bucket

    for adapter in adapters:
        push_to_bucket(location.url, store, adapter, advance)
    return {adapter.name: None for adapter in adapters}


async def _push_to_registry(adapter: Pushed, location: Location, advance: Bar) -> str:
    reference = read_reference(location.rest)
    if reference.digest is not None:
        raise UsageError(f"{location.url} is a digest; adapters are pushed to a tag")
    registry = OciRegistry(reference, "pull,push")
    try:
        return await push_to_registry(registry, adapter, advance)
    finally:
        await registry.close()
