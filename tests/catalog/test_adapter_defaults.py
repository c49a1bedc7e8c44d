"""The values that an adapter's defaults are made of."""

from __future__ import annotations

from lorabay.catalog.adapter_defaults import NO_DEFAULTS, AdapterDefaults, Choice


def test_defaults_are_values() -> None:
    """Equal ones are one, so that a version can be compared and kept as a key."""
    some = AdapterDefaults(sampling=(("temperature", Choice(0.2)),), tags=("a",))
    same = AdapterDefaults(sampling=(("temperature", Choice(0.2)),), tags=("a",))
    assert some == same
    assert len({some, same, NO_DEFAULTS}) == 2
    assert Choice(0.2) != Choice(0.2, is_enforced=True)


def test_an_adapter_that_says_nothing_has_none() -> None:
    """There is one value for that."""
    assert AdapterDefaults() == NO_DEFAULTS
