"""Registries over records in a folder, and versions for them, named by one letter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import FolderSource, Records
from lorabay.catalog.registry.adapter_state import AdapterStatus
from lorabay.catalog.registry.last_run import Find, Found
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
    versions = {(version.adapter, version.digest): version for version in known}
    registry.last_run.restore(lambda wanted: [versions.get(one) for one in wanted])
    return registry


def finds(**results: Version | Withheld | None) -> Find:
    """Return a store: by the letter of a digest what it finds; `unread` for a disk that fails."""

    def find(wanted: Sequence[tuple[AdapterName, Digest]]) -> list[Found]:
        found = [results.get(digest[0]) for _, digest in wanted]
        if any(isinstance(one, Withheld) and one.is_passing for one in found):
            raise SetupError("the disk failed")
        return found

    return find


def taken_up(records: Records, find: Find) -> Registry:
    registry = Registry(BASES, records, keep=2)
    registry.last_run.restore(find)
    return registry
