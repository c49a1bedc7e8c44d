"""vLLM's engine as the settings want it; tests/e2e starts one."""

from __future__ import annotations

from lorabay.server.server import Server
from lorabay.server.vllm_engine import make_vllm_engine
from lorabay.settings import Settings


def test_a_server_makes_it_unless_it_is_told_otherwise(settings: Settings) -> None:
    """With replicas it makes those instead."""
    from lorabay.api.auth import OpenGate
    from lorabay.server.replicas import make_ray_engine

    alone = Server(settings, OpenGate(), OpenGate())
    assert alone._make_engine.func is make_vllm_engine  # type: ignore[attr-defined]
    many = settings.model_copy(update={"ray_replicas": 2})
    cluster = Server(many, OpenGate(), OpenGate())
    assert cluster._make_engine.func is make_ray_engine  # type: ignore[attr-defined]
