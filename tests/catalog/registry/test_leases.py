"""One request's hold on one version."""

from __future__ import annotations

import pytest

from lorabay.catalog.registry.leases import Lease
from tests.catalog.registries import A


def test_a_lease_is_released_once() -> None:
    """However often, and by whatever end of its block."""
    ends: list[str] = []
    lease = Lease(A, lambda: ends.append("released"))
    with pytest.raises(RuntimeError), lease:
        raise RuntimeError
    lease.release()
    assert ends == ["released"]
    assert lease.version == A


def test_the_base_needs_no_hold() -> None:
    """Its lease has no version, and releasing it does nothing."""
    with Lease(None) as lease:
        assert lease.version is None
