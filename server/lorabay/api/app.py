"""Builds the HTTP application from its parts. Only the public contract's paths are mounted."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from importlib import metadata
from typing import TYPE_CHECKING, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from lorabay.api.inference import PATHS, OpenAIEndpoints
from lorabay.api.model_list import models_router
from lorabay.api.openapi import describe
from lorabay.api.probes import health_router
from lorabay.api.problems import respond
from lorabay.api.request_ids import RequestIds
from lorabay.api.weights import WeightsInPlace
from lorabay.errors import LorabayError

if TYPE_CHECKING:
    from fastapi import APIRouter, Request, Response

    from lorabay.api.auth import Gate
    from lorabay.api.weights import Weights
    from lorabay.catalog.registry import Registry
    from lorabay.metrics import Metrics
    from lorabay.serving.engine import Engine

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    engine: Engine,
    registry: Registry,
    metrics: Metrics,
    gate: Gate,
    *,
    base_names: Sequence[str],
    max_body_bytes: int,
    weights: Weights | None = None,
    declared_set_loaded: Callable[[], bool] = lambda: True,
    lifespan: Lifespan | None = None,
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """Wire the application; `base_names[0]` is the parent that adapters are listed under."""
    app = FastAPI(
        title="lorabay",
        version=metadata.version("lorabay"),
        description="One frozen base model, many LoRA adapters: choose one by `model`.",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    endpoints = OpenAIEndpoints(
        engine, registry, metrics, gate, weights or WeightsInPlace(), max_body_bytes=max_body_bytes
    )
    for endpoint, path in PATHS.items():
        # Starlette calls whatever ASGI application a handler returns; its annotation knows only its
        # own responses.
        handler = cast("Callable[[Request], Awaitable[Response]]", endpoints.handler(endpoint))
        app.add_route(path, handler, methods=["POST"], include_in_schema=False)
    app.include_router(
        models_router(engine, registry, gate, base_names=base_names, started=int(time.time()))
    )
    app.include_router(health_router(engine, metrics, declared_set_loaded))
    for router in routers:
        app.include_router(router)
    app.openapi = describe(app, engine.schemas)  # type: ignore[method-assign]
    for kind in (LorabayError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, respond)
    app.add_middleware(RequestIds)
    return app
