"""From files to offers and reasons."""

from __future__ import annotations

from lorabay.sources.interface import RemoteFile
from lorabay.sources.offers import SourceLimits, listing_of
from tests.sources.made import CONFIG, WEIGHTS


def files(size: int = 10) -> dict[str, RemoteFile]:
    return {CONFIG: RemoteFile(5, "c"), WEIGHTS: RemoteFile(size, "w")}


def test_a_folder_without_an_adapter_is_passed_over() -> None:
    """Other things may lie beside adapters."""
    listing = listing_of({"docs": {"README.md": RemoteFile(1, "r")}}, SourceLimits())
    assert listing.is_empty


def test_every_refusal_has_its_reason() -> None:
    """What cannot be served by its name, its size or its parts is not fetched."""
    folders = {
        "a b": files(),
        "finance.bak": files(),
        "half": {CONFIG: RemoteFile(5, "c")},
        "huge": files(5 << 30),
        "good": files(),
    }
    listing = listing_of(folders, SourceLimits())
    assert list(listing.offers) == ["good"]
    assert "must start with an ASCII letter" in listing.refused["a b"]
    assert "looks like a backup" in listing.refused["finance.bak"]
    assert listing.refused["half"] == f"there is no {WEIGHTS}"
    assert "the limit is" in listing.refused["huge"]


def test_a_source_brings_so_many_adapters_at_most() -> None:
    """The first by name come in, and the others say which setting keeps them out."""
    folders = {name: files() for name in ("a", "b", "c")}
    listing = listing_of(folders, SourceLimits(adapters=2))
    assert list(listing.offers) == ["a", "b"]
    assert "--source-adapters" in listing.refused["c"]


def test_a_source_brings_so_many_bytes_at_most() -> None:
    """A smaller one that still fits comes in."""
    folders = {"a": files(), "b": files(1000), "c": files()}
    listing = listing_of(folders, SourceLimits(total_bytes=100))
    assert list(listing.offers) == ["a", "c"]
    assert "--source-gib" in listing.refused["b"]
