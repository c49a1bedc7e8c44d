"""Versions without folders, for tests that only pass them on."""

from __future__ import annotations

from pathlib import Path

from lorabay.catalog.adapter_defaults import NO_DEFAULTS, AdapterDefaults
from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import WHOLE_MODEL, AdapterSpec, Digest, Version

BASE_NAMES = ("tiny", "org/tiny")


def make_version(
    adapter: str,
    digit: str = "a",
    *,
    rank: int = 16,
    size_bytes: int = 1_000_000,
    weights: str | None = None,
    defaults: AdapterDefaults = NO_DEFAULTS,
    format: str = "lora",
) -> Version:
    """`digit`, repeated, is the version's digest, and `weights` that of its weights, if another."""
    digest, weights_digest = Digest(digit * 64), Digest((weights or digit) * 64)
    spec = AdapterSpec(
        digest,
        format,
        rank,
        2.0 * rank,
        ("q_proj", "v_proj"),
        "bfloat16",
        size_bytes,
        weights_digest=weights_digest,
    )
    return Version(AdapterName(adapter), spec, Path("/store/versions") / weights_digest, defaults)


def make_model(adapter: str, digit: str = "a") -> Version:
    """A version that is a whole model."""
    return make_version(adapter, digit, format=WHOLE_MODEL, size_bytes=1 << 20)
