"""A client's own `priority`, by which it would pass others in the engine's queue.

vLLM follows it where the operator has chosen `scheduling_policy=priority`, and else does not read
it. Which tenants come first is the operator's choice, so a tenant's client has none. Callers
without a tenant ask as they would ask vLLM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.accounts.callers import DEFAULT_TENANT
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from lorabay.serving.engine import Body

FIELD = "priority"
USUAL = (None, 0)
"""What asks for nothing."""


def check_priority(body: Body, tenant: str) -> None:
    """Raise InvalidRequest for a `priority` with which a tenant's request would pass others'."""
    if tenant != DEFAULT_TENANT and body.get(FIELD) not in USUAL:
        raise InvalidRequest(
            "`priority` is the operator's to give, by tenant: leave it out", param=FIELD
        )
