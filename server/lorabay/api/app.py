"""Builds the HTTP application from its parts. Only the documented paths are mounted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from lorabay.api.description.documents import documents_router
from lorabay.api.description.openapi import document_of
from lorabay.api.inference import inference_routes
from lorabay.api.measuring.metrics_page import metrics_router
from lorabay.api.model_list import models_router
from lorabay.api.probes import probes_router
from lorabay.api.problems import respond
from lorabay.api.request_ids import RequestIds
from lorabay.errors import LorabayError

if TYPE_CHECKING:
    from fastapi import APIRouter
    from starlette.middleware import Middleware

    from lorabay.api.auth import Gate
    from lorabay.api.limits.request_limits import RequestLimits
    from lorabay.api.parts import Parts


def create_app(
    parts: Parts,
    gate: Gate,
    *,
    base_names: Sequence[str],
    max_body_bytes: int,
    limits: RequestLimits,
    stream_comment_s: float = 0.0,
    declared_set_loaded: Callable[[], bool],
    check_health: Callable[[], None],
    draining: Callable[[], bool] = lambda: False,
    middleware: Sequence[Middleware] = (),
    routers: Sequence[APIRouter],
) -> FastAPI:
    """Return the application of one server.

    `base_names[0]` is the parent that adapters are listed under. A streamed answer gets a comment
    after `stream_comment_s` seconds without an event, none if that is 0. `declared_set_loaded`
    returns whether the adapters found at the start have been dealt with, `draining` whether the
    server is about to end; `check_health` raises when only a new process can help. Requests pass
    `middleware` first. `routers` hold further paths.
    """
    app = FastAPI(
        title="lorabay",
        version=metadata.version("lorabay"),
        description="One frozen base model, many LoRA adapters: choose one by `model`.",
        # FastAPI's own pages load their scripts from another host, and are made at each request.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # What a client that is made from the document calls it: `create_key`, `list_adapters`.
        generate_unique_id_function=lambda route: route.name,
        middleware=middleware,
    )

    # Plain ASGI routes: FastAPI would read and parse a body before the key is checked.
    app.router.routes.extend(
        inference_routes(
            parts,
            gate,
            max_body_bytes=max_body_bytes,
            limits=limits,
            stream_comment_s=stream_comment_s,
        )
    )
    app.include_router(
        models_router(
            parts,
            gate,
            base_names=base_names,
            started=int(time.time()),
        )
    )
    app.include_router(probes_router(parts.engine, declared_set_loaded, draining, check_health))
    app.include_router(metrics_router(parts.metrics.registry))
    for router in routers:
        app.include_router(router)
    app.openapi = document_of(app, parts.engine.schemas)  # type: ignore[method-assign]
    app.include_router(documents_router(app.openapi))

    for kind in (LorabayError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, respond)
    app.add_middleware(RequestIds)
    return app
