"""An adapter in an OCI registry, by tag or by digest.

A poll asks what the tag leads to now; a fixed digest is asked for once. What comes is checked
against its digest, so nothing waits. Knows nothing of what becomes of the files.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lorabay.sources.adapter_files import what_is_missing
from lorabay.sources.interface import Listing, Offer, RemoteFile, SourceError
from lorabay.sources.oci_layers import names_tar, read_layers, unpack

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.sources.oci_registry import OciRegistry
    from lorabay.sources.offers import SourceLimits
    from lorabay.sources.pace import Pace


class OciArtifact:
    """One artifact, which is the adapter `name`."""

    def __init__(
        self, location: str, registry: OciRegistry, name: str, limits: SourceLimits
    ) -> None:
        self._location = location
        self._registry = registry
        self._name = name
        self._limits = limits
        self._digest: str | None = None
        self._listing = Listing()

    @property
    def location(self) -> str:
        """The artifact's URL, with the name that its adapter was given."""
        return self._location

    async def list(self) -> Listing:
        """Return the adapter as the tag leads to it now, or why it is not one."""
        reference = self._registry.reference
        digest = reference.digest or await self._registry.digest_of(reference.tag)
        if digest is None or digest != self._digest:
            await self._read(digest or reference.tag)
        return self._listing

    async def _read(self, wanted: str) -> None:
        digest, content = await self._registry.manifest(wanted)
        try:
            layers = read_layers(content)
            total = sum(layer.size for layer in layers)
            if total > self._limits.total_bytes:
                raise SourceError(f"its {total} bytes are beyond --source-gib")
        except SourceError as error:
            reason = f"{error.message} ({digest[:19]})"
            self._listing = Listing(refused={self._name: reason})
        else:
            files = {layer.name: RemoteFile(layer.size, layer.digest) for layer in layers}
            offer = Offer(self._name, files, sealed=True, at=digest)
            self._listing = Listing({self._name: offer})
        self._digest = digest

    async def fetch(self, offer: Offer, into: Path, pace: Pace) -> None:
        """Download the layers into a folder, and unpack those that are archives."""
        for name, file in offer.files.items():
            await self._registry.download(file.mark, file.size, into / name, pace)
            if names_tar(name):
                await asyncio.to_thread(unpack, into / name, into)
                await asyncio.to_thread((into / name).unlink)

        names = await asyncio.to_thread(lambda: [path.name for path in into.iterdir()])
        missing = what_is_missing(names)
        if missing is not None:
            raise SourceError(f"{missing} among the files of the artifact", lasting=True)

    async def close(self) -> None:
        """Close the connections."""
        await self._registry.close()
