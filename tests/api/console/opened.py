"""A console over one admin path, asked without a socket."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lorabay.api.auth import ADMIN, Gate, KeyGate, identify
from lorabay.api.console.console import console_routes
from lorabay.api.console.same_origin import MARK
from lorabay.api.keyring import Keyring
from lorabay.catalog.registry.registry import Registry
from tests.api.conftest import client_of, make_app, parts_over

KEY = "key of the owner"
MARKED = {MARK: "1", "origin": "http://server"}


def console(registry: Registry) -> httpx.AsyncClient:
    """Return a client of a console whose path `/who` tells who asks."""

    def calls(gate: Gate) -> Iterator[BaseRoute]:
        async def who(request: Request) -> Response:
            return JSONResponse({"who": identify(gate, request).id})

        yield Route("/who", who, methods=["GET", "POST"])

    app = make_app(parts_over(registry))
    app.router.routes.extend(console_routes(KeyGate(Keyring(KEY), ADMIN), calls))
    return client_of(app)


async def log_in(client: httpx.AsyncClient, key: str = KEY) -> httpx.Response:
    """Log in as the page does."""
    headers = MARKED | {"authorization": f"Bearer {key}"}
    return await client.post("/console/api/session", headers=headers)
