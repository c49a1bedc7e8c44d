"""Administrators: who they are, and which role each admin path needs.

The one table of roles. A path that is not in it cannot be used. Knows nothing of how somebody is
identified.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

# FastAPI reads the types of a dependency when a route is made.
from fastapi import Request

from lorabay.accounts.roles import Role
from lorabay.api.auth import identify
from lorabay.api.token_gate import TokenGate
from lorabay.errors import PermissionDenied
from lorabay.reconcile.events import Actor

if TYPE_CHECKING:
    from lorabay.accounts.callers import Caller
    from lorabay.api.auth import Gate

NEEDED: Mapping[str, Role] = {
    "GET /admin/adapters": Role.VIEWER,
    "GET /admin/adapters/{name}": Role.VIEWER,
    "GET /admin/events": Role.VIEWER,
    "GET /admin/figures": Role.VIEWER,
    "GET /admin/live": Role.VIEWER,
    "GET /admin/adapters/{name}/card": Role.VIEWER,
    "GET /admin/adapters/{name}/rollout": Role.VIEWER,
    "GET /admin/adapters/{name}/change": Role.VIEWER,
    "GET /admin/usage": Role.VIEWER,
    "GET /admin/keys": Role.VIEWER,
    "GET /admin/keys/{key}": Role.VIEWER,
    "GET /admin/limits": Role.VIEWER,
    "GET /admin/uploads": Role.VIEWER,
    "PUT /admin/adapters/{name}": Role.OPERATOR,
    "POST /admin/rescan": Role.OPERATOR,
    "POST /admin/adapters/{name}/pin": Role.OPERATOR,
    "POST /admin/adapters/{name}/unpin": Role.OPERATOR,
    "POST /admin/adapters/{name}/preload": Role.OPERATOR,
    "POST /admin/adapters/{name}/rollback": Role.OPERATOR,
    "POST /admin/adapters/{name}/rollout": Role.OPERATOR,
    "POST /admin/adapters/{name}/rollout/promote": Role.OPERATOR,
    "POST /admin/adapters/{name}/rollout/stop": Role.OPERATOR,
    "POST /admin/adapters/{name}/unload": Role.OPERATOR,
    "POST /v1/load_lora_adapter": Role.OPERATOR,
    "POST /v1/unload_lora_adapter": Role.OPERATOR,
    "DELETE /admin/versions/{digest}": Role.OWNER,
    "POST /admin/keys": Role.OWNER,
    "POST /admin/keys/{key}/rotate": Role.OWNER,
    "POST /admin/keys/{key}/revoke": Role.OWNER,
    "PUT /admin/limits": Role.OWNER,
    "GET /admin/audit": Role.OWNER,
}
"""The least role of each admin path."""


def administrator(gate: Gate) -> Callable[[Request], Awaitable[Actor]]:
    """Return the dependency of admin paths: who asks, as events and the audit record it.

    It raises what `gate` raises, and PermissionDenied for a role that is not enough.
    """

    async def admin(request: Request) -> Actor:
        caller = await caller_of(gate, request)
        _check_role(caller.role, f"{request.method} {request.scope['route'].path}")
        return Actor(caller.id, str(request.state.request_id))

    return admin


async def caller_of(gate: Gate, request: Request) -> Caller:
    """Return who sent `request`; raises what `gate` raises."""
    if isinstance(gate, TokenGate):
        # The issuer may have taken up a new key since its keys were read.
        await gate.learn(request.headers)
    return identify(gate, request)


def _check_role(role: Role | None, operation: str) -> None:
    needed = NEEDED[operation]
    if role is None or role < needed:
        has = "none" if role is None else f"`{role}`"
        raise PermissionDenied(f"this needs the role `{needed}`; yours is {has}")
