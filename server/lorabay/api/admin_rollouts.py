"""Rollouts over HTTP: `/admin/adapters/{name}/rollout`.

Knows nothing of how a rollout is carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from lorabay.api.admin_bodies import body_of, documented
from lorabay.api.administrators import administrator
from lorabay.api.description.admin_answers import RolloutAnswer, answers
from lorabay.errors import InvalidRequest
from lorabay.reconcile.events import Actor
from lorabay.rollout.policy import Policy, read_policy
from lorabay.rollout.steps import STAY

if TYPE_CHECKING:
    from lorabay.api.auth import Gate
    from lorabay.serving.admin import NameChanges, Operations


class RolloutRequest(BaseModel):
    """The version to roll out, and how: a share in percent, or steps such as `5:10m`.

    `version` is a kept one, by its digest or as `finance@3f9c1a2b4d5e`; without it, what the folder
    holds. `by` keeps a key, a user or a session with its version. `guards` change limits. `seen` is
    the version that was live when this was decided: 409 if another one is by now.
    """

    model_config = ConfigDict(extra="forbid")

    version: str | None = None
    share: Annotated[float, Field(strict=True, ge=0, le=100)] | None = None
    steps: list[str] | None = None
    by: str = "user"
    guards: dict[str, float | str] = {}
    seen: str | None = None


def rollouts_router(
    operations: Operations, gate: Gate, changes: NameChanges | None = None
) -> APIRouter:
    """Return the routes; `gate` decides who may use them.

    `changes` makes what is asked for, `operations` itself by default.
    """
    changes = changes or operations
    router = APIRouter(tags=["admin"])
    who = Depends(administrator(gate))

    @router.get(
        "/admin/adapters/{name}/rollout",
        summary="How a canary compares with the live version",
        response_model=None,
        responses=answers(RolloutAnswer),
    )
    async def get_rollout(name: str, who: Actor = who) -> dict[str, Any]:
        return operations.rollout(name)

    rollout_body = body_of(RolloutRequest, who)

    @router.post(
        "/admin/adapters/{name}/rollout",
        summary="Answer a part of an adapter's clients with another version",
        response_model=None,
        responses=answers(RolloutAnswer),
        openapi_extra=documented(RolloutRequest),
    )
    async def start_rollout(
        name: str, body: Any = rollout_body, who: Actor = who
    ) -> dict[str, Any]:
        digest = _digest_of(name, body.version)
        return await changes.start_rollout(name, digest, policy_of(body), who, seen=body.seen)

    @router.post(
        "/admin/adapters/{name}/rollout/promote",
        summary="Make the canary the live version",
        response_model=None,
        responses=answers(RolloutAnswer),
    )
    async def promote_rollout(name: str, who: Actor = who) -> dict[str, Any]:
        return await changes.promote_rollout(name, who)

    @router.post(
        "/admin/adapters/{name}/rollout/stop",
        summary="Give all clients the live version again",
        response_model=None,
        responses=answers(RolloutAnswer),
    )
    async def stop_rollout(name: str, who: Actor = who) -> dict[str, Any]:
        return await changes.stop_rollout(name, who)

    return router


def policy_of(body: RolloutRequest) -> Policy:
    """Return how a body asks for a rollout; raises InvalidRequest."""
    if (body.share is None) == (body.steps is None):
        raise InvalidRequest("give either share, in percent, or steps", param="share")

    steps = body.steps if body.steps is not None else [f"{round(body.share or 0, 3):g}:{STAY}"]
    try:
        return read_policy({"steps": steps, "by": body.by, "guards": body.guards})
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def _digest_of(name: str, version: str | None) -> str | None:
    """Return the digest that a version is named by, with or without its adapter's name."""
    return None if version is None else version.removeprefix(f"{name}@")
