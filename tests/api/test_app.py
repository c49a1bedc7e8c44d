"""The application as a whole: which paths exist, and that every failure is in the envelope."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given, settings, strategies as st
from starlette.routing import Route

from lorabay.catalog.registry.registry import Registry
from lorabay.errors import AdapterConflict
from lorabay.serving.engine import CALLS
from tests.api.conftest import Api, client_of, make_app, parts_over
from tests.examples import BESIDE_FIXTURES, examples

CONTRACT = {
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/score"),
    ("POST", "/score"),
    ("POST", "/v1/rerank"),
    ("POST", "/rerank"),
    ("POST", "/v2/rerank"),
    ("POST", "/classify"),
    ("POST", "/pooling"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model:path}"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/version"),
    ("GET", "/metrics"),
}
DOCUMENTS = {("GET", "/openapi.json"), ("GET", "/docs")}


def mounted(app: FastAPI) -> set[tuple[str, str]]:
    described = {
        (method.upper(), path.replace("{model}", "{model:path}"))
        for path, operations in app.openapi()["paths"].items()
        for method in operations
    }
    routes = [route for route in app.router.routes if isinstance(route, Route)]
    plain = {
        (method, route.path)
        for route in routes
        for method in route.methods or ()
        if method != "HEAD"
    }
    return described | plain


async def test_only_the_contracts_paths_are_mounted(api: Api) -> None:
    """Neither the framework nor the engine brings paths of its own."""
    assert mounted(api.app) == CONTRACT | DOCUMENTS


UNKNOWN_PATHS = (
    "/",
    "/v1",
    "/v1/",
    "/v1/images/generations",
    "/v1/chat/completions/",
    "/health/",
    "/redoc",
    "/docs/oauth2-redirect",
    "/admin/adapters",
    "/v1/load_lora_adapter",
    "/../etc/passwd",
    "/v1//models",
    "/%00",
    "/ü",
)


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_path_is_404(api: Api, method: str, path: str) -> None:
    """A path that is not mounted is a 404 in the envelope, and never a redirect."""
    response = await api.http.request(method, path, json={"model": "finance"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", [path for call in CALLS for path in call.paths])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_wrong_method_is_405_and_tells_the_right_one(
    api: Api, method: str, path: str
) -> None:
    """The calls take POST and nothing else."""
    response = await api.http.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert response.json()["error"]["code"] == "method_not_allowed"


@settings(max_examples=examples(60), suppress_health_check=BESIDE_FIXTURES)
@given(
    path=st.text(max_size=30),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    content=st.binary(),
)
async def test_no_path_gives_a_server_error(
    api: Api, path: str, method: str, content: bytes
) -> None:
    """Every answer is a success or a client error, and has an id."""
    response = await api.http.request(
        method, "/" + quote(path.encode(errors="replace")), content=content
    )
    assert response.status_code < 500
    assert response.headers["x-request-id"]


async def test_further_routers_share_errors_and_ids(registry: Registry) -> None:
    """A router that is passed in raises our errors and has the same envelope."""
    router = APIRouter()

    @router.get("/admin/conflict")
    async def conflict() -> None:
        raise AdapterConflict("not now")

    async with client_of(make_app(parts_over(registry), routers=[router])) as http:
        response = await http.get("/admin/conflict")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "adapter_conflict")
    assert response.headers["x-request-id"]


async def test_two_applications_share_nothing(api: Api, registry: Registry) -> None:
    """A second server in the same process has its own metrics."""
    other = make_app(parts_over(registry))
    await api.http.post("/tokenize", json={"model": "tiny"})
    async with client_of(other) as http:
        assert "lorabay_requests_total{" not in (await http.get("/metrics")).text
