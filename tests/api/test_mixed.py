"""Requests for mixtures: who may have one, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

from lorabay.accounts.callers import Caller
from lorabay.accounts.permissions import permissions
from lorabay.api.mixed import MixedModels
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.versions import Version
from lorabay.serving.engine import CHAT
from tests.api.conftest import FINANCE, FINANCE_BEFORE, SHOP, client_of, make_app, parts_over
from tests.fake_engine import FakeEngine
from tests.versions import make_version

MIXTURE = make_version("mix-0123456789ab", "d")
KEYS = {
    "all": Caller("all"),
    "both": Caller("both", permissions=permissions(("finance", "shop"))),
    "shop": Caller("shop", permissions=permissions(("shop",))),
}


class NamedGate:
    """Lets in whoever is in the table."""

    def identify(self, headers: Headers) -> Caller:
        return KEYS[headers.get("x-api-key", "all")]


class OneMixture:
    """Knows one mixture, and is told what it is asked for, and who holds the parts meanwhile."""

    def __init__(self, registry: Registry) -> None:
        self.asked: list[Sequence[tuple[Version, int]]] = []
        self.held: list[int] = []
        self._registry = registry

    async def served(self, parts: Sequence[tuple[Version, int]]) -> str:
        self.asked.append(parts)
        self.held += [self._registry.leases(version) for version, _ in parts]
        self._registry.set_live(MIXTURE)
        return MIXTURE.adapter

    def names(self) -> frozenset[str]:
        return frozenset({MIXTURE.adapter})


@pytest.fixture
def mixtures(registry: Registry) -> OneMixture:
    for version in (FINANCE_BEFORE, FINANCE, SHOP):
        registry.set_live(version)
    return OneMixture(registry)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def http(
    registry: Registry, engine: FakeEngine, mixtures: OneMixture
) -> AsyncIterator[httpx.AsyncClient]:
    parts = parts_over(registry, engine=engine, mixtures=MixedModels(registry, mixtures))
    async with client_of(make_app(parts, NamedGate())) as client:
        yield client


async def ask(http: httpx.AsyncClient, model: str, key: str = "all") -> Any:
    headers = {"x-api-key": key}
    return await http.post(CHAT.path, json={"model": model, "messages": []}, headers=headers)


@pytest.mark.parametrize("key", ["all", "both"])
async def test_a_mixture_of_what_one_may_use_answers(
    http: httpx.AsyncClient, mixtures: OneMixture, engine: FakeEngine, registry: Registry, key: str
) -> None:
    """Parts are resolved to versions, and held until it is served."""
    answer = await ask(http, f"finance*0.5+{SHOP.id}*0.25", key)
    assert answer.status_code == 200
    assert answer.headers["x-adapter"] == MIXTURE.adapter
    assert engine.asked[0][2] == MIXTURE
    assert answer.json()["model"] == f"finance*0.5+{SHOP.id}*0.25"
    assert mixtures.asked == [[(FINANCE, 4), (SHOP, 2)]]
    assert mixtures.held == [1, 1]
    assert not registry.leases(FINANCE)


async def test_every_part_must_be_allowed(http: httpx.AsyncClient, mixtures: OneMixture) -> None:
    """One that is not looks like one that does not exist; nothing is built for it."""
    for model in ("finance*0.5+shop*0.5", "nobody*0.5+shop*0.5"):
        answer = await ask(http, model, "shop")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "model_not_found"
    assert not mixtures.asked


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("finance*x", "NAME*WEIGHT"),
        ("finance*0.5+tiny*0.5", "the base is below all of them"),
        ("finance*0.5+finance*0.5", "twice"),
    ],
)
async def test_what_is_no_mixture_is_told(
    http: httpx.AsyncClient, mixtures: OneMixture, model: str, problem: str
) -> None:
    """A 400 of the field `model`."""
    answer = await ask(http, model)
    assert answer.status_code == 400
    assert problem in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == "model"
    assert not mixtures.asked


async def test_other_names_are_left_alone(http: httpx.AsyncClient, mixtures: OneMixture) -> None:
    """And nobody may ask for a mixture by its own name without the key for it."""
    assert (await ask(http, "shop")).headers["x-adapter"] == "shop"
    await ask(http, "finance*0.5", "both")
    assert (await ask(http, MIXTURE.adapter, "both")).status_code == 404


async def test_it_is_in_no_list_of_models(http: httpx.AsyncClient) -> None:
    """Its name says nothing to anybody: clients name a mixture by its parts."""
    assert (await ask(http, "finance*0.5")).status_code == 200
    listed = (await http.get("/v1/models")).json()["data"]
    assert [card["id"] for card in listed] == ["tiny", "org/tiny", "finance", "shop"]


async def test_without_the_setting_there_is_no_such_model(registry: Registry) -> None:
    """As before."""
    registry.set_live(SHOP)
    async with client_of(make_app(parts_over(registry))) as client:
        answer = await client.post(CHAT.path, json={"model": "shop*0.5"})
        assert answer.status_code == 404
