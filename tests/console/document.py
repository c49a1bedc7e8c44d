"""Writes the part of the OpenAPI document that the console's types are made from.

    python -m tests.console.document > openapi.json

Inference is left out: its schemas are vLLM's, and thousands of lines.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import CollectorRegistry

from lorabay.api.admin import admin_router
from lorabay.api.admin_keys import keys_router
from lorabay.api.admin_limits import limits_router
from lorabay.api.app import create_app
from lorabay.api.audit import audit_router
from lorabay.api.auth import OpenGate
from lorabay.api.live.stream import live_router
from lorabay.api.parts import Parts
from lorabay.api.usage import usage_router
from tests.fake_engine import FakeEngine


def document() -> dict[str, Any]:
    """Return the admin paths, and the schemas of their bodies and answers."""
    absent: Any = SimpleNamespace()
    gate = OpenGate()
    metrics = cast("Any", SimpleNamespace(registry=CollectorRegistry()))
    app = create_app(
        Parts(FakeEngine(), absent, absent, absent, metrics),
        gate,
        base_names=("base",),
        max_body_bytes=1,
        limits=absent,
        declared_set_loaded=bool,
        check_health=lambda: None,
        routers=[
            admin_router(absent, gate),
            live_router(absent, gate),
            keys_router(absent, gate, tuple),
            limits_router(absent, gate),
            usage_router(absent, gate),
            audit_router(absent, gate),
        ],
    )
    whole: dict[str, Any] = app.openapi()
    whole["info"]["version"] = "0"
    whole["paths"] = {
        path: operations
        for path, operations in whole["paths"].items()
        if path.startswith(("/admin/", "/v1/models"))
    }
    for operations in whole["paths"].values():
        for operation in operations.values():
            # All errors have one envelope, which the page reads by hand.
            operation["responses"] = {"200": operation["responses"]["200"]}
    return whole


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1, sort_keys=True)
