"""The admin side over HTTP: paths under `/admin/`, and vLLM's two verbs with vLLM's own replies.

Every route identifies its caller before it reads anything of the request's body. Knows nothing of
how an operation is carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict

from lorabay.api.admin_bodies import body_of, documented
from lorabay.api.administrators import administrator
from lorabay.api.description.admin_answers import (
    AdapterAnswer,
    AdaptersAnswer,
    CardAnswer,
    DeletedAnswer,
    EventsAnswer,
    NothingAnswer,
    UnloadedAnswer,
    answers,
)
from lorabay.errors import AdapterConflict, InvalidRequest, ModelNotFound
from lorabay.reconcile.events import Actor

if TYPE_CHECKING:
    from lorabay.api.auth import Gate
    from lorabay.serving.admin import NameChanges, Operations


class LoadRequest(BaseModel):
    """Body of `load_lora_adapter`, as vLLM takes it."""

    lora_name: str = ""
    lora_path: str = ""
    load_inplace: bool = False
    is_3d_lora_weight: bool = False


class UnloadRequest(BaseModel):
    """Body of `unload_lora_adapter`, as vLLM takes it."""

    lora_name: str = ""
    lora_int_id: int | None = None


class RollbackRequest(BaseModel):
    """The kept version to go back to; the newest former one if none is named.

    `seen` is the version that was live when this was decided, as `finance@3f9c1a2b4d5e`: 409 if
    another one is by now.
    """

    model_config = ConfigDict(extra="forbid")

    version: str | None = None
    seen: str | None = None


def admin_router(
    operations: Operations, gate: Gate, changes: NameChanges | None = None
) -> APIRouter:
    """Return the routes; `gate` decides who may use them.

    `changes` makes what is asked for, `operations` itself by default.
    """
    changes = changes or operations
    router = APIRouter(tags=["admin"])
    who = Depends(administrator(gate))
    _add_reads(router, operations, who)
    _add_changes(router, operations, changes, who)
    _add_vllm_verbs(router, operations, changes, who)
    return router


def _add_reads(router: APIRouter, operations: Operations, who: Any) -> None:
    @router.get(
        "/admin/adapters",
        summary="Every adapter with state, reasons, versions and residency",
        response_model=None,
        responses=answers(AdaptersAnswer),
    )
    async def list_adapters(who: Actor = who) -> dict[str, Any]:
        return {"adapters": operations.adapters(), "sources": operations.sources()}

    @router.get(
        "/admin/adapters/{name}",
        summary="One adapter",
        response_model=None,
        responses=answers(AdapterAnswer),
    )
    async def get_adapter(name: str, who: Actor = who) -> dict[str, Any]:
        return operations.adapter(name)

    @router.get(
        "/admin/adapters/{name}/card",
        summary="What an adapter's maker says of it",
        response_model=None,
        responses=answers(CardAnswer),
    )
    async def get_card(name: str, who: Actor = who) -> dict[str, Any]:
        return {"card": await operations.card(name)}

    @router.get(
        "/admin/events",
        summary="What happened, newest first",
        response_model=None,
        responses=answers(EventsAnswer),
    )
    async def list_events(
        count: Annotated[int, Query(ge=1, le=1000)] = 100, who: Actor = who
    ) -> dict[str, Any]:
        return {"events": operations.events(count)}


def _add_changes(router: APIRouter, operations: Operations, changes: NameChanges, who: Any) -> None:
    @router.post(
        "/admin/rescan",
        summary="Look at the adapter directory now, and list every source",
        response_model=None,
        responses=answers(AdaptersAnswer),
    )
    async def rescan(who: Actor = who) -> dict[str, Any]:
        return {"adapters": await changes.rescan(who), "sources": operations.sources()}

    @router.post(
        "/admin/adapters/{name}/pin",
        summary="Keep an adapter in the engine",
        response_model=None,
        responses=answers(AdapterAnswer),
    )
    async def pin(name: str, who: Actor = who) -> dict[str, Any]:
        described = await changes.set_pinned(name, True, who)
        await operations.saved()
        return described

    @router.post(
        "/admin/adapters/{name}/unpin",
        summary="Let an adapter be evicted again",
        response_model=None,
        responses=answers(AdapterAnswer | NothingAnswer),
    )
    async def unpin(name: str, who: Actor = who) -> dict[str, Any]:
        described = await changes.set_pinned(name, False, who)
        await operations.saved()
        return described

    @router.post(
        "/admin/adapters/{name}/preload",
        summary="Load an adapter into the engine now",
        response_model=None,
        responses=answers(AdapterAnswer),
    )
    async def preload(name: str, who: Actor = who) -> dict[str, Any]:
        return await operations.preload(name, who)

    rollback_body = body_of(RollbackRequest, who)

    @router.post(
        "/admin/adapters/{name}/rollback",
        summary="Go back to a kept version until the folder changes",
        response_model=None,
        responses=answers(AdapterAnswer),
        openapi_extra=documented(RollbackRequest, required=False),
    )
    async def rollback(name: str, body: Any = rollback_body, who: Actor = who) -> dict[str, Any]:
        return await changes.roll_back(name, body.version, who, seen=body.seen)

    @router.post(
        "/admin/adapters/{name}/unload",
        summary="Stop serving an adapter until its folder changes",
        response_model=None,
        responses=answers(UnloadedAnswer),
    )
    async def unload(name: str, who: Actor = who) -> dict[str, str]:
        await changes.unload(name, who)
        return {"unloaded": name}

    @router.delete(
        "/admin/versions/{digest}",
        summary="Delete a kept version from the store",
        response_model=None,
        responses=answers(DeletedAnswer),
    )
    async def delete(digest: str, who: Actor = who) -> dict[str, str]:
        await changes.delete(digest, who)
        return {"deleted": digest}


def _add_vllm_verbs(
    router: APIRouter, operations: Operations, changes: NameChanges, who: Any
) -> None:
    load_body = body_of(LoadRequest, who)
    unload_body = body_of(UnloadRequest, who)

    @router.post(
        "/v1/load_lora_adapter",
        summary="vLLM's verb: serve the adapter in a folder",
        response_class=PlainTextResponse,
        openapi_extra=documented(LoadRequest),
    )
    async def load_lora_adapter(body: Any = load_body, who: Actor = who) -> PlainTextResponse:
        name = body.lora_name
        if not name or not body.lora_path:
            raise InvalidRequest("Both 'lora_name' and 'lora_path' must be provided.")
        if name in operations.base_names:
            raise InvalidRequest(f"The lora adapter '{name}' conflicts with a served base model.")

        try:
            await changes.load(name, body.lora_path, replace=body.load_inplace, who=who)
        except AdapterConflict:
            raise InvalidRequest(
                f"The lora adapter '{name}' has already been loaded. "
                "If you want to load the adapter in place, set 'load_inplace' to True."
            ) from None
        return PlainTextResponse(f"Success: LoRA adapter '{name}' added successfully.")

    @router.post(
        "/v1/unload_lora_adapter",
        summary="vLLM's verb: stop serving an adapter",
        response_class=PlainTextResponse,
        openapi_extra=documented(UnloadRequest),
    )
    async def unload_lora_adapter(body: Any = unload_body, who: Actor = who) -> PlainTextResponse:
        name = body.lora_name
        if not name:
            raise InvalidRequest("'lora_name' needs to be provided to unload a LoRA adapter.")
        if not operations.is_served(name):
            raise ModelNotFound(name, message=f"The lora adapter '{name}' cannot be found.")

        await changes.unload(name, who)
        return PlainTextResponse(f"Success: LoRA adapter '{name}' removed successfully.")
