"""`GET /admin/audit`: who did what to keys, limits and adapters, as JSON or as CSV.

Knows nothing of where the audit is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse

from lorabay.accounts.audit.forms import as_csv, as_json
from lorabay.accounts.audit.questions import DEFAULT_LIMIT, MOST, asked
from lorabay.api.administrators import administrator
from lorabay.api.description.admin_answers import TEXT, AuditAnswer

if TYPE_CHECKING:
    from lorabay.accounts.audit.chain import Row
    from lorabay.accounts.audit.questions import Question
    from lorabay.api.auth import Gate

Answer = Callable[["Question"], Awaitable[Sequence["Row"]]]
"""A function that returns the rows that are asked for; raises LorabayError if it cannot now."""

CSV = "text/csv; charset=utf-8"


def audit_router(answer: Answer, gate: Gate) -> APIRouter:
    """Return the route; `gate` decides who may use it."""
    router = APIRouter(tags=["admin"], dependencies=[Depends(administrator(gate))])

    @router.get(
        "/admin/audit",
        summary="What was done to keys, limits and adapters, and by whom, newest first",
        response_model=None,
        responses={200: {"model": AuditAnswer, "content": {"text/csv": TEXT}}},
    )
    async def audit(
        who: Annotated[str | None, Query(description="Only what they did.")] = None,
        action: Annotated[
            str | None, Query(description="Only this, as `key.create`; or `key`, all of a thing.")
        ] = None,
        target: Annotated[str | None, Query(description="Only what was done to this.")] = None,
        since: Annotated[str | None, Query(description="First day, in UTC.")] = None,
        until: Annotated[str | None, Query(description="Last day, in UTC, included.")] = None,
        limit: Annotated[int, Query(ge=1, le=MOST, description="Rows at most.")] = DEFAULT_LIMIT,
        format: Annotated[Literal["json", "csv"], Query()] = "json",
    ) -> dict[str, Any] | PlainTextResponse:
        rows = await answer(
            asked(who=who, action=action, target=target, since=since, until=until, limit=limit)
        )
        if format == "json":
            return {"rows": as_json(rows)}
        return PlainTextResponse(as_csv(rows), media_type=CSV)

    return router
