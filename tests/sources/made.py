"""Sources and adapters for tests of the mirror: small files that need not be real adapters."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import obstore

from lorabay.sources.interface import Listing, Offer, RemoteFile
from lorabay.sources.pace import Pace

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def put(store: ObjectStore, name: str, content: str, *files: str) -> None:
    """Upload an adapter, or some files of it; what they hold tells which version they are of."""
    for file in files or (CONFIG, WEIGHTS):
        obstore.put(store, f"{name}/{file}", f"{content} {file}".encode())


def delete(store: ObjectStore, name: str) -> None:
    """Delete an adapter, object by object."""
    for item in obstore.list(store, prefix=name).collect():
        obstore.delete(store, item["path"])


def content_of(folder: Path) -> set[str]:
    """Which versions the two files of a folder are of: one, unless they are mixed."""
    return {(folder / file).read_text().split(" ")[0] for file in (CONFIG, WEIGHTS)}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeSource:
    """A source that shows what a test says; what `fails` names cannot be fetched."""

    def __init__(self, location: str = "fake://one") -> None:
        self._location = location
        self.shown: dict[str, str] = {}
        self.sealed = False
        self.at: dict[str, str] = {}
        self.failure: Exception | None = None
        self.fails: dict[str, Exception] = {}
        self.refuses: dict[str, str] = {}
        self.fetches: list[str] = []

    @property
    def location(self) -> str:
        return self._location

    async def list(self) -> Listing:
        if self.failure is not None:
            raise self.failure
        offered = {name: self.offer(name) for name in self.shown if name not in self.refuses}
        return Listing(offered, self.refuses)

    def offer(self, name: str) -> Offer:
        """The offer of a name as it is now."""
        mark = self.shown[name]
        files = {CONFIG: RemoteFile(8, mark), WEIGHTS: RemoteFile(8, mark)}
        return Offer(name, files, sealed=self.sealed, at=self.at.get(name, ""))

    async def fetch(self, offer: Offer, into: Path, pace: Pace) -> None:
        self.fetches.append(offer.name)
        if offer.name in self.fails:
            raise self.fails[offer.name]
        for file in (CONFIG, WEIGHTS):
            (into / file).write_text(f"{offer.marks[file]} {file}")
        await pace.take(16)

    async def close(self) -> None:
        pass


def write(folder: Path, content: str) -> Path:
    """Make an adapter's folder; what its files hold tells which version they are of."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (CONFIG, WEIGHTS):
        (folder / file).write_text(f"{content} {file}")
    return folder


def no_bar(text: str, units: int) -> None:
    """Show nothing."""
    del text, units


def deep_tar() -> bytes:
    """A tar of so many long names, each of the next one, that reading it goes too deep."""
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 1
    return (name.tobuf(tarfile.GNU_FORMAT) + bytes(512)) * 2000


def cut_sparse_tar() -> bytes:
    """A tar of a file with holes, whose list of holes goes on behind the end."""
    holes = tarfile.TarInfo(CONFIG)
    holes.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(holes.tobuf(tarfile.GNU_FORMAT))
    header[482] = 1
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    return bytes(header)


DEEP_JSON = b"[" * 100_000
"""What is as deep as no parser goes."""
