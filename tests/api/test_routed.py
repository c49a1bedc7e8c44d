"""What answers in place of the model that a client wrote."""

from __future__ import annotations

from lorabay.accounts.callers import Caller
from lorabay.accounts.permissions import permissions
from lorabay.api.exchange import Exchange
from lorabay.api.measuring.request_metrics import RequestMetrics
from lorabay.api.routed import Routed
from lorabay.serving.engine import CHAT
from tests.api.conftest import Api, parts_over


async def test_its_permissions_are_those_of_one_request(api: Api) -> None:
    """A caller whose key does not name what answers gets it, and nothing of the key changes."""
    parts = parts_over(api.registry)
    caller = Caller("shop", permissions=permissions(("shop",)))
    routed = Routed("finance", {"x-route": "why"}, permissions(("finance",)))
    measured = RequestMetrics(parts.metrics, CHAT)
    body = {"model": "finance*0.5", "messages": []}
    with measured:
        async with Exchange(CHAT, caller, body, parts, measured, route=routed) as exchange:
            await exchange.run("request-1")
            assert exchange.headers["x-adapter"] == "finance"
            assert exchange.headers["x-route"] == "why"
    assert caller.permissions.words == ("shop",)
