"""What a key may not use does not exist for it: in answers, lists, errors and their bytes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

import lorabay
from lorabay.accounts.callers import Caller
from lorabay.accounts.permissions import permissions, split_words
from lorabay.api.request.anthropic_clients import VERSION_HEADER
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import WeightsRefused
from lorabay.serving.engine import CALLS, CHAT
from tests.api.conftest import FINANCE, FINANCE_BEFORE, SHOP, client_of, make_app, parts_over
from tests.fake_engine import FakeEngine
from tests.fake_weights import FakeWeights

KEYS: Mapping[str, Caller] = {
    "all": Caller("all"),
    "finance": Caller("finance", permissions=permissions(("finance",))),
    "former": Caller("former", permissions=permissions(split_words(FINANCE_BEFORE.id))),
    "base": Caller("base", permissions=permissions(("base",))),
    "none": Caller("none", permissions=permissions(("nobody",))),
    "embeds": Caller("embeds", permissions=permissions(("*",), frozenset({"embeddings"}))),
}
OURS = str(Path(lorabay.__file__).parent)
FORMS = ("shop", SHOP.id, "tiny:shop", f"org/tiny:{SHOP.id}")


class NamedGate:
    """Lets in whoever is in the table."""

    def identify(self, headers: Headers) -> Caller:
        return KEYS[headers["x-api-key"]]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def http(registry: Registry, engine: FakeEngine) -> AsyncIterator[httpx.AsyncClient]:
    for version in (FINANCE_BEFORE, FINANCE, SHOP):
        registry.set_live(version)
    app = make_app(parts_over(registry, engine=engine), NamedGate())
    async with client_of(app) as client:
        yield client


async def ask(http: httpx.AsyncClient, key: str, model: str, path: str = CHAT.path) -> Any:
    return await http.post(path, json={"model": model}, headers={"x-api-key": key})


def as_seen(response: httpx.Response, model: str) -> tuple[int, dict[str, str], bytes]:
    """Return all of an answer, but for the name that was asked for."""
    ids = {"x-request-id", "request-id"}
    headers = {name: text for name, text in response.headers.items() if name not in ids}
    return response.status_code, headers, response.content.replace(model.encode(), b"NAME")


@pytest.mark.parametrize("path", [path for call in CALLS for path in call.paths])
async def test_what_may_not_be_used_is_an_unknown_name_to_the_byte(
    http: httpx.AsyncClient, engine: FakeEngine, path: str
) -> None:
    """Status, headers and body of every call, for every form of the name; the engine is not
    asked.
    """
    for model in FORMS:
        # As long as the real one, so that the length is the same, too.
        unknown = model.replace("shop", "pohs").replace("c" * 12, "d" * 12)
        seen = as_seen(await ask(http, "finance", model, path), model)
        assert seen[0] == 404
        assert seen == as_seen(await ask(http, "finance", unknown, path), unknown)
        assert (await ask(http, "all", model, path)).status_code == 200
    assert {version for _, _, version, _ in engine.asked} == {SHOP}


async def test_what_may_not_be_used_takes_the_steps_of_an_unknown_name(
    http: httpx.AsyncClient,
) -> None:
    """Every function of ours is called as often, so that the time tells nothing either;
    `python -m tests.api.forbidden` measures it.
    """

    async def steps(model: str) -> Counter[str]:
        called: Counter[str] = Counter()

        def note(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(OURS):
                called[frame.f_code.co_qualname] += 1

        sys.setprofile(note)
        try:
            response = await ask(http, "finance", model)
        finally:
            sys.setprofile(None)
        assert response.status_code == 404
        return called

    # What is done once only, such as making metrics, is done here.
    await steps("pohs")
    unknown = await steps("pohs")
    assert unknown["Registry.find"] == 1
    assert await steps("shop") == unknown
    assert await steps("tiny") == unknown


@pytest.mark.parametrize("model", FORMS)
async def test_it_cannot_be_described_either(http: httpx.AsyncClient, model: str) -> None:
    """`/v1/models/{id}` answers as for an unknown name, in both forms of its errors."""
    unknown = model.replace("shop", "pohs").replace("c" * 12, "d" * 12)
    for form in ({}, {VERSION_HEADER: "2023-06-01"}):
        headers = {"x-api-key": "finance", **form}
        seen = as_seen(await http.get(f"/v1/models/{model}", headers=headers), model)
        assert seen[0] == 404
        other = as_seen(await http.get(f"/v1/models/{unknown}", headers=headers), unknown)
        assert seen == other


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("all", ["tiny", "org/tiny", "finance", "shop"]),
        ("finance", ["finance"]),
        ("former", [FINANCE_BEFORE.id]),
        ("base", ["tiny", "org/tiny"]),
        ("none", []),
    ],
)
async def test_the_list_holds_what_may_be_used(
    http: httpx.AsyncClient, key: str, names: list[str]
) -> None:
    """Each name of it can be asked and described, also in Anthropic's form."""
    listed = (await http.get("/v1/models", headers={"x-api-key": key})).json()["data"]
    assert [card["id"] for card in listed] == names
    form = {"x-api-key": key, VERSION_HEADER: "2023-06-01"}
    page = (await http.get("/v1/models", headers=form)).json()
    assert [card["id"] for card in page["data"]] == names
    assert page["first_id"] == (names[0] if names else None)
    for name in names:
        assert (await ask(http, key, name)).status_code == 200
        described = await http.get(f"/v1/models/{name}", headers={"x-api-key": key})
        assert described.json()["id"] == name


async def test_a_key_for_one_version_loses_the_name_at_a_swap(
    http: httpx.AsyncClient, registry: Registry
) -> None:
    """The name means what may not be used; the version's own name goes on."""
    assert (await ask(http, "former", "finance")).status_code == 404
    assert (await ask(http, "former", FINANCE_BEFORE.id)).status_code == 200
    registry.set_live(FINANCE_BEFORE)
    assert (await ask(http, "former", "finance")).status_code == 200


async def test_the_base_may_be_kept_from_a_key(http: httpx.AsyncClient) -> None:
    """As an adapter may, and the other way round."""
    assert (await ask(http, "finance", "tiny")).status_code == 404
    assert (await ask(http, "base", "tiny")).status_code == 200
    assert (await ask(http, "base", "finance")).status_code == 404


async def test_an_endpoint_may_be_kept_from_a_key(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    """Everybody knows the endpoints, so it is told: 403, before the body is read."""
    refused = await http.post(CHAT.path, content=b"\xff", headers={"x-api-key": "embeds"})
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "permission_denied"
    assert "`chat`" in refused.json()["error"]["message"]
    assert engine.asked == []
    assert (await ask(http, "embeds", "shop", "/v1/embeddings")).status_code == 200


async def test_a_fall_back_to_a_former_version_asks_once_more(registry: Registry) -> None:
    """The engine refuses the live version while a request waits, and the name then means a version
    that the key may not use.
    """

    class Refusing(FakeWeights):
        async def ensure(self, version: Any) -> None:
            if version == FINANCE:
                registry.set_live(FINANCE_BEFORE)
                raise WeightsRefused("finance")

    registry.set_live(FINANCE_BEFORE)
    registry.set_live(FINANCE)
    live_only = Caller("live", permissions=permissions(split_words(FINANCE.id)))

    class Gate:
        def identify(self, headers: Headers) -> Caller:
            return live_only

    app = make_app(parts_over(registry, weights=Refusing()), Gate())
    async with client_of(app) as http:
        response = await http.post(CHAT.path, json={"model": "finance"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
