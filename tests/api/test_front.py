"""Which web pages may call a server."""

from __future__ import annotations

import pytest

from lorabay.api.administrators import NEEDED
from lorabay.api.auth import KEY_OWNER, KeyGate
from lorabay.api.front import front_of
from lorabay.api.hosts import AllowedHosts
from lorabay.api.keyring import Keyring
from lorabay.catalog.registry.registry import Registry
from tests.api.conftest import client_of, make_app, parts_over

ANY_HOST = AllowedHosts((), open_to_all=True)
PAGE = "https://console.example"
PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type",
}


async def test_no_page_may_call_by_default(registry: Registry) -> None:
    """Answers carry no header that would let a page of another origin read them."""
    async with client_of(make_app(parts_over(registry), middleware=front_of(ANY_HOST))) as http:
        answer = await http.get("/health", headers={"origin": PAGE})
        preflight = await http.options("/v1/chat/completions", headers=PREFLIGHT)
    assert preflight.status_code == 405
    for response in (answer, preflight):
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origins", [(PAGE, "http://localhost:3000"), ("*",)])
async def test_a_page_of_an_allowed_origin_may(
    registry: Registry, origins: tuple[str, ...]
) -> None:
    """Its browser asks first, without a key; then the page reads answers and errors alike."""
    front = front_of(ANY_HOST, cors_origins=origins)
    app = make_app(parts_over(registry), KeyGate(Keyring("k"), KEY_OWNER), middleware=front)
    async with client_of(app) as http:
        preflight = await http.options("/v1/chat/completions", headers=PREFLIGHT)
        refused = await http.get("/v1/models", headers={"origin": PAGE})
    allowed = {"*", PAGE}
    assert preflight.status_code == 200
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-origin"] in allowed
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] in allowed
    assert "x-adapter" in refused.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in refused.headers


async def test_a_page_may_use_every_method_of_the_admin_side(registry: Registry) -> None:
    """Its browser asks for each of them."""
    front = front_of(ANY_HOST, cors_origins=(PAGE,))
    async with client_of(make_app(parts_over(registry), middleware=front)) as http:
        for method in {operation.partition(" ")[0] for operation in NEEDED}:
            asked = PREFLIGHT | {"access-control-request-method": method}
            assert (await http.options("/admin/limits", headers=asked)).status_code == 200


async def test_another_page_may_not(registry: Registry) -> None:
    """An origin that only resembles an allowed one is none."""
    front = front_of(ANY_HOST, cors_origins=(PAGE,))
    async with client_of(make_app(parts_over(registry), middleware=front)) as http:
        for origin in ("https://evil.example", f"{PAGE}.evil.example", "null"):
            answer = await http.get("/health", headers={"origin": origin})
            assert "access-control-allow-origin" not in answer.headers
            preflight = await http.options("/health", headers=PREFLIGHT | {"origin": origin})
            assert preflight.status_code == 400
