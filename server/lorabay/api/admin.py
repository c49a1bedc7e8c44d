"""The admin side over HTTP: paths under `/admin/`, and vLLM's two verbs with vLLM's bodies and replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict

from lorabay.errors import InvalidRequest, ModelNotFound

if TYPE_CHECKING:
    from lorabay.api.auth import Gate
    from lorabay.serving.operations import Operations


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
    """Which kept version to go back to; the newest former one when none is named."""

    model_config = ConfigDict(extra="forbid")

    version: str | None = None


def admin_router(operations: Operations, gate: Gate) -> APIRouter:
    """Give the routes; every one asks `gate` first."""

    def admin(request: Request) -> str:
        gate.check(request.headers)
        return str(request.state.request_id)

    router = APIRouter(tags=["admin"])
    who = Depends(admin)
    _add_reads(router, operations, who)
    _add_changes(router, operations, who)
    _add_vllm_verbs(router, operations, who)
    return router


def _add_reads(router: APIRouter, operations: Operations, who: Any) -> None:
    @router.get("/admin/adapters", summary="Every adapter with state, reasons, versions and residency")
    async def list_adapters(caller: str = who) -> dict[str, Any]:
        return {"adapters": operations.adapters()}

    @router.get("/admin/adapters/{name}", summary="One adapter")
    async def get_adapter(name: str, caller: str = who) -> dict[str, Any]:
        return operations.adapter(name)

    @router.get("/admin/events", summary="What happened, newest first")
    async def list_events(count: Annotated[int, Query(ge=1, le=1000)] = 100, caller: str = who) -> dict[str, Any]:
        return {"events": operations.events(count)}


def _add_changes(router: APIRouter, operations: Operations, who: Any) -> None:
    @router.post("/admin/rescan", summary="Look at the adapter directory now")
    async def rescan(caller: str = who) -> dict[str, Any]:
        return {"adapters": await operations.rescan(caller)}

    @router.post("/admin/adapters/{name}/pin", summary="Keep an adapter in the engine")
    async def pin(name: str, caller: str = who) -> dict[str, Any]:
        return operations.set_pinned(name, True, caller)

    @router.post("/admin/adapters/{name}/unpin", summary="Let an adapter be evicted again")
    async def unpin(name: str, caller: str = who) -> dict[str, Any]:
        return operations.set_pinned(name, False, caller)

    @router.post("/admin/adapters/{name}/preload", summary="Load an adapter into the engine now")
    async def preload(name: str, caller: str = who) -> dict[str, Any]:
        return await operations.preload(name, caller)

    @router.post("/admin/adapters/{name}/rollback", summary="Go back to a kept version until the folder changes")
    async def rollback(name: str, body: RollbackRequest | None = None, caller: str = who) -> dict[str, Any]:
        return await operations.roll_back(name, body.version if body else None, caller)

    @router.post("/admin/adapters/{name}/unload", summary="Stop serving an adapter until its folder changes")
    async def unload(name: str, caller: str = who) -> dict[str, str]:
        await operations.unload(name, caller)
        return {"unloaded": name}

    @router.delete("/admin/versions/{digest}", summary="Delete a kept version from the store")
    async def delete(digest: str, caller: str = who) -> dict[str, str]:
        await operations.delete(digest, caller)
        return {"deleted": digest}


def _add_vllm_verbs(router: APIRouter, operations: Operations, who: Any) -> None:
    @router.post("/v1/load_lora_adapter", summary="vLLM's verb: serve the adapter in a folder")
    async def load_lora_adapter(body: LoadRequest, caller: str = who) -> PlainTextResponse:
        if not body.lora_name or not body.lora_path:
            raise InvalidRequest("Both 'lora_name' and 'lora_path' must be provided.")
        await operations.load(body.lora_name, body.lora_path, replace=body.load_inplace, who=caller)
        return PlainTextResponse(f"Success: LoRA adapter '{body.lora_name}' added successfully.")

    @router.post("/v1/unload_lora_adapter", summary="vLLM's verb: stop serving an adapter")
    async def unload_lora_adapter(body: UnloadRequest, caller: str = who) -> PlainTextResponse:
        if not body.lora_name:
            raise InvalidRequest("'lora_name' needs to be provided to unload a LoRA adapter.")
        if not operations.is_served(body.lora_name):
            raise ModelNotFound(body.lora_name, message=f"The lora adapter '{body.lora_name}' cannot be found.")
        await operations.unload(body.lora_name, caller)
        return PlainTextResponse(f"Success: LoRA adapter '{body.lora_name}' removed successfully.")
