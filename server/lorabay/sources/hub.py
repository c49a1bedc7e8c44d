"""An adapter on the Hugging Face hub, or on a mirror of it (`HF_ENDPOINT`), by branch, tag or
commit.

Whatever was named is pinned to the commit that it leads to now, and that commit is fetched. A
commit is asked for once. In offline mode (`HF_HUB_OFFLINE`) only the hub's own cache on this
machine is read. Knows nothing of what becomes of the files.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.constants import is_offline_mode
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from lorabay.errors import UsageError
from lorabay.files.daemon_threads import DaemonThreads
from lorabay.sources.interface import Listing, Offer, RemoteFile, SourceError
from lorabay.sources.locations import Location
from lorabay.sources.offers import SourceLimits, listing_of

if TYPE_CHECKING:
    from lorabay.sources.pace import Pace

ANSWER_S = 30.0
"""How long the hub may take to say what a repository holds."""

_REPOSITORY = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_LASTING: dict[type[Exception], str] = {
    GatedRepoError: "is gated: accept its terms on the hub, and set HF_TOKEN for that account",
    RevisionNotFoundError: "has no such revision",
    RepositoryNotFoundError: "does not exist, or wants a token: set HF_TOKEN",
    HFValidationError: "is not a name of the hub",
}
"""What somebody has to mend, and how; a kind stands before those that it is one of."""

_FAILURES = (
    HTTPError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""What the hub's client raises for failures, and for answers that are none of a hub's."""

_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class HubRepository:
    """One repository, which is the adapter `name`, or else its own last part."""

    def __init__(self, rest: str, name: str | None = None, limits: SourceLimits | None = None):
        match = _REPOSITORY.fullmatch(rest)
        if match is None:
            raise UsageError(f"hf://{rest} is not hf://ORG/NAME or hf://ORG/NAME@REVISION")
        self._id = match["id"]
        self._revision = match["revision"] or "main"
        self._location = str(Location("hf", rest, name))
        self._name = name or self._id.rpartition("/")[2]
        self._limits = limits or SourceLimits()
        self._pinned: Listing | None = None
        self._threads = DaemonThreads("lorabay-hub")

    @property
    def location(self) -> str:
        """The repository's URL, with the name that its adapter was given."""
        return self._location

    async def list(self) -> Listing:
        """Return the adapter at the commit that the revision leads to now."""
        if self._pinned is not None:
            return self._pinned

        look = self._look_into_cache if is_offline_mode() else self._ask
        listing = await self._threads.begin(look)
        if _SHA1.fullmatch(self._revision) and not is_offline_mode():
            self._pinned = listing
        return listing

    def _ask(self) -> Listing:
        try:
            info = HfApi().model_info(
                self._id, revision=self._revision, files_metadata=True, timeout=ANSWER_S
            )
            files = {
                sibling.rfilename: RemoteFile(int(sibling.size or 0), _mark(sibling))
                for sibling in info.siblings or ()
                if "/" not in sibling.rfilename
            }
        except _FAILURES as error:
            raise self._error(error) from error

        if not info.sha:
            raise SourceError(f"{self.location} is told without its commit")
        return self._listing(files, str(info.sha))

    def _look_into_cache(self) -> Listing:
        """Return what the hub's cache on this machine has of the revision."""
        try:
            folder = Path(
                snapshot_download(self._id, revision=self._revision, local_files_only=True)
            )
        except _FAILURES as error:
            raise SourceError(
                f"{self.location} is not in the hub's cache on this machine, and offline mode "
                "(HF_HUB_OFFLINE) is on"
            ) from error

        # A file of the cache is a link to what is named by its digest.
        files = {
            path.name: RemoteFile(path.stat().st_size, path.resolve().name)
            for path in folder.iterdir()
            if path.is_file()
        }
        return self._listing(files, folder.name)

    def _listing(self, files: dict[str, RemoteFile], commit: str) -> Listing:
        folders = {self._name: files}
        listing = listing_of(folders, self._limits, sealed=folders, at={self._name: commit})
        if listing.is_empty:
            return Listing(refused={self._name: f"there is no adapter in {self._id}@{commit[:12]}"})
        return listing

    async def fetch(self, offer: Offer, into: Path, pace: Pace) -> None:
        """Download the files at the commit that was listed."""
        for name, file in offer.files.items():
            await self._threads.begin(self._download, offer.at, name, file, into)
            await pace.take(file.size)
        # What the hub's client notes beside a download.
        shutil.rmtree(into / ".cache", ignore_errors=True)

    def _download(self, commit: str, name: str, file: RemoteFile, into: Path) -> None:
        try:
            if is_offline_mode():
                cached = hf_hub_download(self._id, name, revision=commit, local_files_only=True)
                shutil.copyfile(cached, into / name)
            else:
                hf_hub_download(self._id, name, revision=commit, local_dir=into)
        except _FAILURES as error:
            raise self._error(error) from error
        self._check(into / name, file)

    def _check(self, path: Path, file: RemoteFile) -> None:
        """Raise SourceError if a file is not what the hub said of it."""
        size = path.stat().st_size
        if size != file.size:
            raise SourceError(f"{path.name} has {size} bytes, and {file.size} were promised")
        hashed = _hash_of(file)
        if hashed is None:
            return
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, lambda: hashed).hexdigest()
        if digest != file.mark:
            raise SourceError(
                f"{path.name} has the digest {hashed.name}:{digest[:12]}..., and "
                f"{hashed.name}:{file.mark[:12]}... was promised"
            )

    def _error(self, error: Exception) -> SourceError:
        """Return a failure of the hub's client in one sentence."""
        for kind, reason in _LASTING.items():
            if isinstance(error, kind):
                return SourceError(f"{self.location} {reason}", lasting=True)

        reason = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, HfHubHTTPError) and error.response is not None:
            status = error.response.status_code
            if status in (401, 403):
                return SourceError(f"{self.location} refuses this token ({status})", lasting=True)
            reason = f"status {status}"
        if not isinstance(error, HTTPError | OSError):
            return SourceError(f"{self.location} does not answer as a hub does")
        return SourceError(f"{self.location} does not answer: {reason[:200]}")

    async def close(self) -> None:
        """Do nothing: connections end with the client."""


def _hash_of(file: RemoteFile) -> hashlib._Hash | None:
    """Return what hashes a file's bytes to its mark; None for a mark that is no digest.

    A file of LFS is known by its SHA-256, any other by the id that git gives it.
    """
    if _SHA256.fullmatch(file.mark):
        return hashlib.sha256()
    if _SHA1.fullmatch(file.mark):
        return hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    return None


def _mark(sibling: Any) -> str:
    """Return the digest of a file, by which the hub's cache names it, too."""
    return str(sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id)
