"""A client's `model` means one version, or none."""

from __future__ import annotations

import pytest

from lorabay.catalog.records import Record
from lorabay.catalog.registry.adapter_state import Adapter
from lorabay.catalog.registry.lookup import version_of
from tests.catalog.registries import BASES, A, B

ADAPTERS = {"finance": Adapter(live=B, kept=(B, A)), "new": Adapter()}


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("finance", B),
        ("tiny:finance", B),
        ("acme/tiny:finance", B),
        (f"finance@{'a' * 12}", A),
        (f"tiny:finance@{'a' * 64}", A),
        (f"finance@{'c' * 12}", None),
        ("finance@", None),
        ("tiny:tiny:finance", None),
        ("new", None),
        ("other", None),
        ("", None),
    ],
)
def test_a_model_means_a_live_or_a_kept_version(model: str, meant: object) -> None:
    """A name of the base in front changes nothing; only one is taken off."""
    assert version_of(model, ADAPTERS, BASES) == meant


def test_a_canary_has_a_name_of_its_own() -> None:
    """While there is one."""
    rolled_out = Adapter(live=B, kept=(B, A), record=Record(canary=A.digest))
    assert version_of("tiny:finance@canary", {"finance": rolled_out}, BASES) == A
    assert version_of("finance@canary", ADAPTERS, BASES) is None
