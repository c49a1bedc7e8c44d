"""`GET /admin/usage`: what tenants, keys and adapters have used, as JSON or as CSV.

Knows nothing of where usage is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse

from lorabay.accounts.usage.forms import as_csv, as_json
from lorabay.accounts.usage.questions import By, asked
from lorabay.api.administrators import administrator
from lorabay.api.description.admin_answers import TEXT, UsageAnswer

if TYPE_CHECKING:
    from lorabay.accounts.usage.questions import Question, Report
    from lorabay.api.auth import Gate

Answer = Callable[["Question"], Awaitable["Report"]]
"""A function that answers a question about usage; raises LorabayError if it cannot now."""

CSV = "text/csv; charset=utf-8"


def usage_router(answer: Answer, gate: Gate) -> APIRouter:
    """Return the route; `gate` decides who may use it."""
    router = APIRouter(tags=["admin"], dependencies=[Depends(administrator(gate))])

    @router.get(
        "/admin/usage",
        summary="Requests and tokens by key, tenant, adapter, version, call, day or month",
        response_model=None,
        responses={200: {"model": UsageAnswer, "content": {"text/csv": TEXT}}},
    )
    async def usage(
        by: Annotated[
            str, Query(description="What lines are told apart by, joined by `,`.")
        ] = "tenant,adapter",
        since: Annotated[str | None, Query(description="First day, in UTC.")] = None,
        until: Annotated[str | None, Query(description="Last day, in UTC, included.")] = None,
        key: Annotated[str | None, Query(description="Only the key with this id.")] = None,
        tenant: Annotated[str | None, Query(description="Only this tenant.")] = None,
        adapter: Annotated[str | None, Query(description="Only this adapter.")] = None,
        format: Annotated[Literal["json", "csv"], Query()] = "json",
    ) -> dict[str, Any] | PlainTextResponse:
        only = {By.KEY: key, By.TENANT: tenant, By.ADAPTER: adapter}
        given = {name: value for name, value in only.items() if value is not None}
        report = await answer(asked(by, since=since, until=until, only=given))
        if format == "json":
            return as_json(report)
        return PlainTextResponse(as_csv(report), media_type=CSV)

    return router
