"""A client's own `priority`."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.accounts.callers import DEFAULT_TENANT
from lorabay.api.request.priorities import check_priority
from lorabay.errors import InvalidRequest


@pytest.mark.parametrize("priority", [-1, 1, 2**63, -0.5, "0", [0], True])
def test_no_client_of_a_tenant_passes_others(priority: Any) -> None:
    """Whatever it writes there; a caller without a tenant asks as it would ask vLLM."""
    with pytest.raises(InvalidRequest, match="operator") as refused:
        check_priority({"priority": priority}, "shop")
    assert refused.value.param == "priority"
    check_priority({"priority": priority}, DEFAULT_TENANT)


@pytest.mark.parametrize("body", [{}, {"priority": 0}, {"priority": None}])
def test_what_asks_for_nothing_is_let_through(body: dict[str, Any]) -> None:
    """Clients' libraries write their defaults."""
    check_priority(body, "shop")
