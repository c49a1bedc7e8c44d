"""The value types of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lorabay.catalog.names import AdapterName, name_problems
from lorabay.catalog.versions import NO_VERSION, AdapterSpec, Digest, Version

SPEC = AdapterSpec(Digest("ab" * 32), "lora", 4, 8.0, ("q_proj",), "float32", 100)


def test_versions_are_equal_by_adapter_and_digest() -> None:
    """The same weights under the same name are the same version, wherever they lie."""
    version = Version(AdapterName("finance"), SPEC, Path("/a"))
    elsewhere = Version(AdapterName("finance"), replace(SPEC, warnings=("x",)), Path("/b"))
    assert version == elsewhere
    assert len({version, elsewhere}) == 1
    assert version != replace(version, adapter=AdapterName("other"))
    assert version != replace(version, spec=replace(SPEC, digest=Digest("cd" * 32)))
    assert version.id == "finance@abababababab"


def test_versions_of_one_set_of_weights_share_them() -> None:
    """Without defaults a version is its weights; others say which they have."""
    plain = Version(AdapterName("finance"), SPEC, Path("/a"))
    weights = Digest("ef" * 32)
    sharing = replace(plain, spec=replace(SPEC, weights_digest=weights))
    assert plain.weights == SPEC.digest
    assert sharing.weights == weights
    assert sharing == plain  # what a version is called is its own digest


def test_no_adapter_is_called_as_no_version_is() -> None:
    """It never stands for one that somebody serves."""
    assert name_problems(NO_VERSION.adapter)
