"""The application with every path that a server may mount, over parts that are never asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import CollectorRegistry

from lorabay.api.admin import admin_router
from lorabay.api.admin_changes import changes_router
from lorabay.api.admin_keys import keys_router
from lorabay.api.admin_limits import limits_router
from lorabay.api.admin_rollouts import rollouts_router
from lorabay.api.admin_uploads import uploads_router
from lorabay.api.app import create_app
from lorabay.api.audit import audit_router
from lorabay.api.auth import OpenGate
from lorabay.api.live.stream import live_router
from lorabay.api.parts import Parts
from lorabay.api.usage import usage_router
from tests.fake_engine import FakeEngine

if TYPE_CHECKING:
    from fastapi import FastAPI


def whole_app() -> FastAPI:
    """Return it, for tests that read its paths and its OpenAPI document."""
    absent: Any = SimpleNamespace()
    gate = OpenGate()
    metrics = cast("Any", SimpleNamespace(registry=CollectorRegistry()))
    return create_app(
        Parts(FakeEngine(), absent, absent, absent, metrics),
        gate,
        base_names=("base",),
        max_body_bytes=1,
        limits=absent,
        declared_set_loaded=bool,
        check_health=lambda: None,
        routers=[
            admin_router(absent, gate),
            rollouts_router(absent, gate),
            changes_router(absent, absent, gate),
            uploads_router(absent, gate),
            live_router(absent, gate),
            keys_router(absent, gate, tuple),
            limits_router(absent, gate),
            usage_router(absent, gate),
            audit_router(absent, gate),
        ],
    )
