"""Adapters in a bucket of S3, Google Cloud or Azure: `PREFIX/NAME/FILE`.

One list of everything below the prefix is a poll: a request for each thousand objects. A file is
fetched only as it was listed, which its ETag tells. Credentials come from the environment, as each
cloud's own programs take them. Knows nothing of what becomes of the files.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from lorabay.sources.interface import Changed, Listing, RemoteFile, SourceError
from lorabay.sources.manifest import MANIFEST_BYTES, MANIFEST_FILE, Manifest, read_manifest
from lorabay.sources.offers import SourceLimits, listing_of
from lorabay.sources.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from obstore import ObjectMeta
    from obstore.store import ObjectStore

    from lorabay.sources.interface import Offer
    from lorabay.sources.pace import Pace

CHUNK_BYTES = 1 << 20

OBJECTS_AN_ADAPTER = 20
"""Objects below the prefix for each adapter that a source may bring; beyond, the list is refused.

Training state that lies among the adapters makes every poll dearer.
"""

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


class Bucket:
    """The adapters below one prefix of a bucket; `store` is opened at that prefix."""

    def __init__(
        self, location: str, store: ObjectStore, limits: SourceLimits | None = None
    ) -> None:
        self._location = location
        self._store = store
        self._limits = limits or SourceLimits()

    @property
    def location(self) -> str:
        """The bucket's URL."""
        return self._location

    async def list(self) -> Listing:
        """Return every adapter below the prefix. Raises SourceError."""
        folders: defaultdict[str, dict[str, RemoteFile]] = defaultdict(dict)
        newest: dict[str, datetime] = {}
        manifests: dict[str, datetime] = {}
        for item in await self._objects():
            name, slash, file = item["path"].partition("/")
            if not slash or "/" in file:
                continue
            folders[name][file] = _remote_file(item)
            if file == MANIFEST_FILE:
                manifests[name] = item["last_modified"]
            else:
                newest[name] = max(newest.get(name, item["last_modified"]), item["last_modified"])

        # A file that came after the manifest is another upload, or another program's.
        sealed = {name for name, time in manifests.items() if name in newest}
        sealed -= {name for name in sealed if newest[name] > manifests[name]}
        return listing_of(folders, self._limits, sealed=sealed, also=(MANIFEST_FILE,))

    async def _objects(self) -> Sequence[ObjectMeta]:
        """Return everything below the prefix."""
        most = self._limits.adapters * OBJECTS_AN_ADAPTER
        found: list[ObjectMeta] = []
        with told(self._location):
            async for chunk in obstore.list(self._store, chunk_size=1000):
                found += chunk
                if len(found) > most:
                    raise SourceError(
                        f"{self._location} holds more than {most} objects: point --adapters at a "
                        "prefix that holds adapters and nothing else"
                    )
        return found

    async def fetch(self, offer: Offer, into: Path, pace: Pace) -> None:
        """Write the files of an adapter into a folder, each as it was listed."""
        manifest = await self._manifest(offer)
        for name, file in offer.files.items():
            if name == MANIFEST_FILE:
                continue
            promised = None
            if manifest is not None:
                if name not in manifest.files:
                    continue
                promised = manifest.files[name].sha256
            await self._download(f"{offer.name}/{name}", file, into / name, promised, pace)

        if manifest is not None:
            _check_all_there(manifest, offer)

    async def _manifest(self, offer: Offer) -> Manifest | None:
        file = offer.files.get(MANIFEST_FILE)
        if file is None:
            return None
        if file.size > MANIFEST_BYTES:
            raise SourceError(f"{MANIFEST_FILE} has {file.size} bytes; the limit is 1 MiB")

        with told(self._location, offer.name):
            answer = await obstore.get_async(self._store, f"{offer.name}/{MANIFEST_FILE}")
            _check_same(answer.meta, file)
            content = await answer.bytes_async()
        return read_manifest(bytes(content))

    async def _download(
        self, path: str, file: RemoteFile, target: Path, sha256: str | None, pace: Pace
    ) -> None:
        with told(self._location, path), Sink(target, file.size, sha256) as sink:
            # Some servers pass over the condition, so what comes is compared as well.
            answer = await obstore.get_async(
                self._store, path, options={"if_match": file.mark} if _is_etag(file) else {}
            )
            _check_same(answer.meta, file)
            async for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                await asyncio.to_thread(sink.add, bytes(chunk))
                await pace.take(len(chunk))
            sink.check()

    async def close(self) -> None:
        """Do nothing: connections end with the store."""


def _check_all_there(manifest: Manifest, offer: Offer) -> None:
    for name, file in manifest.files.items():
        listed = offer.files.get(name)
        if listed is None or listed.size != file.size:
            raise SourceError(
                f"{name} is not what {MANIFEST_FILE} says: an upload is under way, or another "
                "program changed it; push the adapter again, or delete the manifest"
            )


def _remote_file(item: ObjectMeta) -> RemoteFile:
    tag = item["e_tag"]
    mark = tag if tag is not None else f"{item['size']} at {item['last_modified'].isoformat()}"
    return RemoteFile(item["size"], mark)


def _is_etag(file: RemoteFile) -> bool:
    return " at " not in file.mark


def _check_same(answer: ObjectMeta, file: RemoteFile) -> None:
    """Raise Changed if an answer is not the object that was listed."""
    if answer["size"] != file.size:
        raise Changed
    tag = answer["e_tag"]
    # Some servers leave the quotation marks out of lists.
    if tag is not None and _is_etag(file) and tag.strip('"') != file.mark.strip('"'):
        raise Changed


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return None if match is None else match[1]


@contextmanager
def told(location: str, path: str | None = None) -> Iterator[None]:
    """Turn the errors of the client into this room's; `path` is what is asked for."""
    where = location if path is None else f"{location.rstrip('/')}/{path}"
    try:
        yield
    except PreconditionError:
        raise Changed from None
    except (NotFoundError, FileNotFoundError) as error:
        if path is None:
            raise _error(where, error) from error
        raise SourceError(f"{where} is listed, and is not there") from error
    except (BaseError, PermissionError) as error:
        raise _error(where, error) from error


def _error(where: str, error: Exception) -> SourceError:
    """Return the failure of a request in one sentence; the client has a page of text."""
    line = str(error).partition("\n\nDebug source")[0]
    status = _first(_STATUS, line)
    code = _first(_CODE, line) or status
    kind = where.partition(":")[0]

    refuses = isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError)
    if refuses or status in ("401", "403"):
        return SourceError(
            f"{where} refuses this server ({code or 'no access'}): check "
            f"{CREDENTIALS.get(kind, 'the credentials')}, and this machine's clock"
        )
    if status == "404":
        return SourceError(f"{where} does not exist ({code}): check the name of the bucket")
    if status in ("429", "503"):
        return SourceError(f"{where} asks for fewer requests ({code})")

    # Without how long it took, which is another text each time.
    brief = line.partition("\n")[0].rpartition(" - ")[2]
    return SourceError(f"{where} does not answer: {(code or brief)[:200]}")
