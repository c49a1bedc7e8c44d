"""Which version a client's `model` means.

    finance                the live version
    finance@3f9c1a2b4d5e   a kept version, by the begin of its digest
    finance@canary         the version that is being rolled out beside the live one
    <base>:finance         either of them, behind a name of the base

Reads what is known of each name. Knows nothing of leases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lorabay.catalog.registry.adapter_state import Adapter
    from lorabay.catalog.versions import Version

CANARY = "canary"
"""What stands behind the @ for the version that is being rolled out."""


def version_of(
    model: str, adapters: Mapping[str, Adapter], base_names: Sequence[str]
) -> Version | None:
    """Return the version that `model` means; None if it means no version that can be asked for."""
    name, at, digest_prefix = _without_base(model, base_names).partition("@")
    adapter = adapters.get(name)
    if adapter is None or adapter.live is None:
        return None
    if digest_prefix == CANARY:
        return adapter.canary
    return adapter.kept_version(digest_prefix) if at else adapter.live


def _without_base(model: str, base_names: Sequence[str]) -> str:
    """Return `model` without a name of the base in front of it."""
    for base in base_names:
        if model.startswith(f"{base}:"):
            return model.removeprefix(f"{base}:")
    return model
