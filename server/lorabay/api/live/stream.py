"""`GET /admin/live` and `GET /admin/figures`: the last hour, and then each thing as it happens.

One stream tells a page everything: the spans of the last hour (`hour`), each that ends (`span`),
what is measured now (`now`), and what happens to adapters and the engine (`happened`). A stream
ends with the rights of whoever follows it, and when the server is about to end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

# FastAPI reads the types of a route when it is made.
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from lorabay.api.administrators import administrator
from lorabay.api.description.admin_answers import TEXT, FiguresAnswer, answers
from lorabay.api.live.ring import By, Ring
from lorabay.errors import LorabayError

if TYPE_CHECKING:
    from lorabay.api.auth import Gate

TICK_S = 1.0
"""How often a stream looks for something new."""

TICKS_A_GAUGE = 2

EVENTS = 100
"""Events of one tick that a stream tells at most, the newest."""

HOUR_S = 3600

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@dataclass(frozen=True, slots=True)
class Watched:
    """What a stream tells of: each is asked when it is told."""

    ring: Ring
    gauges: Callable[[], Mapping[str, float | None]]
    slots: Callable[[], Mapping[str, Any]]
    events: Callable[[int], Sequence[Mapping[str, Any]]]
    draining: Callable[[], bool]


def live_router(watched: Watched, gate: Gate) -> APIRouter:
    """Return the routes; `gate` decides who may use them."""
    router = APIRouter(tags=["admin"], dependencies=[Depends(administrator(gate))])

    @router.get(
        "/admin/figures",
        summary="Requests, errors, tokens and first tokens of the last seconds, up to an hour",
        response_model=None,
        responses=answers(FiguresAnswer),
    )
    async def figures(
        by: Annotated[
            Literal["adapter", "tenant", "key"], Query(description="What they are told apart by.")
        ] = "adapter",
        seconds: Annotated[int, Query(ge=10, le=HOUR_S)] = HOUR_S,
    ) -> dict[str, Any]:
        return {"by": by, "seconds": seconds, "figures": watched.ring.totals(By(by), seconds)}

    @router.get(
        "/admin/live",
        summary="The last hour, and then each thing as it happens, as server-sent events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": TEXT}}},
    )
    async def live(request: Request) -> StreamingResponse:
        def may_follow() -> bool:
            try:
                gate.identify(request.headers)
            except LorabayError:
                return False
            return not watched.draining()

        hour = [span.as_json() for span in watched.ring.ended()]
        events = follow(watched, hour, may_follow)
        return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)

    return router


async def follow(
    watched: Watched, hour: Sequence[Mapping[str, Any]], may_follow: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Return the events of a stream that begins with the spans of `hour`, until `may_follow` says
    no.
    """
    newest = _newest(watched)
    last = hour[-1]["at"] if hour else 0
    yield _event("hour", {"spans": hour})

    tick = 0
    while may_follow():
        for span in watched.ring.ended(last):
            last = span.began
            yield _event("span", span.as_json())

        for event in reversed(_since(newest, watched.events(EVENTS))):
            newest = event
            yield _event("happened", event)

        if tick % TICKS_A_GAUGE == 0:
            yield _event("now", {"gauges": watched.gauges(), "slots": watched.slots()})
        tick += 1
        await asyncio.sleep(TICK_S)


def _newest(watched: Watched) -> Mapping[str, Any] | None:
    return next(iter(watched.events(1)), None)


def _since(
    newest: Mapping[str, Any] | None, events: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """Return the events after the newest one that is known, newest first."""
    for place, event in enumerate(events):
        if event == newest:
            return events[:place]
    return events


def _event(kind: str, content: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode()
