"""Keys over HTTP, for administrators: `/admin/keys`, with the words of `lorabay keys`.

Knows nothing of databases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, StrictInt

from lorabay.accounts.keys.wishes import read_span, read_wishes
from lorabay.accounts.limits import LIMIT_NAMES
from lorabay.accounts.permissions import without_match
from lorabay.api.admin_bodies import body_of, documented
from lorabay.api.administrators import administrator
from lorabay.api.description.admin_answers import (
    KeyAnswer,
    KeysAnswer,
    NewKeyAnswer,
    NewSecretAnswer,
    answers,
)
from lorabay.reconcile.events import Actor
from lorabay.serving.engine import CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lorabay.accounts.keys.book import NewKey
    from lorabay.accounts.keys.desk import KeyDesk
    from lorabay.api.auth import Gate

ENDPOINTS = tuple(call.name for call in CALLS)


class CreateKeyRequest(BaseModel):
    """A key to be made. What is left out is open: all adapters, the base, no limit, no end."""

    model_config = ConfigDict(extra="forbid")

    name: str
    tenant: str | None = None
    adapters: str | list[str] | None = None
    endpoints: str | list[str] | None = None
    requests_per_minute: StrictInt | None = None
    tokens_per_minute: StrictInt | None = None
    tokens_per_day: StrictInt | None = None
    tokens_per_month: StrictInt | None = None
    parallel: StrictInt | None = None
    expires: str | None = None


class RotateKeyRequest(BaseModel):
    """How long the former secret is taken, too, such as `24h`; a day if nothing is said."""

    model_config = ConfigDict(extra="forbid")

    overlap: str = "24h"


def keys_router(desk: KeyDesk, gate: Gate, adapter_names: Callable[[], Iterable[str]]) -> APIRouter:
    """Return the routes; `gate` decides who may use them.

    `adapter_names` returns the adapters that are served: a key for none of them gets a warning.
    """
    router = APIRouter(tags=["admin"])
    who = Depends(administrator(gate))
    _add_reads(router, desk, who)
    _add_changes(router, desk, who, adapter_names)
    return router


def _add_reads(router: APIRouter, desk: KeyDesk, who: Any) -> None:
    @router.get(
        "/admin/keys",
        summary="Every key: whose it is, and what it may use",
        response_model=None,
        responses=answers(KeysAnswer),
    )
    async def list_keys(
        tenant: Annotated[str | None, Query()] = None, who: Actor = who
    ) -> dict[str, Any]:
        return {"keys": [key.as_dict() for key in await desk.listed(tenant)]}

    @router.get(
        "/admin/keys/{key}",
        summary="One key, by its id or name",
        response_model=None,
        responses=answers(KeyAnswer),
    )
    async def show_key(key: str, who: Actor = who) -> dict[str, Any]:
        return (await desk.find(key)).as_dict()


def _add_changes(
    router: APIRouter, desk: KeyDesk, who: Any, adapter_names: Callable[[], Iterable[str]]
) -> None:
    create_body = body_of(CreateKeyRequest, who)
    rotate_body = body_of(RotateKeyRequest, who)

    @router.post(
        "/admin/keys",
        summary="Make a key; its text is in this answer and never again",
        response_model=None,
        responses=answers(NewKeyAnswer),
        openapi_extra=documented(CreateKeyRequest),
    )
    async def create_key(
        response: Response, body: Any = create_body, who: Actor = who
    ) -> dict[str, Any]:
        wishes = read_wishes(
            body.name,
            tenant=body.tenant,
            adapters=body.adapters,
            endpoints=body.endpoints,
            limits={name: getattr(body, name) for name in LIMIT_NAMES},
            expires=body.expires,
            known_endpoints=ENDPOINTS,
        )
        made = await desk.create(wishes, who=who.kind, request_id=who.request_id)
        unknown = without_match(wishes.adapters, adapter_names())
        warnings = [f"no adapter that is served is meant by {word!r}" for word in unknown]
        return _shown_once(response, made) | {"warnings": warnings}

    @router.post(
        "/admin/keys/{key}/rotate",
        summary="Give a key a new secret; the former one is taken for a while",
        response_model=None,
        responses=answers(NewSecretAnswer),
        openapi_extra=documented(RotateKeyRequest, required=False),
    )
    async def rotate_key(
        key: str, response: Response, body: Any = rotate_body, who: Actor = who
    ) -> dict[str, Any]:
        made = await desk.rotate(
            key,
            who=who.kind,
            request_id=who.request_id,
            overlap_s=read_span(body.overlap),
        )
        return _shown_once(response, made)

    @router.post(
        "/admin/keys/{key}/revoke",
        summary="End a key for ever, on every server",
        response_model=None,
        responses=answers(KeyAnswer),
    )
    async def revoke_key(key: str, who: Actor = who) -> dict[str, Any]:
        ended = await desk.revoke(key, who=who.kind, request_id=who.request_id)
        return ended.as_dict()


def _shown_once(response: Response, made: NewKey) -> dict[str, Any]:
    # No cache in between may keep a key.
    response.headers["cache-control"] = "no-store"
    return made.as_dict()
