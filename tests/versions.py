"""Versions without folders, for tests that only pass them on."""

from __future__ import annotations

from pathlib import Path

from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import AdapterSpec, Digest, Version

BASE_NAMES = ("tiny", "org/tiny")


def make_version(
    adapter: str, digit: str = "a", *, rank: int = 16, size_bytes: int = 1_000_000
) -> Version:
    """`digit`, repeated, is the version's digest."""
    digest = Digest(digit * 64)
    spec = AdapterSpec(
        digest, "lora", rank, 2.0 * rank, ("q_proj", "v_proj"), "bfloat16", size_bytes
    )
    return Version(AdapterName(adapter), spec, Path("/store/versions") / digest)
