"""What versions change in the base: `GET /admin/adapters/{name}/change`.

Knows nothing of how that is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query

from lorabay.api.administrators import administrator
from lorabay.api.description.admin_answers import ChangeAnswer, answers
from lorabay.reconcile.events import Actor

if TYPE_CHECKING:
    from lorabay.api.auth import Gate
    from lorabay.serving.admin import Operations
    from lorabay.serving.changes import Changes

PREFIX = "Digest of a kept version, at least its first twelve characters"


def changes_router(operations: Operations, changes: Changes, gate: Gate) -> APIRouter:
    """Return the route; `gate` decides who may use it."""
    router = APIRouter(tags=["admin"])
    who = Depends(administrator(gate))

    @router.get(
        "/admin/adapters/{name}/change",
        summary="How much a version changes each module, and how far another one is from it",
        response_model=None,
        responses=answers(ChangeAnswer),
    )
    async def get_change(
        name: str,
        version: Annotated[str | None, Query(description=f"{PREFIX}; the live one")] = None,
        other: Annotated[str | None, Query(description=f"{PREFIX}; none")] = None,
        who: Actor = who,
    ) -> dict[str, Any]:
        one = operations.version(name, version)
        two = None if other is None else operations.version(name, other)
        return await changes.measured(one, two)

    return router
