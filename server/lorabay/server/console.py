"""The console of a server, and what it shows of the last hour."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lorabay.api.console.console import console_routes
from lorabay.api.console.session_gate import AskingGate
from lorabay.api.inference import inference_routes
from lorabay.api.live.gauges import read_gauges
from lorabay.api.live.stream import Watched
from lorabay.api.model_list import models_router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fastapi import APIRouter
    from starlette.routing import BaseRoute

    from lorabay.api.auth import Gate
    from lorabay.api.limits.request_limits import RequestLimits
    from lorabay.api.live.ring import Ring
    from lorabay.api.parts import Parts
    from lorabay.metrics import Metrics
    from lorabay.serving.admin import Operations
    from lorabay.serving.manager import AdapterManager


def watched(
    ring: Ring,
    metrics: Metrics,
    manager: AdapterManager,
    operations: Operations,
    draining: Callable[[], bool],
) -> Watched:
    """Return what a stream of live figures tells of."""
    ring.gauges = lambda: read_gauges(metrics)
    return Watched(
        ring,
        ring.gauges,
        lambda: slots_of(manager),
        operations.events,
        draining,
    )


def slots_of(manager: AdapterManager) -> Mapping[str, Any]:
    """Return how many slots there are, and which adapters have one; none while no engine is up."""
    slots = manager.engine.slots()
    held = sorted(fact.adapter for fact in manager.facts() if fact.in_slot)
    return {"count": None if slots is None else slots.count, "held": held}


def console_of(
    gate: Gate,
    routers: Callable[[Gate], Sequence[APIRouter]],
    parts: Parts,
    *,
    base_names: Sequence[str],
    max_body_bytes: int,
    limits: RequestLimits,
    stream_comment_s: float,
) -> list[BaseRoute]:
    """Return the routes of the console: its page, the admin side, and the calls of inference."""

    def calls(session_gate: Gate) -> Iterator[BaseRoute]:
        for router in routers(session_gate):
            yield from router.routes
        models = models_router(parts, session_gate, base_names=base_names, started=int(time.time()))
        yield from models.routes
        yield from inference_routes(
            parts,
            AskingGate(session_gate),
            max_body_bytes=max_body_bytes,
            limits=limits,
            stream_comment_s=stream_comment_s,
        )

    return console_routes(gate, calls)
