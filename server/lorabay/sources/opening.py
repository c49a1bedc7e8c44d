"""Opens the source that a location names: one line for each kind.

The module of a kind, and its library, is imported when a source of that kind is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.sources.locations import BUCKETS, FOLDER
from lorabay.sources.offers import SourceLimits

if TYPE_CHECKING:
    from lorabay.sources.interface import Source
    from lorabay.sources.locations import Location


def open_source(location: Location, limits: SourceLimits | None = None) -> Source:
    """Return the source; nothing is asked of it yet.

    Raises UsageError or SetupError for one that cannot be opened on this machine.
    """
    limits = limits or SourceLimits()
    if location.kind == FOLDER:
        from lorabay.sources.folder import Folder

        return Folder(Path(location.rest), limits)
    if location.kind in BUCKETS:
        from lorabay.sources.clouds import open_store

        store = open_store(location.url)
        from lorabay.sources.bucket import Bucket

        return Bucket(location.url, store, limits)
    if location.kind == "hf":
        from lorabay.sources.hub import HubRepository

        return HubRepository(location.rest, location.name, limits)

    from lorabay.sources.oci import OciArtifact
    from lorabay.sources.oci_reference import read_reference
    from lorabay.sources.oci_registry import OciRegistry

    reference = read_reference(location.rest)
    name = location.name or reference.name
    return OciArtifact(str(location), OciRegistry(reference), name, limits)
