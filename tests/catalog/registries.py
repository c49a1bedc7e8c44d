"""Registries over records in a folder, and versions for them, named by one letter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import FolderSource, Records
from lorabay.catalog.registry.adapter_state import AdapterStatus
from lorabay.catalog.registry.last_run import Found
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.versions import AdapterSpec, Digest, Version, Withheld
from lorabay.errors import SetupError

BASES = ("tiny", "acme/tiny")


def version(letter: str, adapter: str = "finance") -> Version:
    digest = Digest(letter * 64)
    spec = AdapterSpec(digest, "lora", 4, 8.0, ("q_proj",), "float32", 100)
    return Version(AdapterName(adapter), spec, Path("/store/versions") / digest)


A, B, C, D = (version(letter) for letter in "abcd")


def folder(fingerprint: str) -> FolderSource:
    return FolderSource(fingerprint=fingerprint, checks="checks")


def serve(registry: Registry, version: Version, fingerprint: str = "") -> Version:
    """Do as the reconciler does with the version that a folder holds."""
    target = registry.offer(version, folder(fingerprint or version.digest))
    registry.set_live(target)
    return target


def status(registry: Registry, name: str = "finance") -> AdapterStatus:
    status = registry.status(name)
    assert status is not None
    return status


def restarted(records: Records, *known: Version) -> Registry:
    registry = Registry(BASES, records, keep=2)
    registry.last_run.restore(
        lambda name, digest: next(
            (v for v in known if (v.adapter, v.digest) == (name, digest)), None
        )
    )
    return registry


def finds(**results: Version | Withheld | None) -> Callable[[AdapterName, Digest], Found]:
    """Return a store: by the letter of a digest what it finds; `unread` for a disk that fails."""

    def find(name: AdapterName, digest: Digest) -> Found:
        found = results.get(digest[0])
        if isinstance(found, Withheld) and found.is_passing:
            raise SetupError("the disk failed")
        return found

    return find


def taken_up(records: Records, find: Callable[[AdapterName, Digest], Found]) -> Registry:
    registry = Registry(BASES, records, keep=2)
    registry.last_run.restore(find)
    return registry


class Clock:
    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now
