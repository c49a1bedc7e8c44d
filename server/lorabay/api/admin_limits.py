"""Limits over HTTP, for administrators: `/admin/limits`, with the words of `lorabay limits`.

Knows nothing of databases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, StrictInt

from lorabay.accounts.ledger.wishes import read_wish
from lorabay.accounts.limits import LIMIT_NAMES
from lorabay.api.admin_bodies import body_of, documented
from lorabay.api.administrators import administrator
from lorabay.api.description.admin_answers import RulesAnswer, answers
from lorabay.reconcile.events import Actor

if TYPE_CHECKING:
    from lorabay.accounts.ledger.desk import LimitDesk
    from lorabay.api.auth import Gate


class SetLimitsRequest(BaseModel):
    """A tenant, an adapter, or a key on an adapter, and all of its limits: without any it has
    none.
    """

    model_config = ConfigDict(extra="forbid")

    tenant: str | None = None
    adapter: str | None = None
    key: str | None = None
    requests_per_minute: StrictInt | None = None
    tokens_per_minute: StrictInt | None = None
    tokens_per_day: StrictInt | None = None
    tokens_per_month: StrictInt | None = None
    parallel: StrictInt | None = None


def limits_router(desk: LimitDesk, gate: Gate) -> APIRouter:
    """Return the routes; `gate` decides who may use them."""
    router = APIRouter(tags=["admin"])
    who = Depends(administrator(gate))
    set_body = body_of(SetLimitsRequest, who)

    @router.get(
        "/admin/limits",
        summary="Every limit but those of keys themselves",
        response_model=None,
        responses=answers(RulesAnswer),
    )
    async def list_limits(who: Actor = who) -> dict[str, Any]:
        return {"limits": (await desk.listed()).as_list()}

    @router.put(
        "/admin/limits",
        summary="Set all limits of a tenant, an adapter, or a key on an adapter",
        response_model=None,
        responses=answers(RulesAnswer),
        openapi_extra=documented(SetLimitsRequest),
    )
    async def set_limits(body: Any = set_body, who: Actor = who) -> dict[str, Any]:
        place, limits = read_wish(
            tenant=body.tenant,
            adapter=body.adapter,
            key=body.key,
            limits={name: getattr(body, name) for name in LIMIT_NAMES},
        )
        rules = await desk.set(place, limits, who=who.kind, request_id=who.request_id)
        return {"limits": rules.as_list()}

    return router
