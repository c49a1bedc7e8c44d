"""The folders of all stored versions, each named by its digest: see `stored_version`.

A folder appears and goes by one rename, the weights that a version shares before it and after it.
What the disk does not say is an OSError, never an answer. Appearing and going away happen under the
store's lock. Knows nothing of who needs a version.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from lorabay.catalog.storage import stored_version
from lorabay.catalog.versions import Digest, Version
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Collection, Set as AbstractSet
    from pathlib import Path

    from lorabay.catalog.adapter_defaults import AdapterDefaults
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.storage.stored_version import Made, StoredVersion
    from lorabay.catalog.storage.work_folder import WorkFolder
    from lorabay.catalog.versions import AdapterSpec

_DIGEST = re.compile(r"[0-9a-f]{64}")


class VersionFolders:
    """The versions in `folder`; `work` takes what is removed."""

    def __init__(self, folder: Path, work: WorkFolder) -> None:
        self._folder = folder
        self._work = work
        self._weights: dict[Digest, Digest] = {}
        """Versions of which it is known which weights they share; that never changes."""

    def digests(self) -> list[Digest]:
        """Return what is stored, whole or not, sorted."""
        digests: list[Digest] = []
        for path in self._folder.iterdir():
            # What has another name is not ours: a file system may keep things of its own here.
            if _DIGEST.fullmatch(path.name):
                digests.append(Digest(path.name))
        return sorted(digests)

    def read(self, digest: Digest) -> StoredVersion | None:
        """Return what is noted of a version; None if it is absent or not whole."""
        return stored_version.read(self._folder, digest)

    def read_weights(self, digest: Digest) -> StoredVersion | None:
        """Return what is noted of the weights of a version; None if they are not there."""
        stored = self.read(digest)
        if stored is None or stored.weights == digest:
            return stored
        return self.read(stored.weights)

    def version(self, name: AdapterName, spec: AdapterSpec, defaults: AdapterDefaults) -> Version:
        """Return a version as an adapter's; its path is the folder of the weights."""
        return Version(name, spec, self._folder / spec.weights, defaults)

    def add(self, made: Made) -> None:
        """Make a version appear that is on disk, and before it the weights that it shares.

        Their names survive a power cut after `sync`.
        """
        self._add_folder(made.weights, made.spec.weights)
        if made.sharing is not None:
            self._add_folder(made.sharing, made.spec.digest)

    def _add_folder(self, made: Path, digest: Digest) -> None:
        folder = self._folder / digest
        stored = self.read(digest)
        if stored is not None:
            # Equal digests mean equal tensors, so that the version is right over either base.
            stored_version.add_bases(folder, stored, stored_version.bases_of(made))
            return

        if folder.exists():  # damaged
            shutil.rmtree(self._move_aside(digest), ignore_errors=True)
        made.rename(folder)

    def sync(self) -> None:
        """Wait until the names of all versions are on disk."""
        durable.sync(self._folder)

    def note_base(self, digest: Digest, identity: str) -> None:
        """Note that the output scales of a version, if it has any, are right for a base."""
        stored = self.read_weights(digest)
        if stored is not None and stored.has_scales:
            stored_version.add_bases(self._folder / stored.weights, stored, [identity])

    def note_weights(self, spec: AdapterSpec) -> None:
        """Remember which weights a version shares."""
        self._weights[spec.digest] = spec.weights

    def with_weights(self, digests: AbstractSet[Digest]) -> frozenset[Digest]:
        """Return versions, and the weights that they share."""
        for digest in digests - self._weights.keys():
            weights = stored_version.weights_of(self._folder, digest)
            if weights is not None:
                self._weights[digest] = weights

        shared = {self._weights.get(digest, digest) for digest in digests}
        return frozenset(digests | shared)

    def remove(self, digests: Collection[Digest]) -> None:
        """Take versions away; their files still have to be deleted from the work folder."""
        # On a disk that does not say what is shared, the order is by digest.
        with suppress(OSError):
            self.with_weights(frozenset(digests))

        # Whatever shares weights goes before them: a kill in between leaves no half version.
        sharing = [digest for digest in digests if self._weights.get(digest, digest) != digest]
        weights = [digest for digest in digests if self._weights.get(digest, digest) == digest]
        for digest in (*sharing, *weights):
            self._move_aside(digest)

    def _move_aside(self, digest: Digest) -> Path:
        """Take a version away by one rename: a kill during the removal leaves no part of it
        visible.
        """
        aside = self._work.new_path()
        (self._folder / digest).rename(aside)
        return aside
